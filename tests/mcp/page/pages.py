"""One server and one browser for the tests of the page, over a few small documents; and what a reader does there."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsers import running_browser
from conftest import STORY, tiny_settings
from documents import write_docx, write_pdf
from mcp_processes import LOOPBACK, served

from memorag_core import MemoRAG, Settings
from memorag_core.ingest import from_path, from_text
from memorag_core.runtime import Runtime

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HORN = [
    f"Day {day} upon the harbour. The tide came in twice, and nobody wrote down why. "
    f"On day {day} the horn was sounded {day * 3} times before the water was let go. The clerk signed the book."
    for day in range(1, 5)
]
HOSTILE = (
    "<script>window.stolen = 1</script><img src=x onerror='window.stolen = 2'>\n\n"
    "[Click](javascript:window.stolen=3) <a href='javascript:window.stolen=4'>here</a> \U0001f6a2 for the weights.\n\n"
    "The pins of <b>Ardmouth</b> weigh fourteen pounds \U0001f6a2 each, said the \u202einspector.\n"
)


@pytest.fixture(scope="session")
def page_settings(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory, session_shared: Runtime) -> Settings:
    """A store with a text, a PDF, a DOCX and a text that would like to be a program."""
    folder = tmp_path_factory.mktemp("page")
    settings = tiny_settings(tiny_models, folder)
    engine = MemoRAG(settings, shared=session_shared)
    engine.memorize([from_text(STORY, "The Mill")], "mill")
    engine.memorize(from_path(write_pdf(folder / "horn.pdf", HORN), 10**6), "horn")
    engine.memorize(from_path(write_docx(folder / "report.docx"), 10**6), "report")
    engine.memorize([from_text(HOSTILE, "<i>Pins</i>")], "pins")
    return settings


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def address(page_settings: Settings) -> Iterator[str]:
    """Where the page is."""
    with served(page_settings, "http") as port:
        yield f"http://{LOOPBACK}:{port}/"


def ask(page: Page, question: str, *contexts: str) -> None:
    """Ask these contexts, and wait for the answer."""
    page.wait_for_selector(".contexts input", state="attached")
    if page.viewport_size and page.viewport_size["width"] < 1080:
        page.get_by_role("button", name="Contexts").click()
    for box in page.locator(".contexts input").all():
        box.set_checked(box.get_attribute("aria-label") in {f"Ask {name}" for name in contexts})
    if page.viewport_size and page.viewport_size["width"] < 1080:
        page.locator(".tabs").get_by_role("button", name="Ask").click()
    before = page.locator(".turn").count()
    page.get_by_role("textbox", name="Question").fill(question)
    page.get_by_role("textbox", name="Question").press("Enter")
    page.locator(".turn").nth(before).locator(".tools button").last.wait_for()


def follow_each_number(page: Page, lit: str) -> list[tuple[str, str]]:
    """Of each citation its quote, and what is lit once its number was clicked."""
    pairs = []
    turn = page.locator(".turn").last
    for item in turn.locator(".quotes li").all():
        item.locator(".number").click()
        page.wait_for_selector(".document:not([aria-busy])")
        pairs.append((item.locator("blockquote").inner_text(), "".join(page.locator(lit).all_text_contents())))
    return pairs


def bare(text: str) -> str:
    """A text without its blanks and hyphens, which a page's lines may have where the text has none."""
    return re.sub(r"[\s\u00ad-]+", "", text)


def drop_files(page: Page, files: Sequence[Path]) -> None:
    """Drop files on the page, as a hand does."""
    held = page.evaluate_handle("new DataTransfer()")
    for file in files:
        data = base64.b64encode(file.read_bytes()).decode()
        held.evaluate(
            "(held, [name, data]) => { const bytes = Uint8Array.from(atob(data), char => char.charCodeAt(0));"
            " held.items.add(new File([bytes], name)) }",
            [file.name, data],
        )
    page.dispatch_event("body", "drop", {"dataTransfer": held})
