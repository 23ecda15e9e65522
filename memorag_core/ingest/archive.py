"""Archives that office documents and books are, opened only where what they unpack to is in proportion."""

from __future__ import annotations

import io
import zipfile

from memorag_core.errors import InputError, quote_name

MAX_UNPACKED = 512 << 20
MAX_RATIO = 200
MAX_ENTRIES = 20_000
SMALL = 16 << 20
OLE = b"\xd0\xcf\x11\xe0"
ENCRYPTED = 1


def open_archive(data: bytes, what: str) -> zipfile.ZipFile:
    """The archive in some bytes. What `zipfile` reads of an entry is never more than the size checked here.

    Raises:
        InputError: no archive, encrypted, or one that unpacks to far more than a document does.
    """
    if data.startswith(OLE):
        raise InputError(
            f"{what} is encrypted, or of an old Office format. Save it without a password, as DOCX or PPTX."
        )
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{what} is damaged: it is no archive, as its kind is ({quote_name(error)}). Save it anew."
        ) from error
    entries = archive.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_ENTRIES or unpacked > MAX_UNPACKED or unpacked > max(SMALL, len(data) * MAX_RATIO):
        raise InputError(
            f"{what} unpacks from {len(data):,} to {unpacked:,} bytes in {len(entries):,} files, as an archive made to "
            "do harm does. Convert it to plain text, or split it."
        )
    if any(entry.flag_bits & ENCRYPTED for entry in entries):
        raise InputError(f"{what} is encrypted. Save it without a password.")
    return archive
