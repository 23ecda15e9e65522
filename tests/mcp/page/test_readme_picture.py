"""The picture of the README: real models, a PDF of the sample's letters, an answer beside its source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsers import opened, shoot
from conftest import SAMPLES
from documents import write_pdf
from hands import ask
from mcp_processes import LOOPBACK, served

from memorag_core import MemoRAG, Settings
from memorag_core.ingest import from_path

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest_plugins = ["pages"]
CHARACTERS = 9_000
A_PAGE = 1_800


@pytest.mark.slow
def test_the_picture_of_the_readme(browser: Browser, tmp_path: Path) -> None:
    text = (SAMPLES / "harrow-sound.md").read_text(encoding="utf-8")
    begin = text.index("## Evidence of Reuben Stott")
    lines = "".join(char if ord(char) < 256 else "-" for char in text[begin : begin + CHARACTERS]).split("\n\n")
    pages, page = [], ""
    for line in lines:
        if len(page) + len(line) > A_PAGE:
            pages.append(page)
            page = ""
        page += line.strip("#* ") + "\n\n"
    settings = Settings.of(profile="tiny", device="cpu", store=tmp_path / "store")
    file = write_pdf(tmp_path / "Evidence of Reuben Stott.pdf", [*pages, page])
    MemoRAG(settings).memorize(from_path(file, 10**6), "stott")
    with (
        served(settings, "http") as port,
        opened(browser, f"http://{LOOPBACK}:{port}/", viewport={"width": 1280, "height": 720}) as window,
    ):
        window.set_default_timeout(300_000)
        ask(window, "Who hung the gates, and when?", "Evidence of Reuben Stott")
        window.locator(".number").first.click()
        window.wait_for_selector(".lit")
        window.wait_for_selector(".document:not([aria-busy])")
        assert window.locator(".claim.borne").count() > 0
        shoot(window, "readme")
