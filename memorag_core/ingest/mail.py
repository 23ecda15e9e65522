"""Messages of e-mail: who wrote to whom, when and about what, then the text; attachments are told by name."""

from __future__ import annotations

from email import policy
from email.parser import BytesParser

from memorag_core.ingest.extract import Extract, extract_pages
from memorag_core.ingest.html import decode_page, reflow

HEADERS = ("From", "To", "Cc", "Date", "Subject")


def read(data: bytes, what: str, limit: int) -> Extract:
    """Read an EML file, its plain text where it has one, else its HTML."""
    message = BytesParser(policy=policy.default).parsebytes(data)
    lines = [f"{name}: {message[name]}" for name in HEADERS if message[name]]
    body = message.get_body(("plain", "html"))
    words = ""
    if body is not None:
        content = body.get_payload(decode=True)
        is_html = body.get_content_type() == "text/html"
        if is_html and isinstance(content, bytes) and not body.get_content_charset():
            words = reflow(decode_page(content, what)[0], what, whole=True).text
        else:
            words = body.get_content()
            words = reflow(words, what, whole=True).text if is_html else words
    text, _ = extract_pages(["\n".join(lines) + "\n\n" + words.replace("\r\n", "\n")], what, limit)
    names = [part.get_filename() or part.get_content_type() for part in message.iter_attachments()]
    notice = f"Left out: attachments ({', '.join(names)}). Save them and give them as files." if names else ""
    return Extract(text, title=str(message["Subject"] or ""), notice=notice)
