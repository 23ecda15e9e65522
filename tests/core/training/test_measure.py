"""Measuring a memory model compares like with like, and clue data says only what its context says."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import torch
from beacon_checkpoints import write
from conftest import SAMPLES, STORY
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

from memorag_core.concurrency.progress import ProgressScope
from memorag_core.evaluation.datasets import EvalSet, Question
from memorag_core.memory import BeaconMemory
from memorag_core.models.beacon.model import BeaconModel
from memorag_core.models.beacon.reading import BeaconReading
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.training.clue_data import (
    ClueRecord,
    ClueSizes,
    drawn,
    from_sets,
    from_texts,
    in_the_text,
    stretches,
)
from memorag_core.training.measure import DEPTHS, FULL, NONE, ROUNDS, Measuring, Needle, measure, of_another, plant
from memorag_core.training.measure import MeasureSizes as Amounts
from memorag_core.training.report import cells, draw
from memorag_core.types import Generate, Progress
from memorag_mcp.cli import app

TEXT = (SAMPLES / "harrow-sound.md").read_text(encoding="utf-8")[:3000]
AMOUNTS = Amounts(samples=2, windows=2, lengths=(60, 90), ratios=(2, 8))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    return write(tmp_path_factory.mktemp("beacon"), tiny_models / "lm", 600, window=32, ratio=[2, 4, 8])


@pytest.fixture(scope="module")
def measuring(checkpoint: Path) -> Measuring:
    lm = LanguageModel.load(checkpoint, "cpu")
    [tokens] = lm.encode([TEXT])
    return Measuring(lm, BeaconModel.beside(lm.model, checkpoint), tokens, AMOUNTS)


def labelled() -> EvalSet:
    start = TEXT.index("\n\n") + 2
    question = Question("q", "harrow", "What is it about?", ("A sound.",), ((start, start + 80),))
    return EvalSet("harrow", {"harrow": TEXT}, (question, Question("r", "harrow", "Why?", ("So.",))))


def test_perplexities_are_those_of_the_plain_model_and_of_the_path_that_answers(measuring: Measuring) -> None:
    found = measuring.perplexities(lambda: None)
    size = 3 * 32
    half = len(measuring.tokens) // size // 2
    samples = [measuring.tokens[start : start + size] for start in (0, half * size)]
    expected: dict[str, float] = dict.fromkeys(found, 0.0)
    for ids in samples:
        gold = torch.tensor(ids[-31:])
        whole = measuring.lm.model(torch.tensor([ids])).logits[0, -32:-1]
        alone = measuring.lm.model(torch.tensor([ids[-32:]])).logits[0, :-1]
        for name, logits in ((FULL, whole), (NONE, alone)):
            expected[name] += cross_entropy(logits, gold, reduction="sum").item()
        for ratio in AMOUNTS.ratios:
            model = BeaconModel.load(measuring.lm.model_id, ratio=ratio)
            [other] = [list(sample) for sample in samples if sample != ids]
            for name, read in ((f"ratio {ratio}", ids), (of_another(f"ratio {ratio}"), [*other[:-32], *ids[-32:]])):
                reading = BeaconReading(model, len(read))
                logits = torch.cat([reading.feed([token]) for token in read])[-32:-1]
                expected[name] += cross_entropy(logits, gold, reduction="sum").item()
    assert found == pytest.approx({name: math.exp(loss / 62) for name, loss in expected.items()}, rel=1e-4)


def test_a_memory_in_half_precision_is_measured_in_it_and_its_weights_stay_as_they_are(
    checkpoint: Path, measuring: Measuring
) -> None:
    model = LanguageModel.load(checkpoint, "cpu")
    model.model.to(torch.bfloat16)  # as it is loaded on CUDA
    beacons = BeaconModel.beside(model.model, checkpoint)
    halved = Measuring(model, beacons, measuring.tokens, AMOUNTS)
    expected = measuring.perplexities(lambda: None)
    assert halved.perplexities(lambda: None) == pytest.approx(expected, rel=0.05)
    assert set(halved.needles(8, lambda: None)) == {(size, depth) for size in AMOUNTS.lengths for depth in DEPTHS}
    parameters = [weight for projection in beacons.own.values() for weight in projection.parameters()]
    assert {(weight.dtype, weight.requires_grad) for weight in parameters} == {(torch.bfloat16, False)}


def test_everything_is_measured_once_and_the_layout_is_left_as_it_was(measuring: Measuring, tmp_path: Path) -> None:
    layout = measuring.beacons.layout
    told: list[Progress] = []
    found = measure(measuring, [labelled()], ProgressScope(told.append))
    assert [(progress.done, progress.total) for progress in told] == [(done, 16) for done in range(1, 17)]
    assert measuring.beacons.layout == layout
    assert [one.system for one in found] == [NONE, FULL, "ratio 2", "ratio 8"]
    assert set(found[2].needles) == {(length, depth) for length in AMOUNTS.lengths for depth in DEPTHS}
    assert [one.of_another is None for one in found] == [True, True, False, False]
    assert [one.clues is None for one in found] == [True, True, False, False]
    header, *lines = cells(found)
    assert len(lines) == 4
    assert lines[0][2:] == ["–", "–", "–"]
    assert len(header) == len(lines[-1])
    pytest.importorskip("matplotlib")
    draw(found, tmp_path / "memory.svg")
    assert (
        "ratio 8" in (tmp_path / "memory.svg").read_text(encoding="utf-8") or (tmp_path / "memory.svg").stat().st_size
    )


def test_a_needle_counts_where_the_reply_says_it(measuring: Measuring, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden: list[str] = []
    monkeypatch.setattr(BeaconMemory, "memorize", lambda self, documents, progress: hidden.append(documents[0].text))
    monkeypatch.setattr(BeaconMemory, "ask", lambda self, memory, asked, most: [hidden[-1]] * 4 + ["12"])
    found = measuring.needles(2, lambda: None)
    assert found == {(length, depth): float(depth < 1) for length in AMOUNTS.lengths for depth in DEPTHS}
    assert len(hidden) == ROUNDS * len(AMOUNTS.lengths)
    assert all(text.count("locker") == len(DEPTHS) for text in hidden)


def test_needles_stand_between_words_at_their_depths() -> None:
    hay = "one two three four five six seven"
    text = plant(hay, [Needle(depth, "the mill", str(number)) for number, depth in enumerate(DEPTHS)])
    needle = "\nThe number of the locker at the mill is {}.\n"
    parts = re.split(r"\nThe number of the locker at the mill is \d\.\n", text)
    assert "".join(parts) == hay
    assert parts == ["", "one two", " three", " four five", " six seven", ""]
    assert text.endswith(needle.format(4))


def scripted(*replies: str) -> Generate:
    """A generator that says these replies in turn."""
    left = iter(replies)
    return lambda prompt, max_new_tokens: next(left)


def test_clues_of_labelled_questions_are_their_evidence_in_a_context_that_holds_it() -> None:
    one = labelled()
    [(start, end)] = one.questions[0].evidence
    clue, answer = from_sets([one], ClueSizes(characters=1000))
    assert clue.answer == TEXT[start:end].strip()
    assert clue.answer in clue.context
    assert len(clue.context) == 1000
    assert clue.context in TEXT
    assert "What is it about?" in clue.instruction
    assert answer.answer == "A sound."
    assert list(from_sets([one], ClueSizes(characters=40))) == []


def test_of_a_generator_s_clues_the_text_s_own_sentences_are_kept_and_inventions_dropped() -> None:
    said = "1. Amos kept the gate book every day\n- The mill burned down in the night of the flood\nthe gate book"
    assert in_the_text(said, STORY) == ["Amos kept the gate book every day."]
    generator = scripted("Who kept the gate book?", said, "Amos.", "No question here.")
    told: list[int] = []
    records = list(from_texts([STORY], generator, ClueSizes(questions=2), lambda: told.append(1)))
    assert [record.answer for record in records] == ["Amos kept the gate book every day.", "Amos."]
    assert {record.context for record in records} == {STORY}
    assert told == [1]
    assert (
        list(from_texts([STORY], scripted("Who kept the gate book?", "Nobody."), ClueSizes(questions=1), print)) == []
    )


def test_long_texts_become_stretches_cut_at_line_breaks_and_some_are_drawn() -> None:
    sizes = ClueSizes(characters=10)
    found = drawn(["ab\n" * 10], sizes, 2)
    assert len(found) == 2
    assert found == drawn(["ab\n" * 10], sizes, 2)
    assert len(drawn(["ab\n" * 10], sizes, None)) == 3
    assert list(stretches(["ab\n" * 10, "short"], 10)) == ["ab\nab\nab", "\nab\nab\nab", "\nab\nab\nab", "short"]


def test_the_commands_make_clues_train_on_them_and_measure_what_came_of_it(tiny_models: Path, tmp_path: Path) -> None:
    run = CliRunner()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "harrow.txt").write_text(TEXT, encoding="utf-8")
    rows = [
        {
            "id": str(n),
            "context": "harrow",
            "question": "What is it about?",
            "answers": ["A sound."],
            "evidence": [[n, n + 60]],
        }
        for n in range(40, 49)
    ]
    (tmp_path / "set" / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    common = ["--profile", "tiny", "--device", "cpu"]
    short = ["--window", "32", "--ratios", "2,4", "--batch", "2", "--windows", "60"]

    def invoke(*command: str) -> None:
        outcome = run.invoke(app, [*command, *common], catch_exceptions=False)
        assert outcome.exit_code == 0, outcome.output

    clues = tmp_path / "clues.jsonl"
    invoke("data", "clues", str(tmp_path / "set"), "--out", str(clues), "--characters", "1000", "--split", "all")
    records = [ClueRecord(**json.loads(line)) for line in clues.read_text(encoding="utf-8").splitlines()]
    assert len(records) == 18
    text = tmp_path / "set" / "harrow.txt"
    out = tmp_path / "run"
    base = ["--memory-model", str(tiny_models / "lm")]
    invoke("train", "pretrain", str(text), "--out", str(out), "--steps", "2", *short[:-1], "3", "--beacons-only", *base)
    tuned = tmp_path / "tuned"
    memory = ["--memory-model", str(out / "checkpoint")]
    invoke("train", "finetune", str(clues), "--out", str(tuned), "--steps", "2", *short, "--beacons-only", *memory)
    notes = json.loads((tuned / "checkpoint" / "training.json").read_text(encoding="utf-8"))
    assert (notes["task"], notes["done"]["step"]) == ("finetune", 2)
    table = tmp_path / "memory.json"
    measured = [
        "--samples",
        "1",
        "--windows",
        "1",
        "--lengths",
        "40",
        "--ratios",
        "4",
        "--limit",
        "1",
        "--split",
        "all",
    ]
    memory = ["--memory-model", str(tuned / "checkpoint")]
    questions = ["--questions", str(tmp_path / "set"), "--limit", "1", "--split", "all"]
    invoke("train", "evaluate", str(text), *measured, *questions, "--json", str(table), *memory)
    assert [row["system"] for row in json.loads(table.read_text(encoding="utf-8"))] == [NONE, FULL, "ratio 4"]
    wrong = run.invoke(app, ["train", "pretrain", str(text), "--out", str(out), "--ratios", "x", *common])
    assert wrong.exit_code == 2
