"""What is kept by replay is what a plain model attends to when it repeats the text, by head; the rest is freed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import STORY
from transformers import AutoModelForCausalLM

from memorag_core.concurrency.progress import SILENT
from memorag_core.memory import LongMemory
from memorag_core.models.lm.kernels import attend_masked
from memorag_core.models.lm.key_values import RaggedKeyValues
from memorag_core.models.lm.kv_compression import EXPECTED_ATTENTION, KVZIP, Scorer, Segment
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.lm.prefill import HINT, PrefillPlan, Replay, read
from memorag_core.models.lm.rope import rotate, rotation
from memorag_core.types import Document

SEGMENT, RATIO, STEP = 64, 4, 16
REPLAY = Replay([5, 6, 7], [8, 9])


@pytest.fixture(scope="module")
def lm(tiny_models: Path) -> LanguageModel:
    return LanguageModel.load(tiny_models / "lm", "cpu")


def attention_of_repeats(folder: Path, ids: list[int], kv_heads: int) -> torch.Tensor:
    """The most that any query of the repeats pays to each token, (layers, key-value heads, tokens), in plain sight."""
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    most = torch.zeros(model.config.num_hidden_layers, kv_heads, len(ids))
    for at in range(0, len(ids), STEP):
        said = [*ids, *REPLAY.lead, *ids[max(0, at - HINT) : at], *REPLAY.tail, *ids[at : at + STEP]]
        with torch.no_grad():
            layers = model(torch.tensor([said]), output_attentions=True).attentions
        for layer, paid in enumerate(layers):
            by_group = paid[0, :, len(ids) :, : len(ids)].unflatten(0, (kv_heads, -1))
            most[layer] = torch.maximum(most[layer], by_group.amax((1, 2)))
    return most


def test_the_entries_kept_are_those_that_a_repeat_attends_to_most(lm: LanguageModel, tiny_models: Path) -> None:
    ids = torch.randint(3, 600, (SEGMENT,), generator=torch.Generator().manual_seed(1)).tolist()
    exact = read(lm.model, ids, SILENT.step, PrefillPlan())
    kept = read(lm.model, ids, SILENT.step, PrefillPlan(SEGMENT, RATIO, KVZIP, REPLAY))
    assert isinstance(kept, RaggedKeyValues)
    most = attention_of_repeats(tiny_models / "lm", ids, exact.keys[0].shape[1])
    most[..., :4] = torch.inf
    least = most.flatten().topk(most[..., 0].numel() * SEGMENT // RATIO).values[-1]
    chosen, budget = most >= least, SEGMENT // RATIO
    assert torch.equal(kept.counts[0], chosen.sum(-1))
    assert len(kept.counts.unique()) > 1, "heads differ"
    for layer, marks in enumerate(chosen):
        for head, keys in enumerate(kept.by_head(kept.keys[layer], layer)):
            places = marks[head].nonzero()[:, 0]
            goal = torch.arange(len(places)) * min(1.0, budget / len(places))
            moved = rotate(exact.keys[layer][0, head, places], *rotation(lm.model, goal - places))
            torch.testing.assert_close(keys[0, 0], moved, atol=1e-4, rtol=0)


def drawn(counts: torch.Tensor) -> RaggedKeyValues:
    draw = torch.Generator().manual_seed(0)
    keys, values = (
        tuple(torch.randn(1, 1, int(layer.sum()), 8, generator=draw) for layer in counts.sum(0)) for _ in range(2)
    )
    return RaggedKeyValues(keys, values, 20, counts)


def test_ragged_attention_equals_dense_attention_under_a_mask() -> None:
    state = drawn(torch.tensor([[[5, 0, 9], [3, 3, 3]], [[2, 0, 1], [1, 4, 2]]]))
    query = torch.randn(2, 6, 3, 8, generator=torch.Generator().manual_seed(1))
    for layer, lengths in enumerate(state.counts.sum(0)):
        longest = int(lengths.max())
        mask = torch.arange(longest) < lengths[:, None]
        keys, values = (torch.zeros(1, 3, longest, 8) for _ in range(2))
        keys[0][mask], values[0][mask] = state.keys[layer][0, 0], state.values[layer][0, 0]
        found = state.attend(layer, query, 0.3)
        for head in (head for head in range(3) if lengths[head]):
            own, one = slice(2 * head, 2 * head + 2), slice(head, head + 1)
            shown = mask[None, None, head].expand(2, 1, 3, -1)
            own_keys, own_values = (part[:, one].expand(2, -1, -1, -1) for part in (keys, values))
            dense = attend_masked(query[:, own], own_keys, own_values, 0.3, shown)
            torch.testing.assert_close(found.output[:, own], dense.output, atol=1e-5, rtol=0)
            torch.testing.assert_close(found.lse[:, own], dense.lse, atol=1e-5, rtol=0)
    assert bool((state.attend(0, query, 0.3).lse[:, 2:4] == -torch.inf).all()), "a head that keeps nothing"


def test_a_layer_may_keep_nothing_of_a_segment(lm: LanguageModel) -> None:
    def last_layer(segment: Segment) -> torch.Tensor:
        layers.append(segment)
        return segment.keys[..., 0] + 1000 * len(layers)

    layers: list[Segment] = []
    ids = torch.randint(3, 600, (2 * SEGMENT + 5,), generator=torch.Generator().manual_seed(1)).tolist()
    kept = read(lm.model, ids, SILENT.step, PrefillPlan(SEGMENT, RATIO, Scorer("last", last_layer, by_head=True)))
    assert isinstance(kept, RaggedKeyValues)
    assert kept.counts.sum(-1)[1].tolist()[0] == 0
    assert all(bool(part.isfinite().all()) for part in (*kept.keys, *kept.values))
    assert kept.tokens == kept.next_position == 2 * SEGMENT // RATIO + 5


def test_a_state_is_its_first_blocks_and_what_came_behind_them() -> None:
    state = drawn(torch.tensor([[[5, 1, 3], [3, 3, 3]], [[2, 2, 2], [2, 2, 2]]]))
    for tokens in (0, 3, 4, 5):
        joined = state.first(tokens).join(state.after(tokens))
        assert isinstance(joined, RaggedKeyValues)
        assert joined.tokens == state.tokens == 5
        assert torch.equal(joined.counts.sum(0), state.counts.sum(0))
        assert all(map(torch.equal, (*joined.keys, *joined.values), (*state.keys, *state.values)))


def test_a_memory_by_head_takes_no_more_bytes_than_one_of_even_heads(lm: LanguageModel) -> None:
    document = [Document("a", "a", STORY * 8)]
    kinds = (EXPECTED_ATTENTION, KVZIP)
    even, by_head = (LongMemory(lm, RATIO, scorer, SEGMENT).memorize(document, SILENT).state for scorer in kinds)
    assert isinstance(by_head, RaggedKeyValues)
    assert not isinstance(even, RaggedKeyValues)
    assert by_head.nbytes == even.nbytes
    assert by_head.tokens == even.tokens
