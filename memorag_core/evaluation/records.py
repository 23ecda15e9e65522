"""Outcomes of questions, and the file that keeps them, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from memorag_core.errors import StoreError
from memorag_core.text.chunking import Span

RECORDS = "records.jsonl"


@dataclass(frozen=True, slots=True)
class Checks:
    """Counts of what must hold of clues and citations, whatever the scores.

    `refused` clues are canned replies or echoes of the question, and must be none; a `verified` clue is meant to be
    `verbatim`; every citation must be `exact`: the text at its offsets.
    """

    clues: int = 0
    refused: int = 0
    verified: int = 0
    verbatim: int = 0
    citations: int = 0
    exact: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One question through one system: what came out, and its scores; a score that does not apply is not there.

    `recipe` is a digest of all that decides the outcome. `tokens` are those that the answer was made from, or without
    an answer those of the evidence within the largest budget; `seconds` leave out what is done once a context.
    `gold` counts the question's gold evidence spans, `evidence` holds the spans that were found.
    """

    set: str
    question: str
    system: str
    recipe: str
    gold: int
    scores: dict[str, float]
    seconds: float
    tokens: int
    checks: Checks
    evidence: tuple[Span, ...] = ()
    clues: tuple[str, ...] = ()
    answer: str | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What it is the outcome of."""
        return (self.set, self.question, self.system, self.recipe)


class Ledger:
    """Records in a JSON Lines file of a folder, appended one at a time; a line that was cut off counts for nothing."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORDS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            data = self.path.read_bytes() if self.path.exists() else b""
            if data and not data.endswith(b"\n"):
                self._write("\n")
        except OSError as error:
            raise self._tell_failure(error) from error
        found = (_record(line) for line in data.decode(errors="replace").splitlines())
        self.known = {record.key: record for record in found if record}

    def add(self, record: Record) -> None:
        """Keep a record, on disk before this returns.

        Raises:
            StoreError: it cannot be written.
        """
        try:
            self._write(json.dumps(asdict(record)) + "\n")
        except OSError as error:
            raise self._tell_failure(error) from error
        self.known[record.key] = record

    def _write(self, line: str) -> None:
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(line)

    def _tell_failure(self, error: OSError) -> StoreError:
        return StoreError(f"{self.path} cannot be written ({error.strerror}). Choose another folder with --out.")


def _record(line: str) -> Record | None:
    try:
        fields: dict[str, Any] = json.loads(line)
        spans = tuple((start, end) for start, end in fields.pop("evidence"))
        checks = Checks(**fields.pop("checks"))
        return Record(**fields | {"clues": tuple(fields["clues"])}, evidence=spans, checks=checks)
    except (ValueError, KeyError, TypeError):
        return None  # cut off, or of another version: it is made again
