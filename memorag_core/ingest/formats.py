"""The formats that are read: which reader for which file. A new format is one file beside this and one row here."""

from __future__ import annotations

from dataclasses import dataclass

from memorag_core.errors import InputError
from memorag_core.ingest import (
    bundle,
    captions,
    docx,
    epub,
    html,
    mail,
    notebook,
    odt,
    pdf,
    plain,
    pptx,
    rtf,
    sheets,
    tables,
)
from memorag_core.ingest.extract import BYTES_A_CHARACTER, MAX_FILE, PartReader, Reader, too_large

OFFICE = "application/vnd.openxmlformats-officedocument"


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file. `media_types` are those under which the web serves it; plain text is read in this process.

    `has_looks`: its pages can be shown as they look, by `page_view.py`. `in_parts`: how a long file is read by several
    processes.
    """

    read: Reader
    media_types: tuple[str, ...]
    is_plain: bool = False
    has_looks: bool = False
    in_parts: PartReader | None = None

    def most_bytes(self, limit: int) -> int:
        """The most bytes that a file with a text of `limit` characters can have."""
        return min(limit * BYTES_A_CHARACTER, MAX_FILE) if self.is_plain else MAX_FILE

    def check_bytes(self, size: int, what: str, limit: int) -> None:
        """Refuse a file too large to hold a text of `limit` characters, before it is read.

        Raises:
            InputError: says the size and the limit.
        """
        if self.is_plain and size > limit * BYTES_A_CHARACTER:
            raise too_large(what, f"{size:,} bytes", limit)
        if size > MAX_FILE:
            raise InputError(f"{what} has {size:,} bytes; files of its kind may have {MAX_FILE:,}. Split it.")


PLAIN = Format(plain.read, ("text/plain", "text/markdown", "text/x-rst"), is_plain=True)
CAPTIONS = Format(captions.read, ("text/vtt", "application/x-subrip"))
TABLE = Format(tables.read, ("text/csv", "text/tab-separated-values"))
JSON = Format(plain.read, ("application/json", "application/jsonl", "application/x-ndjson"), is_plain=True)
HTML = Format(html.read, ("text/html", "application/xhtml+xml"))
SHEET = Format(
    sheets.read,
    (f"{OFFICE}.spreadsheetml.sheet", "application/vnd.oasis.opendocument.spreadsheet", "application/vnd.ms-excel"),
)
OPEN = Format(odt.read, ("application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.presentation"))
SOURCES = [".rst", ".org", ".adoc", ".asciidoc", ".tex", ".log", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".xml"]
SOURCES += [".py", ".pyi", ".js", ".mjs", ".jsx", ".ts", ".tsx", ".java", ".kt", ".scala", ".c", ".h", ".cc", ".cpp"]
SOURCES += [".hpp", ".cs", ".go", ".rs", ".rb", ".php", ".swift", ".pl", ".lua", ".r", ".jl", ".hs", ".ml", ".sql"]
SOURCES += [".sh", ".bat", ".ps1", ".clj", ".ex", ".erl", ".dart", ".css", ".scss", ".proto", ".graphql", ".tf"]
"""What people and programs write as plain text."""
FORMATS = {
    **dict.fromkeys(SOURCES, PLAIN),
    ".txt": PLAIN,
    ".text": PLAIN,
    ".md": PLAIN,
    ".markdown": PLAIN,
    ".json": JSON,
    ".jsonl": JSON,
    ".csv": TABLE,
    ".tsv": TABLE,
    ".vtt": CAPTIONS,
    ".srt": CAPTIONS,
    ".ipynb": Format(notebook.read, ("application/x-ipynb+json",)),
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".pdf": Format(pdf.read, ("application/pdf",), has_looks=True, in_parts=pdf.IN_PARTS),
    ".docx": Format(docx.read, (f"{OFFICE}.wordprocessingml.document",)),
    ".pptx": Format(pptx.read, (f"{OFFICE}.presentationml.presentation",)),
    ".xlsx": SHEET,
    ".xlsm": SHEET,
    ".xlsb": SHEET,
    ".xls": SHEET,
    ".ods": SHEET,
    ".odt": OPEN,
    ".odp": OPEN,
    ".rtf": Format(rtf.read, ("application/rtf", "text/rtf")),
    ".epub": Format(epub.read, ("application/epub+zip",)),
}
ZIP = ("application/zip", "application/x-zip-compressed")
ALONE = {end: kind.read for end, kind in FORMATS.items()}
INSIDE = ALONE | {".eml": mail.reader_of(ALONE), ".msg": mail.reader_of(ALONE, outlook=True)}
FORMATS[".zip"] = Format(bundle.reader_of(INSIDE), ZIP)
ATTACHED = INSIDE | {".zip": bundle.reader_of(ALONE)}
FORMATS[".eml"] = Format(mail.reader_of(ATTACHED), ("message/rfc822",))
FORMATS[".msg"] = Format(mail.reader_of(ATTACHED, outlook=True), ("application/vnd.ms-outlook",))
"""Mail and archives hold documents, mail also archives, and each of them mail; what is deeper is told."""
KINDS = f"{', '.join(sorted(FORMATS.keys() - set(SOURCES)))}, and what is written as plain text, as .rst, .tex or .py"


def format_of(suffix: str) -> Format:
    """By the end of a file's name; a file of any other name may be plain text."""
    return FORMATS.get(suffix.lower(), PLAIN)
