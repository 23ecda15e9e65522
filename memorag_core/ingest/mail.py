"""Messages of e-mail: who wrote to whom, when and about what, the text, and the documents that are attached."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from functools import partial
from typing import Any

from memorag_core.ingest.bundle import read_members, tell
from memorag_core.ingest.extract import Extract, Reader, extract_pages
from memorag_core.ingest.html import decode_page, reflow

HEADERS = ("From", "To", "Cc", "Date", "Subject")
ATTACHED = "message.eml"
NEVER = 1601
"""The year with which Outlook says that a message was not sent."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A message: lines of its head, its words, names and bytes of what is attached, and when it was sent."""

    lines: list[str]
    words: str
    attached: list[tuple[str, bytes]]
    subject: str
    sent: datetime | None


def reader_of(readers: Mapping[str, Reader], outlook: bool = False) -> Reader:
    """Make the reader of EML, or of Outlook's MSG, whose attachments have formats with these ends of names."""
    parse = _parse_outlook if outlook else _parse

    def read(data: bytes, what: str, limit: int) -> Extract:
        """Read a message, then what is attached; what of that is not read is told, and ends nothing."""
        mail, told = parse(data, what), list[str]()
        body = "\n".join(mail.lines) + "\n\n" + mail.words.replace("\r\n", "\n")
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


def _words(message: EmailMessage, what: str) -> str:
    """The plain text of a message where it has one, else its HTML as text."""
    body = message.get_body(("plain", "html"))
    if body is None:
        return ""
    content = body.get_payload(decode=True)
    if body.get_content_type() != "text/html":
        return str(body.get_content())
    if isinstance(content, bytes) and not body.get_content_charset():
        return reflow(decode_page(content, what)[0], what, whole=True).text
    return reflow(body.get_content(), what, whole=True).text


def _attached(message: EmailMessage) -> Iterator[tuple[str, bytes]]:
    for part in message.iter_attachments():
        if part.get_content_type() == "message/rfc822":
            inner: Any = part.get_content()
            yield part.get_filename() or ATTACHED, inner.as_bytes()
        else:
            content = part.get_payload(decode=True)
            yield part.get_filename() or part.get_content_type(), content if isinstance(content, bytes) else b""


def _parse_outlook(data: bytes, what: str) -> Mail:
    from oxmsg import Message

    message = Message.load(io.BytesIO(data))
    heads = {name.lower(): value for name, value in message.message_headers.items()}
    sent = message.sent_date if message.sent_date and message.sent_date.year > NEVER else None
    to = ", ".join(f"{one.name} <{one.email_address}>" for one in message.recipients)
    known = {"From": message.sender, "To": to, "Date": sent, "Subject": message.subject}
    lines = [f"{name}: {value}" for name in HEADERS if (value := known.get(name) or heads.get(name.lower()))]
    words = message.body or (reflow(message.html_body, what, whole=True).text if message.html_body else "")
    attached = [(one.file_name or "attachment", one.file_bytes or b"") for one in message.attachments]
    return Mail(lines, words, attached, message.subject, sent)
