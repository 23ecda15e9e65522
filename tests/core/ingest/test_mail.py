"""Mail with what is attached to it, and what texts say of themselves at their heads."""

from __future__ import annotations

from base64 import b64encode
from codecs import lookup
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from documents import write_docx, write_pdf

from memorag_core.ingest import from_path
from memorag_core.ingest.formats import format_of
from memorag_core.ingest.headings import find_date, find_title

LIMIT = 100_000


def message(subject: str, words: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Ann <ann@mill.example>", "Bo <bo@mill.example>", subject
    mail["Date"] = "Mon, 03 May 2021 10:00:00 +0200"
    mail.set_content(words)
    return mail


def test_attachments_are_documents_inside_the_mail_and_what_is_not_read_is_told(tmp_path: Path) -> None:
    mail, forwarded = message("Plans", "See what is attached."), message("Old plans", "The lock stays.")
    forwarded.add_attachment("depth,m\nnorth,4\n", subtype="csv", filename="depths.csv")
    report = write_docx(tmp_path / "report.docx").read_bytes()
    paper = write_pdf(tmp_path / "paper.pdf", ["The gates were hung in May."]).read_bytes()
    for name, data in {"report.docx": report, "paper.pdf": paper, "plan.dwg": b"AC1032", "bad.pdf": b"%PDF"}.items():
        mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    mail.add_attachment(forwarded)
    folder = tmp_path / "mail"
    folder.mkdir()
    (folder / "plans.eml").write_bytes(mail.as_bytes())
    [document] = from_path(folder, LIMIT)
    assert (document.title, document.date) == ("Plans", "2021-05-03")
    parts = ["See what is attached.", "# report.docx", "14 pounds", "# paper.pdf", "hung in May.", "# message.eml"]
    parts += ["Subject: Old plans", "The lock stays.", "# depths.csv", "north"]
    places = [document.text.index(part) for part in parts]
    assert places == sorted(places)
    assert "Not read: plan.dwg (no format that is read)." in document.notice
    assert "Not read: bad.pdf is damaged" in document.notice


def test_a_message_of_outlook_is_read_with_what_is_attached(monkeypatch: pytest.MonkeyPatch) -> None:
    attached: Any = SimpleNamespace(file_name="note.txt", file_bytes=b"The lock stays.")
    held = SimpleNamespace(
        message_headers={"Cc": "Cy <cy@mill.example>"},
        recipients=[SimpleNamespace(name="Bo", email_address="bo@mill.example")],
        sender="Ann <ann@mill.example>",
        sent_date=datetime(2021, 5, 3, tzinfo=UTC),
        subject="Plans",
        body="See the note.\r\n",
        html_body=None,
        attachments=(attached,),
    )
    monkeypatch.setattr("oxmsg.Message.load", lambda _: held)
    extract = format_of(".msg").read(b"", "plans.msg", LIMIT)
    assert extract.text.startswith("From: Ann <ann@mill.example>\nTo: Bo <bo@mill.example>\nCc: Cy <cy@mill.example>\n")
    assert "See the note.\n\n# note.txt\n\nThe lock stays." in extract.text
    assert (extract.title, extract.date) == ("Plans", "2021-05-03")
    held.subject = "Plans \0"
    assert format_of(".msg").read(b"", "plans.msg", LIMIT).title == "Plans"
    assert lookup("windows-950").name == "cp950"
    held.sent_date = datetime(1601, 1, 1, tzinfo=UTC)
    assert format_of(".msg").read(b"", "draft.msg", LIMIT).date == ""


@pytest.mark.parametrize(
    ("text", "title", "date"),
    [
        ('---\ntitle: "The mill"\ndate: 2021-05-03T10:00\n---\n# Other\n', "The mill", "2021-05-03"),
        ("---\r\nauthor: Ann\r\n---\r\n\r\n# The mill\r\nText", "The mill", ""),
        ("+++\ntitle = 'The mill'\ndate = 2021-05-03\n+++\nText", "The mill", "2021-05-03"),
        ("The mill\n========\n\nText", "The mill", ""),
        ("==========\n The mill\n==========\n\nText", "The mill", ""),
        ("The mill\n~~~~~~~~\nText", "The mill", ""),
        ("#+AUTHOR: Ann\n#+TITLE: The mill\n* One", "The mill", ""),
        ("= The mill\nAnn\n\n== One", "The mill", ""),
        ("\\documentclass{article}\n\\title{The mill}\n", "The mill", ""),
        ("# The mill #\nText", "The mill #", ""),
        ("A line.\n---\nAnother.", "", ""),
        ("Text of a day.\n\ntitle: none\n", "", ""),
        ("--- a/x.py\n+++ b/x.py\n", "", ""),
    ],
)
def test_a_text_has_the_title_and_date_that_it_names(text: str, title: str, date: str) -> None:
    assert (find_title(text), find_date(text)) == (title, date)


HEAD = "Subject: Plans\nMIME-Version: 1.0\n"
BOTH = HEAD + "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nFirst.\n"
NESTED = (
    "--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: text/plain\n\nThe lock stays.\n--c--\n--b--\n"
)
CODED = "--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{}\n--b--\n"
OLD = b64encode(b"Subject: Old plans\n\nThe lock stays.\n").decode()
REPORT = "--b\nContent-Type: message/delivery-status\n\nAction: The lock stays.\n--b--\n"


@pytest.mark.parametrize(
    "rest",
    [
        NESTED,
        CODED.format(OLD),
        "--b\nContent-Type: text/plain\nContent-Disposition: attachment\n\nThe lock stays.\n--b--\n",
        "--b\nContent-Type: text/html\nContent-Disposition: attachment\n\n<p>The lock stays.</p>\n--b--\n",
        "--b\nContent-Type: text/rfc822-headers\n\nX: The lock stays.\n--b--\n",
        REPORT,
    ],
)
def test_parts_of_mail_that_have_no_name_are_read_by_their_kind(rest: str) -> None:
    extract = format_of(".eml").read((BOTH + rest).encode(), "plans.eml", LIMIT)
    assert "First.\n\n# " in extract.text
    assert "The lock stays." in extract.text
    assert extract.notice == ""


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("text/plain; charset=X-UNKNOWN", "Grüße aus Köln, schöne Woche.".encode(), False),
        ("text/plain; charset=X-UNKNOWN", "Grüße aus Köln, schöne Woche.".encode("cp1252"), True),
        ("text/plain", "Grüße aus Köln, schöne Woche.".encode("cp1252"), True),
        ("text/html; charset=X-UNKNOWN", "<p>Grüße aus Köln, schöne Woche.</p>".encode(), False),
        ("text/plain; charset=cp850", "Grüße aus Köln, schöne Woche.".encode("cp850"), False),
    ],
)
def test_mail_without_an_encoding_that_is_known_is_read_in_the_one_it_looks_like(
    kind: str, body: bytes, told: bool
) -> None:
    head = f"{HEAD}Content-Type: {kind}\nContent-Transfer-Encoding: 8bit\n\n".encode()
    extract = format_of(".eml").read(head + body, "plans.eml", LIMIT)
    assert extract.text.endswith("Grüße aus Köln, schöne Woche.")
    assert ("a guess" in extract.notice) is told
