"""`memorag train` and `memorag data`: memories made from text, measured, and the data that tunes them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memorag_core.concurrency.progress import ProgressScope
from memorag_core.config import Settings
from memorag_core.engine import MemoRAG
from memorag_core.errors import InputError, require
from memorag_core.evaluation.datasets import Split
from memorag_core.types import Generate, OnProgress, Progress
from memorag_mcp.commands import show
from memorag_mcp.commands.common import INTERRUPTED
from memorag_mcp.commands.evaluate import write

if TYPE_CHECKING:
    from memorag_core.training.loop import Step
    from memorag_core.training.plan import TrainingPlan
    from memorag_core.training.run import TrainingTask


TextPaths = Annotated[
    list[Path], typer.Argument(metavar="PATH", help="Folders of text, files, or .jsonl files of text.")
]
RecordFiles = Annotated[
    list[Path], typer.Argument(metavar="FILE", help="JSON Lines of context, instruction and answer; see `data clues`.")
]
OutFolder = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Where the run is kept; the same command goes on from there.")
]
Steps = Annotated[int, typer.Option(help="Steps of the optimizer.")]
Batch = Annotated[int, typer.Option(help="Rows a step, over all processes.")]
AtOnce = Annotated[int, typer.Option(help="Rows that pass through a process together.")]
Windows = Annotated[int, typer.Option(help="The most windows of a row.")]
Window = Annotated[int, typer.Option(help="Tokens of a window.")]
Ratios = Annotated[str, typer.Option(metavar="N,M…", help="Ratios, one drawn for each window.")]
Param = Annotated[str, typer.Option(help="Projections that beacons have of their own, of q, k, v and o.")]
Rate = Annotated[float, typer.Option(help="The highest learning rate.")]
Recompute = Annotated[
    bool, typer.Option("--recompute", help="Hold one window's activations at a time: slower, less memory.")
]
Seed = Annotated[int, typer.Option(help="Decides the order of rows, and the ratios.")]
SplitOption = Annotated[Split, typer.Option("--split", help="Which half of labelled questions, by their ids.")]
SaveEvery = Annotated[int, typer.Option(metavar="N", help="Save the run's state every N steps.")]
BeaconsOnly = Annotated[bool, typer.Option("--beacons-only", help="Write the beacons alone, beside the base model.")]
Plot = Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it (.png, .svg, .pdf).")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write it as JSON.")]


def pretrain(
    settings: Settings,
    paths: TextPaths,
    out: OutFolder,
    steps: Steps = 1000,
    batch: Batch = 8,
    at_once: AtOnce = 1,
    windows: Windows = 4,
    window: Window = 2048,
    ratios: Ratios = "2,4,8,16,32",
    param: Param = "qkv",
    rate: Rate = 5e-5,
    recompute: Recompute = False,
    seed: Seed = 0,
    save_every: SaveEvery = 100,
    beacons_only: BeaconsOnly = False,
    plot: Plot = None,
) -> None:
    """Train beacons for a model on plain text: the next token, with a memory of what came before."""
    plan = _plan(
        steps=steps,
        batch=batch,
        at_once=at_once,
        windows=windows,
        window=window,
        ratios=numbers(ratios),
        param=param,
        rate=rate,
        recompute=recompute,
        seed=seed,
        save_every=save_every,
    )
    _train(settings, "pretrain", (tuple(paths), out, beacons_only), plan, plot)


def finetune(
    settings: Settings,
    paths: RecordFiles,
    out: OutFolder,
    steps: Steps = 500,
    batch: Batch = 8,
    at_once: AtOnce = 1,
    windows: Windows = 8,
    window: Window = 2048,
    ratios: Ratios = "2,4,8,16,32",
    rate: Rate = 1e-5,
    recompute: Recompute = False,
    seed: Seed = 0,
    save_every: SaveEvery = 100,
    beacons_only: BeaconsOnly = False,
    plot: Plot = None,
) -> None:
    """Tune beacons on questions that need the memory: clues, answers. Only the answers carry loss."""
    plan = _plan(
        steps=steps,
        batch=batch,
        at_once=at_once,
        windows=windows,
        window=window,
        ratios=numbers(ratios),
        rate=rate,
        recompute=recompute,
        seed=seed,
        save_every=save_every,
    )
    _train(settings, "finetune", (tuple(paths), out, beacons_only), plan, plot)


def evaluate_memory(
    settings: Settings,
    paths: TextPaths,
    questions: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="Labelled questions, for clue recall; repeatable.")
    ] = None,
    ratios: Ratios = "2,4,8,16,32",
    samples: Annotated[int, typer.Option(min=1, help="Stretches of text to predict.")] = 32,
    windows: Annotated[int, typer.Option(min=1, help="Windows remembered before each.")] = 4,
    lengths: Annotated[str, typer.Option(metavar="N,M…", help="Tokens of the texts that hide needles.")] = "1024,4096",
    split: SplitOption = "held-out",
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most N questions of each set.")] = None,
    json_file: Json = None,
    plot: Plot = None,
) -> None:
    """Measure a beacon memory on held-out text, against no memory and full attention."""
    from memorag_core.evaluation.datasets import choose, read_sets
    from memorag_core.training import measure, report
    from memorag_core.training.run import prepare_measuring

    if plot:
        require("matplotlib", "eval")
    sizes = measure.MeasureSizes(samples, windows, numbers(lengths), numbers(ratios))
    sets = [choose(one, split, limit) for folder in questions or [] for one in read_sets(folder)]
    with show.progress() as on_progress:
        found = measure.measure(
            prepare_measuring(settings, tuple(paths), sizes, show.notice),
            sets,
            ProgressScope(on_progress).stage("measured", 0.0, 1.0),
        )
    show.scores("memory", report.cells(found), [])
    if json_file:
        write(json_file, json.dumps(report.as_json(found), indent=2) + "\n")
    if plot:
        report.draw(found, plot)


def data_clues(
    settings: Settings,
    places: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Folders of labelled questions, or with --from-text, of text.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The .jsonl file to write.")],
    from_text: Annotated[
        bool, typer.Option("--from-text", help="Have the generator ask questions of plain text.")
    ] = False,
    characters: Annotated[int, typer.Option(min=1000, help="The longest context.")] = 24_000,
    questions: Annotated[int, typer.Option(min=1, help="Questions asked of each context of plain text.")] = 4,
    contexts: Annotated[int | None, typer.Option(min=1, help="At most N contexts of plain text, drawn.")] = None,
    split: SplitOption = "calibration",
    seed: Seed = 0,
) -> None:
    """Make fine-tuning data whose clues are in the text: from labelled questions, or from plain text."""
    from memorag_core.evaluation.datasets import choose, read_sets
    from memorag_core.training import clue_data
    from memorag_core.training.texts import texts_at

    sizes = clue_data.ClueSizes(characters, questions, seed)
    if from_text:
        with show.progress() as on_progress:
            texts = clue_data.drawn(texts_at(places, settings.max_characters), sizes, contexts)
            advance = ProgressScope(on_progress).stage("contexts", 0.0, 1.0).counter(len(texts))
            records = list(clue_data.from_texts(texts, _generator(settings), sizes, advance))
    else:
        sets = [choose(one, split, None) for folder in places for one in read_sets(folder)]
        records = list(clue_data.from_sets(sets, sizes))
    write(out, "".join(json.dumps(record.as_json(), ensure_ascii=False) + "\n" for record in records))
    show.line(f"{out}: {len(records)} records")


@dataclass(frozen=True, slots=True)
class Group:
    """Commands under one name."""

    name: str
    commands: typer.Typer
    functions: dict[str, Callable[..., None]]


GROUPS = (
    Group(
        "train",
        typer.Typer(help="Train memories from text, and measure them.", no_args_is_help=True),
        {"pretrain": pretrain, "finetune": finetune, "evaluate": evaluate_memory},
    ),
    Group("data", typer.Typer(help="Make fine-tuning data.", no_args_is_help=True), {"clues": data_clues}),
)


def numbers(given: str) -> tuple[int, ...]:
    """The numbers of a list such as 4,8.

    Raises:
        InputError: it is none.
    """
    try:
        return tuple(int(number) for number in given.split(","))
    except ValueError:
        raise InputError(f"{given} is no list of numbers. Write them like this: 4,8.") from None


def _generator(settings: Settings) -> Generate:
    from memorag_core.evaluation.case import Bench

    return Bench(MemoRAG(settings, show.notice)).generator.generate


def _plan(**chosen: object) -> TrainingPlan:
    from memorag_core.training.plan import TrainingPlan

    return TrainingPlan(**chosen)  # type: ignore[arg-type]  # typer has checked the types


def _train(
    settings: Settings,
    task: TrainingTask,
    where: tuple[tuple[Path, ...], Path, bool],
    plan: TrainingPlan,
    plot: Path | None,
) -> None:
    from memorag_core.training.curves import draw_losses
    from memorag_core.training.run import TrainingJob, train

    if plot:
        require("matplotlib", "eval")
    try:
        with show.progress() as on_progress:
            told = functools.partial(_tell, on_progress, plan)
            folder = train(settings, TrainingJob(task, *where), plan, show.notice, told)
    except KeyboardInterrupt:
        show.notice("stopped; the same command goes on from the last saved step")
        raise typer.Exit(INTERRUPTED) from None
    if plot:
        draw_losses(where[1], plot)
    show.line(f"{folder}: use it with --memory-model {folder}")


def _tell(on_progress: OnProgress, plan: TrainingPlan, step: Step) -> None:
    """The bar at every step; a line, for logs, at about every fiftieth of the run."""
    speed = step.tokens / step.seconds
    what = f"loss {step.loss:.3f}, {speed:,.0f} tokens/s, step"
    on_progress(Progress(what, step.step, plan.steps, step.step / plan.steps))
    if step.step % max(1, plan.steps // 50) == 0:
        left = step.seconds / step.step * (plan.steps - step.step)
        show.notice(
            f"step {step.step} of {plan.steps}: loss {step.loss:.3f}, {speed:,.0f} tokens/s, {left:,.0f} s left"
        )
