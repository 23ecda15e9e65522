"""A report for people: tables as cells and as Markdown, and bars with intervals as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from memorag_core.errors import require
from memorag_core.evaluation.report import BASELINE, Estimate, Report, ReportRow, ReportTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOTHING = "–"
INCHES = (3.2, 3.4)


def heading(table: ReportTable) -> str:
    """What a table is about."""
    left_out = f", {table.left_out} left out" if table.left_out else ""
    return f"{table.name}: {table.questions} questions, {table.with_evidence} with evidence{left_out}"


def cells(table: ReportTable) -> list[list[str]]:
    """The header, then a line a system: scores with intervals, gains over plain dense, cost."""
    metrics = metrics_of(table)
    gains = [metric for metric in metrics if any(metric in row.against_dense for row in table.rows)]
    gains = [metric for metric in gains if metric.startswith("recall") or metric == "f1"]
    header = ["system", *metrics, *(f"{metric} − {BASELINE}" for metric in gains), "seconds", "tokens"]
    return [header, *(_line(row, metrics, gains) for row in table.rows)]


def metrics_of(table: ReportTable) -> list[str]:
    """The scores of a table, in the order in which its systems first have them."""
    return list(dict.fromkeys(metric for row in table.rows for metric in row.scores))


def checks(table: ReportTable) -> Iterator[str]:
    """What must hold of clues and citations, a line for each system that shows any."""
    for row in table.rows:
        counts = row.checks
        if counts.clues or counts.citations:
            yield (
                f"{row.system}: {counts.refused} of {counts.clues} clues are canned or echoes (0 wanted), "
                f"{counts.verbatim} of {counts.verified} verified clues are verbatim, "
                f"{counts.exact} of {counts.citations} citations equal the text at their offsets"
            )


def markdown(report: Report) -> str:
    """All tables, with what they were made with."""
    lines = ["Means with 95 % bootstrap intervals; differences are paired, question by question.", ""]
    lines += [f"- {what}: {value}" for what, value in report.made_with.items()]
    for table in report.tables:
        header, *rows = cells(table)
        lines += ["", f"## {heading(table)}", "", _pipe(header), _pipe(["---"] * len(header)), *map(_pipe, rows)]
        lines += ["", *(f"- {line}" for line in checks(table))]
    return "\n".join(lines).rstrip() + "\n"


def plot(report: Report, path: Path) -> None:
    """Each score of each set as bars with intervals, in the format of the path's suffix.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "eval")
    from matplotlib.figure import Figure

    columns = max(len(metrics_of(table)) for table in report.tables)
    figure = Figure(figsize=(INCHES[0] * columns, INCHES[1] * len(report.tables)), layout="constrained")
    axes = figure.subplots(len(report.tables), columns, squeeze=False)
    for line, table in zip(axes, report.tables, strict=True):
        metrics = metrics_of(table)
        for place, axis in enumerate(line):
            axis.set_visible(place < len(metrics))
            if place < len(metrics):
                _bars(axis, table, metrics[place])
    figure.savefig(path)


def _bars(axis: Axes, table: ReportTable, metric: str) -> None:
    rows = [(row.system, row.scores[metric]) for row in table.rows if metric in row.scores]
    means = [estimate.mean for _, estimate in rows]
    errors = [
        [estimate.mean - estimate.low for _, estimate in rows],
        [estimate.high - estimate.mean for _, estimate in rows],
    ]
    axis.barh([name for name, _ in rows], means, xerr=errors, capsize=3)
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.set_title(f"{table.name}: {metric}", fontsize="medium")


def _line(row: ReportRow, metrics: list[str], gains: list[str]) -> list[str]:
    scores = [_show(row.scores.get(metric)) for metric in metrics]
    differences = [_show(row.against_dense.get(metric), "+.3f") for metric in gains]
    return [row.system, *scores, *differences, f"{row.seconds:.3f}", f"{row.tokens:,.0f}"]


def _show(estimate: Estimate | None, form: str = ".3f") -> str:
    if estimate is None:
        return NOTHING
    return f"{estimate.mean:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def _pipe(line: list[str]) -> str:
    return f"| {' | '.join(line)} |"
