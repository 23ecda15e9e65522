"""Messages of e-mail: who wrote to whom, when and about what, the text, and the documents that are attached."""

from __future__ import annotations

import codecs
import io
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from functools import cache, partial
from mimetypes import guess_extension
from typing import Any

from memorag_core.ingest.bundle import read_members, tell
from memorag_core.ingest.extract import Extract, Reader, extract_pages
from memorag_core.ingest.html import decode_page, reflow
from memorag_core.ingest.plain import read as read_plain

HEADERS = ("From", "To", "Cc", "Date", "Subject")
ATTACHED, NOTE = "message.eml", "message.txt"
BLANKS = " \t\r\n\0"
NEVER = 1601
"""The year with which Outlook says that a message was not sent."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A message: lines of its head, its words, names and bytes of what is attached, and when it was sent."""

    lines: list[str]
    words: Extract
    attached: list[tuple[str, bytes]]
    subject: str
    sent: datetime | None


def reader_of(readers: Mapping[str, Reader], outlook: bool = False) -> Reader:
    """Make the reader of EML, or of Outlook's MSG, whose attachments have formats with these ends of names."""
    parse = _parse_outlook if outlook else _parse

    def read(data: bytes, what: str, limit: int) -> Extract:
        """Read a message, then what is attached; what of that is not read is told, and ends nothing."""
        mail = parse(data, what)
        told = [mail.words.notice] if mail.words.notice else []
        body = "\n".join(mail.lines) + "\n\n" + mail.words.text.replace("\r\n", "\n")
        attached = ((name, partial(bytes, held)) for name, held in mail.attached)
        text, _ = extract_pages([body, *read_members(attached, readers, limit, told)], what, limit)
        sent = mail.sent.date().isoformat() if mail.sent else ""
        return Extract(text, title=mail.subject, notice=tell(told), date=sent)

    return read


def _parse(data: bytes, what: str) -> Mail:
    message = BytesParser(policy=policy.default).parsebytes(data)
    lines = [f"{name}: {message[name]}" for name in HEADERS if message[name]]
    sent = getattr(message["Date"], "datetime", None)
    return Mail(lines, _words(message, what), list(_attached(message)), str(message["Subject"] or ""), sent)


def _words(message: EmailMessage, what: str) -> Extract:
    """The plain text of a message where it has one, else its HTML as text; a guess of its encoding is told."""
    body = message.get_body(("plain", "html"))
    if body is None:
        return Extract("")
    is_html, content = body.get_content_type() == "text/html", body.get_payload(decode=True)
    if isinstance(content, bytes) and content.strip() and not _is_known(body.get_content_charset()):
        if is_html:
            words, notice = decode_page(content, what)
        else:
            found = read_plain(content, what, len(content))
            words, notice = found.text, found.notice
    else:
        words, notice = str(body.get_content()), ""
    return Extract(reflow(words, what, whole=True).text if is_html else words, notice=notice)


def _is_known(charset: str | None) -> bool:
    try:
        return charset is not None and bool(codecs.lookup(charset))
    except LookupError:
        return False


def _attached(message: EmailMessage) -> Iterator[tuple[str, bytes]]:
    """Yield names and bytes of what is attached; what has no name has one that says its kind."""
    for part in message.iter_attachments():
        kind, name = part.get_content_type(), part.get_filename()
        content = part.get_payload(decode=True)
        if kind == "message/rfc822":
            inner: Any = part.get_content()
            coded = str(part["Content-Transfer-Encoding"] or "").lower() == "base64"  # against the standard
            yield name or ATTACHED, _decode(inner.as_bytes()) if coded else inner.as_bytes()
        elif part.is_multipart():
            yield name or (ATTACHED if kind.startswith("multipart/") else NOTE), part.as_bytes()
        else:
            end = guess_extension(kind) or (".txt" if kind.startswith("text/") else "")
            yield name or (f"part{end}" if end else kind), content if isinstance(content, bytes) else b""


def _decode(coded: bytes) -> bytes:
    try:
        return b64decode(coded)
    except ValueError:
        return coded


@cache
def _name_pages() -> None:
    """Have code pages found by the names that Outlook's have, `windows-950`."""
    codecs.register(lambda name: codecs.lookup(f"cp{name[8:]}") if re.fullmatch(r"windows_\d+", name) else None)


def _parse_outlook(data: bytes, what: str) -> Mail:
    from oxmsg import Message

    _name_pages()
    message = Message.load(io.BytesIO(data))
    heads = {name.lower(): value for name, value in message.message_headers.items()}
    sent = message.sent_date if message.sent_date and message.sent_date.year > NEVER else None
    to = ", ".join(f"{one.name} <{one.email_address}>" for one in message.recipients)
    known = {"From": message.sender, "To": to, "Date": sent, "Subject": message.subject}
    lines = [f"{name}: {value}" for name in HEADERS if (value := known.get(name) or heads.get(name.lower()))]
    words = Extract(message.body or (reflow(message.html_body, what, whole=True).text if message.html_body else ""))
    attached = [(one.file_name or "attachment", one.file_bytes or b"") for one in message.attachments]
    return Mail(lines, words, attached, (message.subject or "").strip(BLANKS), sent)
