"""What the bytes of a file say of its format, whatever its name says."""

from __future__ import annotations

import re
from dataclasses import replace
from struct import unpack_from

from memorag_core.ingest.extract import Extract
from memorag_core.ingest.rtf import BEGIN

BEGINNINGS = {re.compile(rb"%PDF-\d"): ".pdf", re.compile(re.escape(BEGIN)): ".rtf"}
OPEN_TYPES = {
    b"application/vnd.oasis.opendocument.text": ".odt",
    b"application/vnd.oasis.opendocument.presentation": ".odp",
    b"application/vnd.oasis.opendocument.spreadsheet": ".ods",
    b"application/epub+zip": ".epub",
}
"""What the first part of an archive, named `mimetype`, says of it; templates say `-template` behind it."""
PARTS = {
    b"word/document.xml": ".docx",
    b"ppt/presentation.xml": ".pptx",
    b"xl/workbook.": ".xlsx",
    b"META-INF/container.xml": ".epub",
}
"""What only archives of one format hold."""
SAVED_AS_PAGES = {".doc", ".xls", ".dot", ".wps"}
"""What programs call a page, so that an office program opens it."""
PAGE_BEGINNINGS = (b"<html", b"<!doctype html", b"<head", b"<meta", b"<style", b"<body", b"<table")
LONGEST_END = 22 + 0xFFFF
"""Bytes of what ends an archive, its comment with it."""
_ENTRY = re.compile(rb"PK\x01\x02.{42}(?P<name>" + b"|".join(map(re.escape, PARTS)) + b")", re.DOTALL)


def suffix_told_by(data: bytes, suffix: str) -> str:
    """The suffix that a file should have: its own, unless its bytes are surely of another format that is read."""
    suffix, begin = suffix.lower(), data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    told = next((kind for mark, kind in BEGINNINGS.items() if mark.match(begin)), "")
    if data.startswith(b"PK\3\4") and suffix != ".zip":
        told = _type_of_archive(data) or _suffix_by_parts(data)
    elif suffix in SAVED_AS_PAGES and begin[:20].lower().startswith(PAGE_BEGINNINGS):
        told = ".html"
    return told or suffix


def tell_format(extract: Extract, suffix: str) -> Extract:
    """What a file holds, with the notice that it is of the format of this suffix though its name says another."""
    named = f"It was read as {suffix[1:].upper()}, which it is, though its name does not end so."
    return replace(extract, notice=f"{named} {extract.notice}".rstrip())


def _type_of_archive(data: bytes) -> str:
    """What the first part of an archive says of it, if it says anything."""
    size, name, extra = unpack_from("<I4xHH", data.ljust(30), 18)
    start = 30 + name + extra
    says = data[start : start + min(size, 100)] if data[30 : 30 + name] == b"mimetype" else b""
    return OPEN_TYPES.get(says.strip().removesuffix(b"-template"), "")


def _suffix_by_parts(data: bytes) -> str:
    """By the names in the directory at the end of an archive; those of an archive inside it do not count."""
    end = data.rfind(b"PK\5\6", -LONGEST_END)
    size, start = unpack_from("<II", data[end:].ljust(22), 12) if end >= 0 else (0, 0)
    names = {match["name"] for match in _ENTRY.finditer(data[start : start + size])}
    return next((suffix for part, suffix in PARTS.items() if part in names), "")
