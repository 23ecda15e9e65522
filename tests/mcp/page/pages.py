"""One server and one browser for the tests of the page, over a few small documents."""

from __future__ import annotations

from collections.abc import Iterator
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
    from playwright.sync_api import Browser

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. No longer than a module: while its driver runs in this thread, no other event loop can."""
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def address(page_settings: Settings) -> Iterator[str]:
    """Where the page is."""
    with served(page_settings, "http") as port:
        yield f"http://{LOOPBACK}:{port}/"
