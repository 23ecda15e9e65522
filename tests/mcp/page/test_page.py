"""The page in a real browser: ask, click a number, and the quote is lit where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsers import SHOTS, opened, shoot
from documents import write_pdf
from hands import ask, bare, drop_files, follow_each_number
from mcp_processes import LOOPBACK, served

from memorag_core import Settings
from memorag_mcp.http.tokens import Tokens

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest_plugins = ["pages"]
pytestmark = pytest.mark.slow
NUMBERS = SHOTS / "numbers.txt"


def test_each_number_of_an_answer_lights_its_quote_in_the_text(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        ask(page, "When were the gates hung?", "The Mill")
        pairs = follow_each_number(page, ".document mark")
        assert pairs
        assert all(quote == lit for quote, lit in pairs)
        claims = page.locator(".claim").count()
        assert page.locator(".claim .sign").count() == claims > 0


def test_each_number_lights_the_words_of_its_quote_on_the_image_of_the_pdf_page(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        ask(page, "How often was the horn sounded on day 3?", "horn")
        pairs = follow_each_number(page, ".sheet .only-heard")
        assert pairs
        assert all(bare(quote) == bare(lit.removeprefix("Marked: ")) for quote, lit in pairs)
        box = page.locator(".lit").first.bounding_box()
        assert box is not None
        assert box["width"] > 50
        assert box["y"] > 0
        shoot(page, "pdf-1400")


def test_a_docx_is_shown_as_text_with_the_quote_lit(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        ask(page, "When were the gates hung?", "Report upon the Mill")
        pairs = follow_each_number(page, ".document mark")
        assert pairs
        assert all(quote.split() == lit.split() for quote, lit in pairs)


def test_two_contexts_are_asked_at_once_and_each_quote_opens_in_its_own(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        ask(page, "How often was the horn sounded?", "The Mill", "horn")
        seen = set()
        page.locator(".passages").evaluate("node => { node.parentElement.open = true }")
        for passage in page.locator(".passage").all():
            passage.click()
            page.wait_for_selector(".document:not([aria-busy])")
            seen.add(page.locator(".source .hint").first.inner_text().split(" › ")[0])
        assert seen == {"mill", "horn"}


def test_what_stands_in_a_document_is_never_a_program(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        ask(page, "What do the pins of Ardmouth weigh?", "<i>Pins</i>")
        pairs = follow_each_number(page, ".document mark")
        assert pairs
        assert all(quote == lit for quote, lit in pairs)
        assert "<script>window.stolen" in page.locator(".document").inner_text()
        assert page.evaluate("window.stolen") is None
        assert page.locator(".document a, .document script, .document img, .talk a").count() == 0


def test_the_conversation_survives_a_reload(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        ask(page, "Who kept the gate book?", "The Mill")
        before = page.locator(".answer").inner_text()
        page.reload()
        page.wait_for_selector(".turn")
        assert page.locator(".answer").inner_text() == before
        assert all(quote == lit for quote, lit in follow_each_number(page, ".document mark"))


def test_a_search_without_an_answer_shows_passages_and_what_found_them(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        page.get_by_role("checkbox", name="Search only").check()
        ask(page, "Where did the inspector come from?", "The Mill")
        assert page.locator(".answer").inner_text() == ""
        assert "Found by the question" in page.locator(".passage small").first.inner_text()
        page.locator(".passage").first.click()
        page.wait_for_selector(".document mark")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_is_wider_than_the_window(width: int, theme: str, browser: Browser, address: str) -> None:
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": theme}
    with opened(browser, address, **options) as page:
        ask(page, "How often was the horn sounded on day 2?", "horn")
        shoot(page, f"answer-{width}-{theme}")
        page.locator(".quotes .number").first.click()
        page.wait_for_selector(".document .lit")
        shoot(page, f"source-{width}-{theme}")
        wide = page.evaluate(
            "[...document.querySelectorAll('body, body *')].filter(one => !one.closest('.only-heard, .scroll')"
            " && one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80))"
        )
        assert wide == []


def test_dropped_files_are_memorized_with_each_ones_fate_and_can_be_asked(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    pdf = write_pdf(
        tmp_path / "lamp.pdf", ["The lamp of the north pier was lit by Ada Quill at dusk.", "Nobody else had the key."]
    )
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 no more of it")
    with opened(browser, address) as page:
        page.wait_for_selector(".contexts input", state="attached")
        drop_files(page, [pdf, tmp_path / "broken.pdf"])
        page.locator(".fates", has_text="is memorized").wait_for()
        fates = dict(item.split(" ", 1) for item in page.locator(".fates li").all_inner_texts())
        assert fates["lamp.pdf"] == "is memorized"
        assert "was not read" in fates["broken.pdf"]
        assert ".work" not in fates["broken.pdf"]
        ask(page, "Who lit the lamp of the north pier?", "lamp")
        assert page.locator(".lit").count() == 0
        pairs = follow_each_number(page, ".sheet .only-heard")
        assert all(bare(quote) == bare(lit.removeprefix("Marked: ")) for quote, lit in pairs)


def test_memorizing_shows_its_progress_and_stops_when_it_is_cancelled(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    long = tmp_path / "long.txt"
    long.write_text("\n\n".join(f"Entry {n}: the tide stood at {n % 17} feet at noon." for n in range(40_000)))
    with opened(browser, address) as page:
        page.wait_for_selector(".contexts input", state="attached")
        drop_files(page, [long])
        page.locator(".jobs progress").wait_for()
        shoot(page, "progress-1400")
        page.locator(".jobs").get_by_role("button", name="Cancel").click()
        page.locator(".fates", has_text="cancelled").wait_for()
        assert page.get_by_role("checkbox", name="Ask long").count() == 0


def test_a_token_is_asked_for_once_and_kept_for_the_tab(
    browser: Browser, page_settings: Settings, tmp_path: Path
) -> None:
    tokens = Tokens(tmp_path / "tokens")
    token = tokens.add("ann")
    with (
        served(page_settings, "http", "--tokens", str(tokens.path)) as port,
        opened(browser, f"http://{LOOPBACK}:{port}/") as page,
    ):
        page.get_by_label("Token", exact=True).fill("wrong")
        page.get_by_role("button", name="Go in").click()
        page.get_by_text("That token does not hold").wait_for()
        page.get_by_label("Token", exact=True).fill(token)
        page.get_by_role("button", name="Go in").click()
        page.get_by_text("Nothing is memorized yet").wait_for()  # what is there is nobody's, and she has none of hers
        page.reload()
        page.get_by_text("Nothing is memorized yet").wait_for()
        assert page.locator("dialog").count() == 0
        assert page.evaluate("JSON.stringify(localStorage)") == "{}"


def test_the_page_is_light_paints_soon_and_has_no_serious_fault_of_access(browser: Browser, address: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with opened(browser, address, bypass_csp=True) as page:
        ask(page, "How often was the horn sounded on day 4?", "horn", "The Mill")
        page.locator(".quotes .number").first.click()
        page.wait_for_selector(".document:not([aria-busy])")
        faults = Axe().run(page).response["violations"]
        serious = [fault for fault in faults if fault["impact"] in {"serious", "critical"}]
        told = [(fault["id"], [node["html"][:100] for node in fault["nodes"][:2]]) for fault in serious]
        assert told == []
        files = page.evaluate(
            "performance.getEntriesByType('resource').filter(one => one.name.includes('/page/'))"
            ".reduce((sum, one) => sum + one.decodedBodySize, 0)"
        )
        assert 10_000 < files < 300_000
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        NUMBERS.parent.mkdir(exist_ok=True)
        NUMBERS.write_text(f"page weight {files:,} bytes, first paint after {paint:.0f} ms\n")


def test_a_conversation_is_copied_as_markdown_with_quotes_and_places(browser: Browser, address: str) -> None:
    with opened(browser, address, permissions=["clipboard-read", "clipboard-write"]) as page:
        ask(page, "How often was the horn sounded on day 1?", "horn")
        quote = page.locator(".quotes blockquote").first.inner_text()
        page.get_by_role("button", name="Copy as Markdown").click()
        page.get_by_text("Copied").wait_for()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith("**How often was the horn sounded on day 1?**")
        assert f"> {quote}" in copied
        assert "characters" in copied


def test_an_opened_context_tells_what_it_says_and_three_questions_which_can_be_asked(
    browser: Browser, address: str
) -> None:
    with opened(browser, address) as page:
        page.locator(".contexts summary", has_text="Report upon the Mill").click()
        questions = page.locator(".overview .next button")
        questions.first.wait_for()
        assert questions.count() == 3
        assert len(page.locator(".overview p").first.inner_text().split()) > 5
        asked = questions.first.inner_text()
        questions.first.click()
        page.locator(".turn .tools button").last.wait_for()
        assert page.locator(".turn h2").inner_text() == asked
        assert page.locator(".overview .next button").count() == 3  # drawing the list anew closes nothing


def test_a_context_is_summarized_at_length_and_a_suggested_question_is_asked(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        page.locator(".contexts summary", has_text="Report upon the Mill").click()
        page.get_by_role("button", name="Summarize at length").locator("visible=true").click()
        page.locator(".turn .next button").first.wait_for()
        question = page.locator(".turn .next button").first.inner_text()
        page.locator(".turn .next button").first.click()
        page.locator(".turn").nth(1).locator(".tools button").last.wait_for()
        assert page.locator(".turn h2").nth(1).inner_text() == question
