"""An entailment model beside the rules: any order of labels, and what it may change of their judgement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.errors import ModelUnavailable
from memorag_core.query.grounding import ShownPassage
from memorag_core.query.second_opinion import judge
from memorag_core.retrieval.entailment import EntailmentModel, Verdict
from memorag_core.types import Support

LABELS = ("contradiction", "entailment", "neutral")
TEXT = "The mill stands at the head of the pond. Amos Reed hung its gates in May 1963. He was paid in oats."
STATED = "Amos Reed hung the gates of the mill in May 1963."
DOUBTFUL = "The inspector hung the gates in May 1963."
LONG = " ".join(f"The gate number {number} was hung in the mill." for number in range(60))


def write_checkpoint(bert: Path, folder: Path, labels: Sequence[str], says: dict[str, float]) -> Path:
    """A BERT for pairs that gives every pair these odds."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    config = BertConfig.from_pretrained(
        bert, id2label=dict(enumerate(labels)), label2id={n: i for i, n in enumerate(labels)}
    )
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([math.log(says.get(label, 1e-6)) for label in labels]))
    model.save_pretrained(folder)
    BertTokenizer.from_pretrained(bert, model_max_length=64).save_pretrained(folder)
    return folder


class Saying(EntailmentModel):
    """A model that says the same of everything, and keeps what it read."""

    def __init__(self, entails: float, contradicts: float = 0.0) -> None:
        self.verdict, self.read = Verdict(entails, contradicts), list[tuple[str, str]]()

    def judge(self, text: str, statement: str) -> Verdict:
        self.read.append((text, statement))
        return self.verdict


def support_of(answer: str, model: EntailmentModel | None, question: str = "Who hung the gates?") -> Support:
    [one] = judge(answer, question, [ShownPassage(TEXT, "Mills")], model)
    return one.support


@pytest.mark.parametrize("labels", [LABELS, LABELS[::-1], ("entailment", "not_entailment")])
def test_a_checkpoint_names_the_order_of_its_labels(tiny_models: Path, tmp_path: Path, labels: tuple[str, ...]) -> None:
    says = {"entailment": 0.7, "contradiction": 0.2, "neutral": 0.1, "not_entailment": 0.3}
    model = EntailmentModel(write_checkpoint(tiny_models / "bert", tmp_path, labels, says), "cpu")
    assert model.judge(TEXT, STATED) == pytest.approx((0.7, 0.2 if len(labels) > 2 else 0.0))
    assert model.judge(LONG, LONG) == pytest.approx((0.7, 0.2 if len(labels) > 2 else 0.0))


def test_a_model_without_entailment_is_refused_with_what_to_choose_instead(tiny_models: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="natural language inference"):
        EntailmentModel(write_checkpoint(tiny_models / "bert", tmp_path, ("good", "bad"), {}), "cpu")


@pytest.mark.parametrize(
    ("answer", "model", "support"),
    [
        (STATED, None, "borne out"),
        (STATED, Saying(0.8), "borne out"),
        (STATED, Saying(0.2), "words found"),
        (STATED, Saying(0.1, 0.8), "not found"),
        (DOUBTFUL, None, "not found"),
        (DOUBTFUL, Saying(1.0), "not found"),
        ("Amos Reed", Saying(0.0), "borne out"),  # a phrase says too little to be entailed
        ("Amos Reed", Saying(0.0, 0.8), "words found"),
    ],
)
def test_the_model_takes_back_what_the_rules_bear_out_and_finds_nothing_that_is_missing(
    answer: str, model: EntailmentModel | None, support: Support
) -> None:
    assert support_of(answer, model) == support


def test_the_model_settles_what_the_rules_leave_open_and_reads_the_sentences_that_bear_it_out() -> None:
    answer, question = "The miller of the pond was paid in oats.", "How was the miller paid?"
    assert support_of(answer, None, question) == "words found"
    assert support_of(answer, Saying(0.8), question) == "words found"
    sure = Saying(0.95)
    assert support_of(answer, sure, question) == "borne out"
    [(text, statement)] = sure.read
    assert statement == answer
    assert text.startswith("Mills\n")
    assert text.endswith("He was paid in oats.")


def test_an_engine_reads_with_the_model_that_was_named(settings: Settings, tiny_models: Path, tmp_path: Path) -> None:
    says = {"contradiction": 0.9, "neutral": 0.1}
    checkpoint = write_checkpoint(tiny_models / "bert", tmp_path / "nli", LABELS, says)
    engine = MemoRAG(settings.model_copy(update={"entailment": str(checkpoint), "memory": "none"}))
    answer = engine.answer(engine.memorize([from_text(TEXT)]).id, "Who hung the gates?")
    assert engine.shared.components.entailment is not None
    assert all(claim.support != "borne out" for claim in answer.claims)
