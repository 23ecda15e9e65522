"""A reply that is held to a text is lines of it, to the token; rows beside it say what they say alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from conftest import STORY
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig, AutoModelForCausalLM

from memorag_core.concurrency.progress import SILENT
from memorag_core.memory import LiteMemory
from memorag_core.models.lm.attention import register
from memorag_core.models.lm.decode_batch import DecodeBatch, DecodeRow
from memorag_core.models.lm.decoding import decode
from memorag_core.models.lm.graphs import StepShape
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.lm.prefix import Prefix
from memorag_core.models.lm.verbatim import VerbatimText
from memorag_core.text.central import told_sentences
from memorag_core.types import Document

SENTENCES = told_sentences([STORY])
MOST = 200


@pytest.fixture(scope="module")
def lm(tiny_models: Path) -> LanguageModel:
    return LanguageModel.load(tiny_models / "lm", "cpu")


@pytest.fixture(scope="module")
def text(lm: LanguageModel) -> VerbatimText:
    return lm.hold_to(SENTENCES)


def say_all(batch: DecodeBatch, rows: list[DecodeRow]) -> None:
    batch.join(rows)
    while batch.rows:
        batch.advance()


def test_a_held_reply_is_sentences_of_the_text_each_once_and_ends(lm: LanguageModel, text: VerbatimText) -> None:
    prompts = lm.encode([STORY[start:] for start in (0, 40, 90, 150)])
    rows = [DecodeRow(prompt, MOST, held=True) for prompt in prompts]
    say_all(DecodeBatch(Prefix(lm.model), lm.stop, text), rows)
    for row in rows:
        lines = lm.texts([row.reply])[0].split("\n")
        assert set(lines) <= set(SENTENCES)
        assert len(lines) == len(set(lines))
        assert len(row.reply) < MOST


def test_a_reply_that_is_cut_off_is_the_beginning_of_sentences(lm: LanguageModel, text: VerbatimText) -> None:
    [prompt] = lm.encode([STORY])
    for most in range(1, 30, 4):
        row = DecodeRow(prompt, most, 1.1, held=True)
        say_all(DecodeBatch(Prefix(lm.model), lm.stop, text), [row])
        *whole, last = lm.texts([row.reply])[0].split("\n")
        assert set(whole) <= set(SENTENCES)
        assert any(sentence.startswith(last) for sentence in SENTENCES)


@pytest.mark.parametrize("seed", range(3))
def test_rows_that_come_and_go_say_what_they_say_alone(lm: LanguageModel, text: VerbatimText, seed: int) -> None:
    draw = random.Random(seed)
    prompts = lm.encode([STORY[start:] for start in range(0, 160, 20)])
    rows = [DecodeRow(prompt, draw.randint(1, 40), 1.1, held=draw.random() < 0.6) for prompt in prompts]
    batch = DecodeBatch(Prefix(lm.model), lm.stop, text)
    for row in rows:
        batch.join([row])
        for _ in range(draw.randint(0, 6)):
            batch.advance()
    while batch.rows:
        batch.advance()
    for row in rows:
        alone = DecodeRow(row.prompt, row.max_new_tokens, 1.1, row.held)
        say_all(DecodeBatch(Prefix(lm.model), lm.stop, text), [alone])
        assert row.reply == alone.reply
        assert row.held or row.reply == decode(Prefix(lm.model), [row.prompt], row.max_new_tokens, lm.stop, 1.1)[0]


def test_without_a_sentence_to_say_the_reply_ends(lm: LanguageModel) -> None:
    row = DecodeRow(lm.encode([STORY])[0], MOST, held=True)
    say_all(DecodeBatch(Prefix(lm.model), lm.stop, lm.hold_to([])), [row])
    assert row.reply == []


def test_a_held_step_reads_nothing_back_from_the_device(tiny_models: Path) -> None:
    config = AutoConfig.from_pretrained(tiny_models / "lm")
    with FakeTensorMode(), torch.inference_mode():
        model = AutoModelForCausalLM.from_config(config, attn_implementation=register())
        text = VerbatimText([[3, 4], [3, 5, 6]], 2, [1], model.device)
        batch = DecodeBatch(Prefix(model), frozenset([1]), text)
        batch.reserve(3, 64)
        batch.step(StepShape(3, 64))


def test_a_memory_recalls_spans_to_the_letter(lm: LanguageModel) -> None:
    model, book = LiteMemory(lm, chunk=128, gist=16), Document("book", "Book", STORY)
    memory = model.memorize([book], SILENT)
    spans, questions = model.recall(memory, "Who kept the book?", [book], MOST)
    assert set(spans.split("\n")) <= set(SENTENCES)
    assert questions == model.recall(memory, "Who kept the book?", max_new_tokens=MOST)[1]
