"""A key-value state comes back from disk in every form it is kept in, by heads of even and of uneven lengths."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch

from memorag_core.config import Storage
from memorag_core.models.lm.key_values import KeyValues, RaggedKeyValues
from memorag_core.models.lm.kv_storage import GROUP, load, save
from memorag_core.models.mapped import map_tensors

LIKE: Any = SimpleNamespace(device=torch.device("cpu"), dtype=torch.float32)
COUNTS = torch.tensor([[[150, 0, 30], [60, 60, 60]], [[1, 3, 2], [2, 2, 2]]])


def drawn(*shape: int) -> torch.Tensor:
    """Numbers of which some channels lie far off and some heads farther."""
    draw = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=draw) + 40 * torch.randn(shape[-1], generator=draw)


def even(tokens: int = 180, width: int = 64) -> KeyValues:
    keys, values = (tuple(drawn(1, 3, tokens, width) for _ in range(2)) for _ in range(2))
    return KeyValues(keys, values, tokens)


def ragged() -> RaggedKeyValues:
    keys, values = (tuple(drawn(1, 1, int(layer.sum()), 64) for layer in COUNTS.sum(0)) for _ in range(2))
    return RaggedKeyValues(keys, values, 62, COUNTS)


def size(state: KeyValues, folder: Path, storage: Storage) -> int:
    save(state, folder / storage, storage)
    return (folder / storage).stat().st_size


def bound(was: torch.Tensor, along: int, storage: Storage) -> torch.Tensor:
    """Half a step, and what half precision rounds."""
    rounding = was.abs() / 1000 + 1e-4
    if storage == "half" or not was.numel():
        return rounding
    if storage == "int8":
        return was.abs().amax(along, keepdim=True) / 254 + rounding
    groups = was.split(GROUP, along)
    spans = [(part.amax(along, keepdim=True) - part.amin(along, keepdim=True)).expand_as(part) for part in groups]
    return torch.cat(spans, along) / 30 + rounding


@pytest.mark.parametrize("storage", get_args(Storage))
@pytest.mark.parametrize("state", [even(), ragged(), even(3, 12)], ids=["even", "ragged", "small"])
def test_every_form_gives_back_shapes_and_numbers(tmp_path: Path, state: KeyValues, storage: Storage) -> None:
    save(state, tmp_path / "memory", storage)
    loaded = load(map_tensors(tmp_path / "memory"), state.next_position, LIKE)
    assert type(loaded) is type(state)
    assert loaded.tokens == state.tokens
    for name, along in (("keys", -2), ("values", -1)):
        for layer, (kept, was) in enumerate(zip(getattr(loaded, name), getattr(state, name), strict=True)):
            assert kept.shape == was.shape
            pairs = [(kept, was)]
            if isinstance(state, RaggedKeyValues):
                pairs = list(zip(state.by_head(kept, layer), state.by_head(was, layer), strict=True))
            for own, before in pairs:
                assert bool(((own - before).abs() <= bound(before, along, storage)).all())


def test_four_bits_take_at_most_three_tenths_of_sixteen(tmp_path: Path) -> None:
    state = even(1500)
    assert size(state, tmp_path, "int4") <= 0.3 * size(state, tmp_path, "half")


def test_a_head_keeps_its_own_scales_beside_others(tmp_path: Path) -> None:
    state = ragged()
    loud, _, quiet = state.by_head(state.keys[0], 0)
    loud *= 100
    save(state, tmp_path / "memory", "int4")
    *_, kept = state.by_head(load(map_tensors(tmp_path / "memory"), 62, LIKE).keys[0], 0)
    save(KeyValues((quiet,), (quiet,), 62), tmp_path / "alone", "int4")
    assert torch.equal(kept, load(map_tensors(tmp_path / "alone"), 62, LIKE).keys[0])
