"""Words that mean another day than they say, where it is known when they were said."""

from __future__ import annotations

import time
from datetime import date

import pytest

from memorag_core.text.date_lines import find_date_line
from memorag_core.text.dates import last_day
from memorag_core.text.relative_dates import note_dates, read_relative_dates

MONDAY = "Session 1, 1:56 pm on 8 May, 2023"


def note(text: str, lines_over: str = MONDAY) -> str:
    return note_dates(text, read_relative_dates(text, lines_over))


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("I went there yesterday and it was powerful.", ["7 May 2023"]),
        ("It was the day before yesterday, not last night.", ["6 May 2023", "7 May 2023"]),
        ("Today I rest, the day after tomorrow I go.", ["10 May 2023"]),
        ("Last week we won; next month we play again.", ["1 May 2023 to 7 May 2023", "June 2023"]),
        ("Camping two weekends ago and last weekend", ["29 April 2023 to 30 April 2023", "6 May 2023 to 7 May 2023"]),
        ("I painted it last year, ten years ago I could not.", ["2022", "2013"]),
        ("Twenty-five years ago, a couple of days ago, two hundred and five days ago", ["1998"]),
        ("Last Sunday, last Mon and 3 days ago.", ["7 May 2023", "1 May 2023", "5 May 2023"]),
        ("Ayer, antes de ayer", ["2023-05-07", "2023-05-06"]),
        ("On my birthday two years ago.", ["2021"]),
        ("我昨天去了，三天前也去了，上个月没有去，去年去过。", ["2023-05-07", "2023-05-05", "2023-04", "2022"]),
        ("Gestern, letzte Woche, vor drei Tagen.", ["2023-05-07", "2023-05-01 to 2023-05-07", "2023-05-05"]),
        ("Ayer no; hace dos semanas y el año pasado.", ["2023-05-07", "2023-04-24 to 2023-04-30", "2022"]),
        ("昨日行きました。先月も、3年前も。", ["2023-05-07", "2023-04", "2020"]),
        ("二十一天前，十年前。3日前に会った。last Sat", ["2023-04-17", "2013", "2023-05-05", "6 May 2023"]),
    ],
)  # fmt: skip
def test_words_are_day_of_the_day_they_were_said(text: str, times: list[str]) -> None:
    assert [found.time for found in read_relative_dates(text, MONDAY)] == times


@pytest.mark.parametrize(
    "text",
    [
        "On the next day, in her last year of school, the last week of June.",
        "Yesterday's news of a few days ago.",
        "We meet next Friday.",
        "It was built in 1990年前后.",
        "上周五开会",
        "9,000 years ago, 1.5 years ago, 200 years ago, some hundred years ago, millions of years ago",
        "Today it is a museum.",
        "We last sat there; they were last wed in spring; half a year ago, many a year ago.",
        "Two or three days ago, 2-3 days ago, 2 to 3 weeks ago, two-three days ago, a year and two months ago.",
        "More than three years ago, almost five years ago, at least a week ago.",
        "三四年前，两三天前，三、四天前，几十年前，数十年前，好几十天前，十几年前",
        "请在5月10日前提交，10日前完成。5月10日前に。",
        "目前天气很好，以前天天见面，然后天黑了，如今年轻人，过去年轻时，后来年纪大了，晚上月亮，树下周围，上周期",
        "大前天、大后天、上上周、下下周、上上个月、再来週、再来年、一昨年",
        "Last year but one",
        "die letzte Woche im Juni",
    ],
)
def test_what_means_no_one_time_or_is_counted_from_another_is_left(text: str) -> None:
    assert note(text) == text


@pytest.mark.parametrize("piece", ["one ", "twenty-", "一", "十", "9", "last ", "hundred and ", "上", "["])
def test_a_long_line_of_one_kind_takes_no_square_of_its_length(piece: str) -> None:
    start = time.process_time()
    list(read_relative_dates(piece * 20_000, MONDAY))
    assert time.process_time() - start < 2  # of the square, minutes


def test_what_no_calendar_has_is_left() -> None:
    assert note("5 years ago", "1 January 0003") == "5 years ago"
    assert last_day("31 February 2023") is None


@pytest.mark.parametrize(
    "line",
    [
        "[2023-05-08, 13:56] Anna:",
        "08.05.23, 13:56 - Anna:",
        "[5/8/23, 1:56:01 PM] Anna:",
        "Date: Mon, 8 May 2023 13:56:00 +0200",
        "On Mon, 8 May 2023 at 13:56, Anna wrote:",
        "**8 May 2023**",
        "## Talk of 8 May 2023 at two",
        "2023年5月8日",
        "2023-05-08T13:56:00Z Anna:",
        "8.5.23, 13:56 - Anna:",
        "Anna, [08.05.23 13:56]",
        "Am 08.05.23 um 13:56 schrieb Anna:",
        "Am Mo., 8. Mai 2023 um 13:56 Uhr schrieb Anna:",
        "## Protokoll vom 8. Mai 2023",
        "\u200e[08.05.23, 13:56:01] Anna:",
        "Monday 8 May 2023",
        "Berlin, den 8. Mai 2023",
        "Fecha: lunes, 8 de mayo de 2023",
    ],
)
def test_a_line_that_begins_with_a_day_or_a_heading_that_names_one_dates_what_follows(line: str) -> None:
    assert note(f"{line}\nyesterday", "").splitlines()[-1] == "yesterday [7 May 2023]"


@pytest.mark.parametrize(
    "line",
    [
        "Anna: on 8 May 2023 we met.",
        "I was born on 8 May 2023.",
        "5/8/2023",
        "1.8.5.2023",
        "8 May",
        "May 2023",
        "8 May 1945 was a Tuesday.",
        "On Tuesday, 8 May 1945, the war ended.",
        "## 3.4.12 Deliveries",
        "1.4.22 Deliveries",
    ],
)
def test_no_other_line_does(line: str) -> None:
    assert note(f"{line}\nyesterday", "A chat") == f"{line}\nyesterday"


@pytest.mark.parametrize("line", ["08/05/2023, 13:56 - Anna:", "Monday, May 8th", "5月8日", "8 May"])
def test_after_a_day_that_cannot_be_told_none_is_known(line: str) -> None:
    assert note(f"{line}\nyesterday") == f"{line}\nyesterday"
    assert find_date_line(f"{line}\nIt was so.", (MONDAY,), len(line) + 1) == ""
    assert note("yesterday", f"{MONDAY} > {line}") == "yesterday"
    assert find_date_line("It was so.", (MONDAY, line), 0) == ""
    assert note(f"# {line}\nyesterday") == f"# {line}\nyesterday"


@pytest.mark.parametrize(
    ("text", "noted"),
    [
        ("# 3 May 2020\nyesterday\n# Appendix\nyesterday", ["2 May 2020", "7 May 2023"]),
        ("# Minutes\n3 May 2020\n## Agenda\nyesterday\n# Appendix\nyesterday", ["2 May 2020", "7 May 2023"]),
        ("# Chat\n3 May 2020\n#fun yesterday", ["2 May 2020"]),
        ("# 3 May 2020\n## 4 May 2020\nyesterday\n## Other\nyesterday", ["3 May 2020", "2 May 2020"]),
    ],
)
def test_a_day_ends_with_its_section(text: str, noted: list[str]) -> None:
    assert [found.time for found in read_relative_dates(text, MONDAY)] == noted


def test_the_day_of_what_a_mail_quotes_ends_with_the_quote() -> None:
    text = (
        "yesterday\nOn Wed, 3 May 2023 at 13:56, Bob\nwrote:\n> yesterday\n"
        "> On Mon, 1 May 2023, Cy wrote:\n>> yesterday\n\nyesterday"
    )
    days = [found.time for found in read_relative_dates(text, MONDAY)]
    assert days == ["7 May 2023", "2 May 2023", "30 April 2023", "7 May 2023"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Date: Fri, 5 Apr 2024 15:00", "Date: Fri, 5 Apr 2024 15:00"),
        ("[2024-04-05, 15:00] Bob:", "[2024-04-05, 15:00] Bob:"),
        ("[2024-04-05, 15:00] Bob: hello.", "2024-04-05"),
        ("2024-04-05：你好。", "2024-04-05"),
    ],
)
def test_the_line_that_dates_a_place_is_the_nearest_of_one_day_without_what_was_said(line: str, told: str) -> None:
    text = f"[2024-04-05, 13:00] Cy: hello\n{line} And then?"
    assert find_date_line(text, (), text.index(" And")) == told


def test_the_day_is_that_of_the_last_heading_or_stamp_or_line() -> None:
    text = "[2024-02-29, 13:00] Anna: last year\nBob: yesterday\n## Talk of 3 March 2024\nCy: tomorrow"
    assert note(text, "") == (
        "[2024-02-29, 13:00] Anna: last year [2023]\nBob: yesterday [28 February 2024]\n"
        "## Talk of 3 March 2024\nCy: tomorrow [4 March 2024]"
    )
    assert note("Bob: yesterday", "A chat") == "Bob: yesterday"
    assert note("I was born on 3 May 1999.\nBob: yesterday", "A chat").endswith("yesterday")
    assert last_day("8 May 2023 and 2023-05-09, not May 2024") == date(2023, 5, 9)


def test_a_part_of_a_text_is_noted_by_places_in_the_whole() -> None:
    text = "Ann: yesterday. Bob: last week. Cy: tomorrow."
    dated = list(read_relative_dates(text, MONDAY))
    start = text.index("Bob")
    assert note_dates(text[start : text.index(" Cy")], dated, start) == "Bob: last week [1 May 2023 to 7 May 2023]."


def test_the_line_that_dates_a_place_is_the_last_before_it() -> None:
    text = (
        "Ann: hello\n## Talk of 3 March 2024\nBob: hello\n[2024-04-05, 13:00] Cy: " + "so " * 30 + "it was. And then?"
    )
    over = ("Chat", "8 May 2023")
    assert find_date_line(text, over, 3) == "8 May 2023"
    assert find_date_line(text, over, text.index("Bob")) == "Talk of 3 March 2024"
    assert find_date_line(text, over, text.index("And")) == "2024-04-05"
    assert find_date_line(text, ("Chat",), 3) == ""
