"""Recall by attention: exactly what the model's own heads look at, kept small, and read once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import STORY
from numpy.typing import NDArray

from memorag_core.concurrency.progress import SILENT, ProgressScope
from memorag_core.errors import InputError
from memorag_core.models.lm.attention_heads import truncate_layers
from memorag_core.models.lm.head_layout import group_of
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.retrieval import attention
from memorag_core.retrieval.attention import AttentionIndex, AttentionIndexer
from memorag_core.types import Progress

HEADS = ((0, 1), (1, 3))
FAR = 40
TEXTS = ["The ferry sank in 1953.", STORY[:200], "", "Snow lay on the hills until May, and the mill stood still."]
QUESTION = "When did the ferry sink?"


@pytest.fixture(scope="module")
def lm(tiny_models: Path) -> LanguageModel:
    return LanguageModel.load(tiny_models / "lm", "cpu")


@pytest.fixture(autouse=True)
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "FAR", FAR)


@pytest.fixture
def index(lm: LanguageModel) -> AttentionIndex:
    return AttentionIndexer(lm, HEADS).index(TEXTS, SILENT)


def logits_of(lm: LanguageModel, text: str, head: tuple[int, int]) -> torch.Tensor:
    """By the model's own modules: the unscaled product of a question's queries and a text's keys, rotated."""
    layer, number = head
    config = lm.model.config
    [start, ids, asked] = lm.encode([lm.chat_head, text, QUESTION])
    attention = lm.model.base_model.layers[layer].self_attn
    seen: dict[str, torch.Tensor] = {}

    def run(module: torch.nn.Module, ids: list[int], at: int) -> torch.Tensor:
        hook = module.register_forward_hook(lambda _m, _i, out: seen.update(out=out.detach()))
        with torch.inference_mode():
            lm.model(input_ids=torch.tensor([ids]), use_cache=False)
        hook.remove()
        width = config.hidden_size // config.num_attention_heads
        rows = seen["out"].view(len(ids), -1, width).transpose(0, 1)
        places = torch.arange(at, at + len(ids))[None]
        cos, sin = lm.model.base_model.rotary_emb(rows, places)
        half = torch.cat((-rows[..., width // 2 :], rows[..., : width // 2]), -1)
        turned: torch.Tensor = rows * cos + half * sin
        return turned

    keys = run(attention.k_proj, start + ids, 0)[number * config.num_key_value_heads // config.num_attention_heads]
    queries = run(attention.q_proj, start + asked, FAR - len(start))[number]
    product: torch.Tensor = queries[len(start) :] @ keys[len(start) :].T / keys.shape[-1] ** 0.5
    return product


@pytest.mark.parametrize("head", HEADS)
def test_the_products_are_those_of_the_models_own_attention(lm: LanguageModel, head: tuple[int, int]) -> None:
    retriever = AttentionIndexer(lm, HEADS)
    [ids] = lm.encode([TEXTS[1]])
    [keys] = lm.read_keys([ids], retriever.groups)
    rows = lm.read_queries(QUESTION, HEADS, FAR)[HEADS.index(head)]
    mine = rows @ keys[:, retriever.groups.index(group_of(lm.model.config, head))].T
    np.testing.assert_allclose(mine, logits_of(lm, TEXTS[1], head), atol=1e-4, rtol=1e-4)


def test_a_text_has_the_same_keys_alone_and_beside_others(lm: LanguageModel) -> None:
    ids = lm.encode(TEXTS)
    groups = AttentionIndexer(lm, HEADS).groups
    for together, own in zip(lm.read_keys(ids, groups), ids, strict=True):
        np.testing.assert_allclose(together, lm.read_keys([own], groups)[0], atol=1e-5, rtol=1e-4)


def test_a_text_in_a_script_that_the_model_has_not_learned_is_not_looked_at(lm: LanguageModel) -> None:
    chinese = "村雨城是一座城，城外有一条大河。"
    assert len(lm.encode([chinese])[0]) > len(chinese)
    indexer = AttentionIndexer(lm, HEADS)
    mixed = indexer.index([chinese, *TEXTS], SILENT)
    alone = indexer.index(TEXTS, SILENT).attend(QUESTION).best(9)
    assert [(hit.chunk - 1, hit.score) for hit in mixed.attend(QUESTION).best(9)] == [(h.chunk, h.score) for h in alone]
    assert indexer.index([chinese], SILENT).attend(QUESTION).best(9) == []


def test_the_attention_on_tokens_is_one_distribution_over_all_texts(index: AttentionIndex) -> None:
    attend = index.attend(QUESTION)
    asked = attend.rows.shape[1]
    np.testing.assert_allclose(np.exp(attend.masses).sum((1, 2)), asked, rtol=1e-5)
    assert [len(attend.tokens(text)) for text in range(len(TEXTS))] == index.lengths.tolist()


def test_blocks_of_any_size_find_the_same(index: AttentionIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = index.attend(QUESTION).best(4)
    monkeypatch.setattr(attention, "TOKENS_AT_ONCE", 1)
    pieces = index.attend(QUESTION).best(4)
    assert [hit.chunk for hit in pieces] == [hit.chunk for hit in whole]
    assert [hit.score for hit in pieces] == pytest.approx([hit.score for hit in whole], rel=1e-4)
    assert 2 not in [hit.chunk for hit in whole], "an empty text is never found"


def test_a_stored_index_finds_the_same(index: AttentionIndex, tmp_path: Path) -> None:
    index.save(tmp_path)
    loaded = index.retriever.load(tmp_path)
    for question in (QUESTION, "snow"):
        assert loaded.attend(question).best(3) == index.attend(question).best(3)


def test_keys_are_kept_in_a_byte_a_number(index: AttentionIndex) -> None:
    groups, width = len(index.retriever.groups), index.keys.keys.shape[-1]
    assert index.keys.keys.nbytes + index.keys.scales.nbytes == int(index.lengths.sum()) * groups * (width + 2)


def test_only_new_texts_are_read_again(index: AttentionIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    read_keys = LanguageModel.read_keys

    def count(lm: LanguageModel, ids: list[list[int]], groups: list[tuple[int, int]]) -> list[NDArray[np.float32]]:
        read.append(len(ids))
        return read_keys(lm, ids, groups)

    monkeypatch.setattr(LanguageModel, "read_keys", count)
    new = [TEXTS[3], "A new text.", TEXTS[0]]
    changed = index.retriever.update(index, TEXTS, new, SILENT)
    assert sum(read) == 1
    assert changed.attend(QUESTION).best(3) == index.retriever.index(new, SILENT).attend(QUESTION).best(3)


def test_nothing_is_found_in_nothing(lm: LanguageModel) -> None:
    assert AttentionIndexer(lm, HEADS).index([], SILENT).attend(QUESTION).best(3) == []


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_whole_again_afterwards(lm: LanguageModel, fails: bool) -> None:
    layers = lm.model.base_model.layers

    def attend() -> None:
        with truncate_layers(lm.model, 1) as body:
            assert len(body.layers) == 1
            if fails:
                raise KeyError

    if fails:
        with pytest.raises(KeyError):
            attend()
    else:
        attend()
    assert lm.model.base_model.layers is layers


def test_progress_is_told_and_may_stop(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "TOKENS_AT_ONCE", 1)
    told: list[Progress] = []
    AttentionIndexer(lm, HEADS).index(TEXTS, ProgressScope(told.append))
    assert [(progress.done, progress.total) for progress in told] == [
        (done, len(TEXTS)) for done in range(1, len(TEXTS) + 1)
    ]


@pytest.mark.parametrize("head", [(2, 0), (0, 4)])
def test_a_head_that_the_model_lacks_is_refused_with_those_it_has(lm: LanguageModel, head: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=rf"no head {head[0]}:{head[1]}; its layers are 0 to 1, .* 0 to 3"):
        AttentionIndexer(lm, [head])
