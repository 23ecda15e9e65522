"""`memorag eval`: reads sets, runs the plan, shows the tables, writes what was asked for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import platformdirs
import typer

from memorag_core.config import APP, Settings
from memorag_core.engine import MemoRAG
from memorag_core.errors import InputError, StoreError, require
from memorag_core.evaluation.datasets import EvalSet, Split, choose, read_sets
from memorag_core.evaluation.run import BUDGETS, EvalPlan
from memorag_mcp.commands import show
from memorag_mcp.commands.common import INTERRUPTED

DEFAULT_BUDGETS = ",".join(map(str, BUDGETS))

Folders = Annotated[list[Path], typer.Argument(metavar="FOLDER", help="Questions with texts; see docs/results.md.")]
RetrievalOnly = Annotated[bool, typer.Option("--retrieval-only", help="Look for evidence only; no answers.")]
Systems = Annotated[
    str | None, typer.Option(metavar="A,B…", help="bm25, dense, hybrid, question, memorag, memory, full.")
]
Half = Annotated[Split, typer.Option(help="Which half of the questions, by their ids.")]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="At most N questions of each set.")]
Budgets = Annotated[str, typer.Option(metavar="N,M…", help="Tokens of evidence at which recall is measured.")]
Out = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Where each outcome is kept, for a later run to go on.")
]


def evaluate(
    settings: Settings,
    folders: Folders,
    retrieval_only: RetrievalOnly = False,
    systems: Systems = None,
    split: Half = "all",
    limit: Limit = None,
    budgets: Budgets = DEFAULT_BUDGETS,
    out: Out = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables as Markdown.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the scores (.png, .svg, .pdf).")] = None,
) -> None:
    """Measure evidence and answers on labelled questions, beside plain baselines."""
    from memorag_core.evaluation import render
    from memorag_core.evaluation.report import summarize_records
    from memorag_core.evaluation.run import evaluate as run
    from memorag_mcp.commands.common import open_engine

    if plot:
        require("matplotlib", "eval")
    plan = EvalPlan(_names(systems), _numbers(budgets), not retrieval_only)
    sets = [choose(one, split, limit) for one in _sets(folders)]
    engine = open_engine(settings)
    try:
        with show.progress() as on_progress:
            records = run(engine, sets, plan, out or _default_out(), on_progress)
    except KeyboardInterrupt:
        show.notice("stopped; the same command goes on from here")
        raise typer.Exit(INTERRUPTED) from None
    report = summarize_records(records, sets, _describe_models(engine, plan, split))
    for table in report.tables:
        show.scores(render.heading(table), render.cells(table), list(render.checks(table)))
    if json_file:
        write(json_file, json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n")
    if markdown:
        write(markdown, render.markdown(report))
    if plot:
        render.plot(report, plot)


def _sets(folders: Sequence[Path]) -> list[EvalSet]:
    sets = [one for folder in folders for one in read_sets(folder)]
    if twice := [name for name, count in Counter(one.name for one in sets).items() if count > 1]:
        raise InputError(f"Two sets are called '{twice[0]}'. Rename a folder or file, or evaluate them one at a time.")
    return sets


def _describe_models(engine: MemoRAG, plan: EvalPlan, split: Split) -> dict[str, Any]:
    profile = engine.profile
    return {
        "profile": profile.name,
        "memory_model": profile.memory_model,
        "embedder": profile.embedder,
        "reranker": profile.reranker,
        "entailment": profile.entailment,
        "generator": profile.generator,
        "evidence_tokens": engine.settings.evidence_tokens,
        "budgets": list(plan.budgets),
        "split": split,
    }


def _names(given: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in given.split(",")) if given else ()


def _numbers(given: str) -> tuple[int, ...]:
    try:
        return tuple(sorted(int(number) for number in given.split(",")))
    except ValueError:
        raise InputError(f"--budgets {given} is no list of numbers. Write them like this: 700,1400.") from None


def _default_out() -> Path:
    return Path(platformdirs.user_cache_dir(APP, appauthor=False)) / "eval"


def write(path: Path, text: str) -> None:
    """Write a file that was asked for.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error.strerror}). Name another file.") from error
