"""Questions go through systems over the real engine and tiny models, once; what is on disk is not done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import STORY, tiny_settings
from typer.testing import CliRunner

from memorag_core import MemoRAG, Settings
from memorag_core.config import PROFILES, TINY, Profile
from memorag_core.errors import Cancelled, InputError, StoreError
from memorag_core.evaluation.case import Bench, Case
from memorag_core.evaluation.checks import check_answer
from memorag_core.evaluation.datasets import EvalSet, Question
from memorag_core.evaluation.records import RECORDS, Ledger, Record
from memorag_core.evaluation.run import EvalPlan, evaluate
from memorag_core.evaluation.systems import SYSTEMS, Evidence
from memorag_core.text.prompts import ENGLISH, render_answer
from memorag_core.types import Citation, Clue, Place, Progress
from memorag_mcp.cli import app
from memorag_mcp.commands.options import engine_flags

TEXT = STORY.strip()
SPAN = (TEXT.index("Its gates"), TEXT.index("\n"))
GATES = Question("gates", "mill", "When were the gates of the mill hung?", ("May 1963",), (SPAN,))
WHO = Question("who", "mill", "Who came from Ardmouth on Monday?", ("the inspector",))
SETS = [EvalSet("story", {"mill": TEXT}, (GATES, WHO))]
BASELINES = EvalPlan(("bm25", "dense", "hybrid"), (16, 64), answers=False)


@pytest.fixture(scope="module")
def loaded_engine(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> MemoRAG:
    """An engine whose models stay loaded."""
    return MemoRAG(tiny_settings(tiny_models, tmp_path_factory.mktemp("evaluation")))


@pytest.fixture(scope="module")
def records(loaded_engine: MemoRAG, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Record]:
    """Every system on every question."""
    done = evaluate(loaded_engine, SETS, EvalPlan(budgets=(16, 64)), tmp_path_factory.mktemp("out"))
    return {(record.system, record.question): record for record in done}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set on disk."""
    (tmp_path / "story").mkdir()
    (tmp_path / "story" / "mill.txt").write_text(TEXT, encoding="utf-8", newline="")
    rows = [
        {"id": q.id, "context": q.context, "question": q.text, "answers": q.answers, "evidence": q.evidence}
        for q in (GATES, WHO)
    ]
    lines = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "story" / "questions.jsonl").write_text(lines, encoding="utf-8")
    return tmp_path / "story"


def test_every_system_has_a_record_of_every_question(records: dict[tuple[str, str], Record]) -> None:
    assert set(records) == {(system, question.id) for system in SYSTEMS for question in (GATES, WHO)}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_record_has_the_scores_that_apply(records: dict[tuple[str, str], Record], name: str) -> None:
    found = {"recall@16", "recall@64", "ndcg@10"} if SYSTEMS[name].finds else set()
    answered = {"f1", "exact", "rouge_l"} if SYSTEMS[name].answers else set()
    cited = {"cited"} if SYSTEMS[name].cites else set()
    assert set(records[name, "gates"].scores) == found | answered | cited
    assert set(records[name, "who"].scores) == answered, "a question without gold evidence has no recall"
    assert (records[name, "gates"].answer is not None) == SYSTEMS[name].answers
    assert records[name, "gates"].seconds > 0


def test_evidence_is_found_once_the_budget_reaches_it(records: dict[tuple[str, str], Record]) -> None:
    scores = records["bm25", "gates"].scores
    assert (scores["recall@16"], scores["recall@64"], scores["ndcg@10"]) == (0, 1, 1)


def test_citations_of_the_engine_equal_the_text(records: dict[tuple[str, str], Record]) -> None:
    checks = records["memorag", "gates"].checks
    assert checks.citations == checks.exact > 0
    assert checks.refused == 0


def test_full_context_answers_as_the_generator_does_over_the_whole_text(loaded_engine: MemoRAG) -> None:
    case = Case(Bench(loaded_engine), "mill", TEXT)
    system = SYSTEMS["full"](case)
    assert system.prepare()
    reply = system.answer(GATES.text, Evidence(()))
    prompt = render_answer(ENGLISH, GATES.text, [TEXT])
    assert reply.answer.text == case.bench.generator.generate(prompt, loaded_engine.profile.answer)
    assert reply.answer.text


def test_full_context_is_left_out_where_it_does_not_fit(loaded_engine: MemoRAG) -> None:
    assert not SYSTEMS["full"](Case(Bench(loaded_engine), "long", TEXT * 200)).prepare()


def test_baselines_memorize_nothing(engine: MemoRAG, tmp_path: Path) -> None:
    evaluate(engine, SETS, BASELINES, tmp_path / "out")
    assert engine.contexts() == []


def test_what_was_done_is_not_done_again(
    loaded_engine: MemoRAG, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluate(loaded_engine, SETS, BASELINES, tmp_path)
    monkeypatch.setattr(SYSTEMS["dense"], "prepare", _never)
    monkeypatch.setattr(SYSTEMS["bm25"], "prepare", _never)
    assert evaluate(loaded_engine, SETS, BASELINES, tmp_path) == first


def test_a_run_that_was_stopped_goes_on_where_it_was(loaded_engine: MemoRAG, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        evaluate(loaded_engine, SETS, BASELINES, tmp_path, _stopping_after(3))
    kept = (tmp_path / RECORDS).read_text(encoding="utf-8").splitlines()
    assert len(kept) == 3
    with (tmp_path / RECORDS).open("a", encoding="utf-8") as file:
        file.write(kept[0][:40])
    records = evaluate(loaded_engine, SETS, BASELINES, tmp_path)
    lines = (tmp_path / RECORDS).read_text(encoding="utf-8").splitlines()
    assert len(records) == 6
    assert (lines[:3], len(lines)) == (kept, 3 + 1 + 3)
    assert sorted(Ledger(tmp_path).known) == sorted(record.key for record in records)


@pytest.mark.parametrize(
    ("sets", "plan"),
    [
        (SETS, replace(BASELINES, budgets=(16, 128))),
        ([replace(SETS[0], contexts={"mill": TEXT + " More."})], BASELINES),
        ([replace(SETS[0], questions=(replace(GATES, evidence=()), replace(WHO, text="Who?")))], BASELINES),
    ],
)
def test_what_changed_is_measured_anew(
    loaded_engine: MemoRAG, tmp_path: Path, sets: list[EvalSet], plan: EvalPlan
) -> None:
    before = evaluate(loaded_engine, SETS, BASELINES, tmp_path)
    after = evaluate(loaded_engine, sets, plan, tmp_path)
    assert not {record.key for record in before} & {record.key for record in after}


def test_progress_rises_to_the_whole(loaded_engine: MemoRAG, tmp_path: Path) -> None:
    heard: list[Progress] = []
    evaluate(loaded_engine, SETS, BASELINES, tmp_path, heard.append)
    fractions = [step.fraction for step in heard]
    assert fractions == sorted(fractions)
    assert (heard[0].fraction, heard[-1].fraction) == (0, 1)


def test_canned_clues_echoes_and_wrong_citations_are_counted(loaded_engine: MemoRAG) -> None:
    case = Case(Bench(loaded_engine), "mill", TEXT)
    clues = [
        Clue("Its gates were hung in May 1963.", "span", Place("text", *SPAN)),
        Clue("Amos kept every day the gate book.", "span", Place("text", 1, 9)),
        Clue("As an AI I cannot know about gates.", "span"),
        Clue("When were the gates of the mill hung?", "question"),
    ]
    citations = [Citation("text", "mill", 0, 8, TEXT[:8]), Citation("text", "mill", 1, 9, TEXT[:8])]
    checks = check_answer(case, GATES.text, clues, citations)
    assert (checks.clues, checks.refused) == (4, 2)
    assert (checks.verified, checks.verbatim) == (2, 1)
    assert (checks.citations, checks.exact) == (2, 1)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (lambda: EvalPlan(("abacus",)), "no system 'abacus'. Choose from: bm25, dense"),
        (lambda: EvalPlan(budgets=()), "cannot be used"),
        (lambda: EvalPlan(budgets=(5,)), "numbers from 16"),
        (lambda: EvalPlan(("full",), answers=False), "'full' finds no evidence"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(plan: Callable[[], EvalPlan], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan()


@pytest.mark.parametrize(
    ("profile", "last"),
    [(TINY, ["question", "memorag"]), (replace(TINY, recall="both"), ["question"]), (PROFILES["lite"], ["question"])],
)
def test_by_default_retrieval_generates_nothing(profile: Profile, last: list[str]) -> None:
    plan = EvalPlan(answers=False)
    assert [system.name for system in plan.choose_systems(profile)] == ["bm25", "dense", "hybrid", *last]
    assert not plan.remembers(profile)


def test_a_memory_is_asked_for_answers_and_for_generated_clues() -> None:
    assert EvalPlan().remembers(TINY)
    assert not EvalPlan(("dense", "memorag")).remembers(TINY)
    assert EvalPlan(("memorag",), answers=False).remembers(PROFILES["lite"])
    assert not EvalPlan(("memorag",), answers=False).remembers(TINY)


def test_evidence_by_attention_is_the_same_without_a_memory(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = replace(TINY, memory_model=str(settings.memory_model), embedder=str(settings.embedder))
    monkeypatch.setitem(PROFILES, "tiny", replace(here, heads=((0, 1), (1, 3))))
    plan = EvalPlan(("question", "memorag"), (16, 64), answers=False)
    found = evaluate(MemoRAG(settings), SETS, plan, tmp_path / "evidence")
    assert [context.models["memory"] for context in MemoRAG(settings).contexts()] == [settings.memory_model]
    assert [context.memory_tokens for context in MemoRAG(settings).contexts()] == [0]
    remembering = replace(plan, systems=("question", "memorag", "memory"), answers=True)
    answered = evaluate(MemoRAG(settings), SETS, remembering, tmp_path / "answers")[:4]
    assert [(record.evidence, record.clues) for record in found] == [(r.evidence, r.clues) for r in answered]
    assert max(context.memory_tokens for context in MemoRAG(settings).contexts()) > 0
    assert any(record.clues for record in found)


def test_what_asks_no_memory_is_not_measured_anew_beside_what_does(settings: Settings, tmp_path: Path) -> None:
    evaluate(MemoRAG(settings), SETS, EvalPlan(("dense",), (16, 64)), tmp_path)
    evaluate(MemoRAG(settings), SETS, EvalPlan(("dense", "memory"), (16, 64)), tmp_path)
    kept = [json.loads(line) for line in (tmp_path / RECORDS).read_text(encoding="utf-8").splitlines()]
    assert [record["system"] for record in kept] == ["dense"] * 2 + ["memory"] * 2


def test_no_questions_and_an_unusable_folder_are_told(engine: MemoRAG, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no question to ask"):
        evaluate(engine, [replace(SETS[0], questions=())], BASELINES, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--out"):
        evaluate(engine, SETS, BASELINES, tmp_path / "file")


def test_the_command_shows_tables_and_writes_files(settings: Settings, folder: Path, tmp_path: Path) -> None:
    report, table, picture = (tmp_path / name for name in ("r.json", "r.md", "r.svg"))
    files = ["--json", report, "--markdown", table, "--plot", picture, "--out", tmp_path / "out"]
    result = _command(settings, folder, "--budgets", "64,16", *files)
    assert result.exit_code == 0, result.output
    assert "story: 2 questions, 1 with evidence" in result.stdout
    written = json.loads(report.read_text(encoding="utf-8"))
    assert [row["system"] for row in written["tables"][0]["rows"]] == list(SYSTEMS)
    assert written["made_with"]["budgets"] == [16, 64]
    assert "| memorag |" in table.read_text(encoding="utf-8")
    assert picture.stat().st_size > 0
    again = _command(settings, folder, "--budgets", "16,64", "--out", tmp_path / "out")
    assert again.stdout == result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--systems", "abacus"], "no system 'abacus'"),
        (["--budgets", "many"], "no list of numbers"),
        (["--limit", "0"], "greater than or equal to 1"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(
    settings: Settings, folder: Path, options: list[str], message: str
) -> None:
    result = _command(settings, folder, *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_an_interrupted_command_says_that_it_goes_on(
    settings: Settings, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SYSTEMS["bm25"], "prepare", _interrupted)
    result = _command(settings, folder, "--systems", "bm25", "--retrieval-only", "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.endswith("stopped; the same command goes on from here\n")


def test_two_sets_of_one_name_are_refused(settings: Settings, folder: Path) -> None:
    assert "Two sets are called 'story'" in " ".join(_command(settings, folder, folder).stderr.split())


def _command(settings: Settings, *arguments: Any) -> Any:
    return CliRunner().invoke(app, ["eval", *map(str, arguments), *engine_flags(settings)])


def _never(_: Any) -> bool:
    raise AssertionError("this was done before")


def _interrupted(_: Any) -> bool:
    raise KeyboardInterrupt


def _stopping_after(records: int) -> Callable[[Progress], None]:
    def on_progress(step: Progress) -> None:
        if step.fraction >= records / 6:
            raise Cancelled("enough")

    return on_progress
