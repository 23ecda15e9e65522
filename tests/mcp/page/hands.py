"""What a reader does on the page."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page


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
