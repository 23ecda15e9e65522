"""Records become tables: means, intervals, paired differences, averages, and the files made of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from memorag_core.errors import MissingExtra
from memorag_core.evaluation.datasets import EvalSet, Question
from memorag_core.evaluation.records import Checks, Record
from memorag_core.evaluation.render import cells, checks, heading, markdown, plot
from memorag_core.evaluation.report import Report, summarize_records

SETS = [
    EvalSet(name, {"c": "text"}, tuple(Question(str(i), "c", "?", ("a",), ((0, 1),)) for i in range(4)))
    for name in "ab"
]


def record(system: str, question: int, scores: dict[str, float], gold: int = 1, **other: Any) -> Record:
    fields: dict[str, Any] = {"set": "a", "seconds": 0.5, "tokens": 100, "checks": Checks()} | other
    return Record(question=str(question), system=system, recipe="r", gold=gold, scores=scores, **fields)


def report(records: list[Record], sets: list[EvalSet] = SETS) -> Report:
    return summarize_records(records, sets, {"profile": "tiny"})


def test_recall_is_of_spans_and_other_scores_are_of_questions() -> None:
    one = report(
        [record("dense", 0, {"recall@7": 1.0, "f1": 1.0}, 1), record("dense", 1, {"recall@7": 0.0, "f1": 0.0}, 3)]
    )
    scores = one.tables[0].rows[0].scores
    assert (scores["recall@7"].mean, scores["f1"].mean) == (0.25, 0.5)


def test_the_interval_holds_the_mean_and_is_a_point_where_all_questions_score_alike() -> None:
    mixed = [record("dense", i, {"f1": float(i % 2), "exact": 1.0}) for i in range(40)]
    scores = report(mixed).tables[0].rows[0].scores
    assert 0.3 < scores["f1"].low < scores["f1"].mean == 0.5 < scores["f1"].high < 0.7
    assert (scores["exact"].low, scores["exact"].high, scores["exact"].n) == (1.0, 1.0, 40)
    assert report(mixed) == report(mixed)


def test_differences_to_dense_are_paired_so_a_steady_gain_is_certain() -> None:
    dense = [record("dense", i, {"f1": i / 40}) for i in range(20)]
    ours = [record("memorag", i, {"f1": i / 40 + 0.25}) for i in range(20)]
    rows = {row.system: row for row in report(dense + ours).tables[0].rows}
    gain = rows["memorag"].against_dense["f1"]
    assert (gain.mean, gain.low, gain.high) == (0.25, 0.25, 0.25)
    assert rows["dense"].against_dense == {}


def test_a_difference_is_over_the_questions_that_both_answered() -> None:
    rows = report([record("dense", 0, {"f1": 0.0}), record("full", 0, {"f1": 1.0}), record("full", 1, {"f1": 0.0})])
    full = rows.tables[0].rows[1]
    assert (full.scores["f1"].mean, full.against_dense["f1"].mean, full.against_dense["f1"].n) == (0.5, 1.0, 1)


def test_the_average_counts_every_set_alike() -> None:
    one = report([record("dense", i, {"f1": 1.0}) for i in range(3)] + [record("dense", 0, {"f1": 0.0}, set="b")])
    average = one.tables[-1]
    assert (average.name, average.rows[0].scores["f1"].mean, average.questions) == ("average", 0.5, 8)


def test_what_must_hold_of_clues_and_citations_is_counted() -> None:
    shown = Checks(clues=3, refused=1, verified=2, verbatim=2, citations=4, exact=4)
    one = report([record("memorag", i, {"f1": 1.0}, checks=shown) for i in range(2)])
    assert list(checks(one.tables[0])) == [
        "memorag: 2 of 6 clues are canned or echoes (0 wanted), 4 of 4 verified clues are verbatim, "
        "8 of 8 citations equal the text at their offsets"
    ]


def test_a_table_has_a_line_for_each_system_and_a_dash_for_what_does_not_apply() -> None:
    table = report([record("dense", 0, {"recall@7": 0.5}), record("memory", 0, {"f1": 1.0})]).tables[0]
    assert heading(table) == "a: 4 questions, 4 with evidence"
    assert cells(table) == [
        ["system", "recall@7", "f1", "seconds", "tokens"],
        ["dense", "0.500 [0.500, 0.500]", "–", "0.500", "100"],
        ["memory", "–", "1.000 [1.000, 1.000]", "0.500", "100"],
    ]


def test_the_json_form_is_stable() -> None:
    one = report([record("dense", 0, {"f1": 0.5}), record("full", 0, {"f1": 1.0})])
    estimate = {"mean": 0.5, "low": 0.5, "high": 0.5, "n": 1}
    none = {"clues": 0, "refused": 0, "verified": 0, "verbatim": 0, "citations": 0, "exact": 0}
    cost = {"seconds": 0.5, "tokens": 100.0, "checks": none}
    certain = {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 1}
    dense = {"system": "dense", "scores": {"f1": estimate}, "against_dense": {}, **cost}
    full = {"system": "full", "scores": {"f1": certain}, "against_dense": {"f1": estimate}, **cost}
    table = {"name": "a", "questions": 4, "with_evidence": 4, "left_out": 0, "rows": [dense, full]}
    expected = {"format": 1, "made_with": {"profile": "tiny"}, "tables": [table]}
    assert json.loads(json.dumps(one.as_json())) == expected


def test_markdown_has_every_table() -> None:
    text = markdown(report([record("dense", 0, {"f1": 0.5}), record("dense", 0, {"f1": 0.5}, set="b")]))
    assert "- profile: tiny" in text
    assert text.count("| dense | 0.500 [0.500, 0.500] | 0.500 | 100 |") == 3
    assert "## average: 8 questions" in text


def test_a_plot_is_drawn_in_the_format_of_its_suffix(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", exc_type=ImportError)
    plot(
        report([record("dense", 0, {"f1": 0.5, "exact": 0.0}), record("dense", 0, {"f1": 1.0}, set="b")]),
        tmp_path / "p.svg",
    )
    assert (tmp_path / "p.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"memorag-mcp\[eval\]"):
        plot(report([record("dense", 0, {"f1": 0.5})]), tmp_path / "p.png")
