"""Books: each item of the reading order is a page, since chapters are files and pages are the reader's affair."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote
from zipfile import ZipFile

from memorag_core.errors import InputError
from memorag_core.ingest.archive import open_archive
from memorag_core.ingest.extract import Extract, extract_pages
from memorag_core.ingest.html import decode_page, reflow, tell_left_out
from memorag_core.ingest.xml_parts import parse_xml

CONTAINER = "META-INF/container.xml"
ENCRYPTION = "META-INF/encryption.xml"

_SELF_CLOSED = re.compile(r"<(title|script|style|a|div|p|span|i|b|em|strong|td|th|li)\b([^<>]*)/>")


def read(data: bytes, what: str, limit: int) -> Extract:
    """The text of an EPUB file, version 2 or 3, and its title.

    Raises:
        InputError: protected by its seller (DRM), or not what a book is.
    """
    with open_archive(data, what) as archive:
        title, chapters = _contents(archive, what)
        if _check_encryption(archive).intersection(chapters):
            raise InputError(f"{what} is protected by its seller (DRM), so its text cannot be read. Give an open copy.")
        left_out: list[int] = []
        text, pages = extract_pages(_texts(archive, chapters, what, left_out), what, limit)
    return Extract(text, title=title, pages=pages, notice=tell_left_out(sum(left_out)))


def _contents(archive: ZipFile, what: str) -> tuple[str, list[str]]:
    """The title, and the names of the chapters in reading order, as the package document has them."""
    package = next(
        (node.get("full-path") for node in _find_named(parse_xml(archive.read(CONTAINER)), "rootfile")), None
    )
    if package is None:
        raise InputError(f"{what} names no contents, as a book does. Save it anew as EPUB.")
    root = parse_xml(archive.read(package))
    files = {
        item.get("id"): item.get("href") for item in _find_named(root, "item") if "html" in item.get("media-type", "")
    }
    order = [files[ref.get("idref")] for ref in _find_named(root, "itemref") if ref.get("idref") in files]
    folder = posixpath.dirname(package)
    title = next((node.text or "" for node in _find_named(root, "title")), "")
    return title.strip(), [posixpath.normpath(posixpath.join(folder, unquote(name))) for name in order]


def _texts(archive: ZipFile, chapters: list[str], what: str, left_out: list[int]) -> Iterator[str]:
    for name in chapters:
        html, _ = decode_page(archive.read(name), f"{what} ({name})")
        page = reflow(_SELF_CLOSED.sub(r"<\1\2></\1>", html), f"{what} ({name})", whole=True)
        left_out.append(page.left_out)
        yield page.text


def _check_encryption(archive: ZipFile) -> set[str]:
    """Names of the files that are encrypted; fonts often are, in books that can be read."""
    if ENCRYPTION not in archive.namelist():
        return set()
    return {
        unquote(node.get("URI", "")) for node in _find_named(parse_xml(archive.read(ENCRYPTION)), "CipherReference")
    }


def _find_named(root: Any, name: str) -> Iterator[Any]:
    """Elements by their name, of whatever namespace."""
    return root.iter(f"{{*}}{name}")  # type: ignore[no-any-return]  # lxml has no types
