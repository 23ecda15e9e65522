"""A file whose name says another format than it has is read as what it is, and that is told."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from documents import chapter, write_docx, write_epub, write_pdf, write_pptx, write_zip
from openpyxl import Workbook

from memorag_core.errors import InputError
from memorag_core.ingest import from_path
from memorag_core.ingest.signatures import suffix_told_by

LIMIT = 100_000
RTF = rb"{\rtf1\ansi The keeper of the mill\par}"
PAGE = b"\n<!DOCTYPE html><html><body><p>The keeper of the mill</p></body></html>"


def _workbook(path: Path) -> Path:
    book = Workbook()
    book.worksheets[0].append(["Keeper", "Mill"])
    book.save(path)
    return path


def _write(data: bytes) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize(
    ("write", "ends", "named", "told"),
    [
        (_write(RTF), ".rtf", "letter.doc", "RTF"),
        (_write(RTF), ".rtf", "letter.docx", "RTF"),
        (_write(PAGE), ".html", "table.xls", "HTML"),
        (_write(PAGE), ".html", "report.doc", "HTML"),
        (_write(b"<table border=1><tr><td>The keeper</td></tr></table>"), ".html", "table.xls", "HTML"),
        (lambda path: write_pdf(path, ["The keeper of the mill"]), ".pdf", "scan.txt", "PDF"),
        (write_docx, ".docx", "letter.docm", "DOCX"),
        (lambda path: write_pptx(path, ["The keeper\nof the mill"]), ".pptx", "talk.ppsx", "PPTX"),
        (_workbook, ".xlsx", "table.xltx", "XLSX"),
        (lambda path: write_epub(path, [chapter("The keeper of the mill")]), ".epub", "book.pdf", "EPUB"),
    ],
)
def test_a_file_is_read_by_what_it_is(
    tmp_path: Path, write: Callable[[Path], Path], ends: str, named: str, told: str
) -> None:
    path = write(tmp_path / f"right{ends}")
    [right] = from_path(path, LIMIT)
    [found] = from_path(path.rename(tmp_path / named), LIMIT)
    assert found.text == right.text
    assert (
        found.notice == f"It was read as {told}, which it is, though its name does not end so. {right.notice}".rstrip()
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [(".txt", PAGE), (".md", b"# {\\rtf"), (".zip", b"PK\3\4word/document.xml"), (".rtf", RTF), (".bin", b"PK\3\4")],
)  # fmt: skip
def test_a_name_is_believed_where_bytes_do_not_speak_against_it(name: str, data: bytes) -> None:
    assert suffix_told_by(data, name) == name


def _archive(**parts: bytes) -> bytes:
    """A ZIP that is not compressed, so that archives in it stand there to the letter."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return out.getvalue()


DOCX = _archive(**{"word/document.xml": b"<a/>"})
OPEN = b"application/vnd.oasis.opendocument."


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        (".txt", _archive(mimetype=OPEN + b"text", **{"content.xml": b"<a/>"}), ".odt"),
        (".ott", _archive(mimetype=OPEN + b"text-template"), ".odt"),
        (".zap", _archive(mimetype=OPEN + b"spreadsheet"), ".ods"),
        (".docx", _archive(mimetype=b"text/plain"), ".docx"),
        (".xlsx", _archive(**{"xl/embeddings/a.docx": DOCX, "xl/workbook.xml": b""}), ".xlsx"),
        (".pptx", _archive(**{"ppt/embeddings/a.docx": DOCX, "ppt/presentation.xml": b""}), ".pptx"),
        (".jar", _archive(**{"a/word/document.xml": b"", "a.docx": DOCX}), ".jar"),
        (".docm", DOCX + b"behind it", ".docx"),
        (".tex", b"%PDF-compatible", ".tex"),
    ],
)
def test_an_archive_is_told_by_its_own_parts_and_not_by_those_of_archives_in_it(
    name: str, data: bytes, told: str
) -> None:
    assert suffix_told_by(data, name) == told


def test_a_binary_file_of_no_format_is_refused_as_before(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="binary"):
        from_path(_write(b"PK\3\4\0\0 a program")(tmp_path / "app.jar"), LIMIT)


def test_members_of_an_archive_are_read_by_what_they_are(tmp_path: Path) -> None:
    [found] = from_path(write_zip(tmp_path / "all.zip", {"a/letter.doc": RTF, "app.exe": b"MZ"}), LIMIT)
    assert found.text == "# a/letter.doc\n\nThe keeper of the mill"
    assert found.notice == (
        "a/letter.doc: It was read as RTF, which it is, though its name does not end so. "
        "Not read: app.exe (no format that is read)."
    )
