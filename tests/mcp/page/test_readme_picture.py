"""The picture of the README: real models, a PDF, and an answer beside its source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsers import opened, shoot
from documents import write_pdf
from hands import ask, bare, follow_each_number
from mcp_processes import LOOPBACK, served

from memorag_core import MemoRAG, Settings
from memorag_core.ingest import from_path

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest_plugins = ["pages"]
REPORT = [
    "Report upon the harbour works at Ardmouth\n\n"
    "The Trust took possession of the old tide mill in March 1962. Its pond holds eleven million gallons at springs, "
    "and its wheel had not turned for forty years. The Surveyor advised that the pond be kept to scour the channel, "
    "since a dredger could not be had before the autumn.\n\n"
    "The lock gates were hung on the eighth and ninth of May 1963 by Reuben Stott, fitter to the Trust. Each leaf is "
    "of greenheart and weighs four tons. The pins came from the loft above the store, where the finished set was kept "
    "by resolution of the Board.",
    "The sounding of the horn\n\n"
    "Before water is let go the horn is sounded three times, and the keeper waits until the slip is clear. Amos Vell "
    "kept the gate book from 1951 until the winter of 1966, and wrote the hour of each sounding in it.\n\n"
    "The book for January 1967 was not found. Mrs. Mallory looked for it in the office, in the loft and in the house "
    "of the keeper, and says that nobody had asked for it before her.",
    "The cost of the works\n\n"
    "The gates cost the Trust two thousand and forty pounds, of which the County paid a third. The dredging of the "
    "channel was put off to the next year. The Treasurer holds that the toll need not be raised before 1970.",
]


@pytest.mark.slow
def test_the_picture_of_the_readme(browser: Browser, tmp_path: Path) -> None:
    settings = Settings.of(profile="tiny", device="cpu", store=tmp_path / "store")
    file = write_pdf(tmp_path / "Harbour works.pdf", REPORT)
    MemoRAG(settings).memorize(from_path(file, 10**6), "harbour")
    with (
        served(settings, "http") as port,
        opened(browser, f"http://{LOOPBACK}:{port}/", viewport={"width": 1280, "height": 720}) as window,
    ):
        window.set_default_timeout(300_000)
        ask(window, "When were the lock gates hung, and by whom?", "Harbour works")
        assert window.locator(".claim.borne").count() > 0
        pairs = follow_each_number(window, ".sheet .only-heard")
        assert all(bare(quote) == bare(lit.removeprefix("Marked: ")) for quote, lit in pairs)
        window.locator(".claim .number").first.click()
        window.wait_for_selector(".document:not([aria-busy]) .lit")
        shoot(window, "readme")
