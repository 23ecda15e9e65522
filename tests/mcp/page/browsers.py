"""A real browser for tests, and pages in it that keep what went wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("MEMORAG_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
SHOTS = Path(__file__).resolve().parents[3] / "screenshots"
MILLISECONDS = 60_000


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium, without a window. Where it is not installed, the test is skipped; in CI that is a failure."""
    if CHROMIUM is None:
        reason = "Chromium is not installed (Debian: apt-get install chromium), or name it by MEMORAG_CHROMIUM"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A page in a session of its own. At its end nothing may have gone wrong in it that nobody caught."""
    session = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
    session.set_default_timeout(MILLISECONDS)
    page = session.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
    try:
        page.goto(url)
        yield page
        assert wrong == []
    finally:
        session.close()


def shoot(page: Page, name: str) -> None:
    """Keep a screenshot for people to look at."""
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")
