"""Do beacon checkpoints give what the original implementation computed? `python -m benchmarks.parity FOLDER…`

A folder holds a checkpoint in the published MemoRAG layout and cases as `caseI_ctxC_qQ_newN.safetensors` (described
in the README of the parity fixtures), or holds such folders. Every case is run through the public loader and the
decoder that answers questions: the context, then the query and greedy tokens on top of the memory. Exit status 1 if
a logit differs by more than 1e-4, a greedy id is another, or the memory has another size.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from memorag_core.models.beacon.model import BeaconModel, BeaconState
from memorag_core.models.beacon.prefix import BeaconPrefix
from memorag_core.models.beacon.reading import BeaconReading, read
from memorag_core.models.lm.decoding import decode
from memorag_core.models.lm.fp16_linear import unpack
from memorag_core.models.lm.language_model import load_model

TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Outcome:
    """The largest absolute differences of a case's logits, and whether ids and memory sizes are the same."""

    case: str
    context: float
    query: float
    greedy: float
    same_ids: bool
    same_sizes: bool

    @property
    def agrees(self) -> bool:
        """Whether this is parity."""
        return max(self.context, self.query, self.greedy) <= TOLERANCE and self.same_ids and self.same_sizes


def checkpoints(folders: Iterable[Path]) -> list[Path]:
    """The folders that hold a checkpoint and cases, among those given and right below them."""
    return [
        place
        for folder in folders
        for place in (folder, *sorted(folder.glob("*/")))
        if (place / "config.json").is_file() and any(place.glob("case*.safetensors"))
    ]


def loaded(place: Path, device: str) -> BeaconModel:
    """A checkpoint in float32, wherever it computes."""
    model: Any = load_model(place, "cpu")
    unpack(model)
    return BeaconModel.beside(model.to(device), place)


def compare(model: BeaconModel, path: Path, seed: int | None = None) -> Outcome:
    """Run one case, the context in one call, or with a seed in calls of random sizes, each on the last one's state."""
    case = {name: tensor.to(model.model.device) for name, tensor in load_file(path).items()}
    context, query, ids = (case[name][0].tolist() for name in ("context_ids", "query_ids", "greedy_ids"))
    context_logits, state = _remembered(model, _pieces(context, seed))
    prefix = _Recording(model, state)
    [reply] = decode(prefix, [query], len(ids) + 1)  # one more, for the logits after the last
    query_logits, *greedy_logits = prefix.logits
    return Outcome(
        f"{path.parent.name}/{path.stem}",
        _largest(context_logits, case["context_last_logits"][0]),
        _largest(query_logits, case["query_last_logits"][0]),
        _largest(torch.stack(greedy_logits), case["greedy_logits"][0]),
        reply[:-1] == ids,
        _sizes(model, read(model, query + ids, after=state)) == case["memory_sizes"].tolist(),
    )


class _Recording(BeaconPrefix):
    """Keeps the logits of the only row: those behind its prompt, and then of each step."""

    captured = False  # a step that is replayed calls nothing

    def __init__(self, beacons: BeaconModel, state: BeaconState) -> None:
        super().__init__(beacons, state)
        self.logits: list[torch.Tensor] = []

    def read(self, *given: Any) -> torch.Tensor:
        """Of a prompt in several passes, the last counts."""
        logits = super().read(*given)
        self.logits = [logits[0]]
        return logits

    def step(self, *given: Any) -> torch.Tensor:
        """Keep them."""
        logits = super().step(*given)
        self.logits.append(logits[0])
        return logits


def _remembered(model: BeaconModel, pieces: Sequence[Sequence[int]]) -> tuple[torch.Tensor, BeaconState]:
    """The logits after the last piece, and the state."""
    state = None
    for piece in pieces:
        reading = BeaconReading(model, len(piece), state)
        logits = reading.feed(piece)[0]
        state = reading.state()
    assert state is not None, "a context has tokens"
    return logits, state


def _pieces(ids: list[int], seed: int | None) -> list[list[int]]:
    if seed is None:
        return [ids]
    draw = random.Random(seed)
    pieces = []
    while ids:
        size = draw.randint(1, draw.choice((3, 40, 300)))
        pieces.append(ids[:size])
        ids = ids[size:]
    return pieces


def _largest(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).abs().max())


def _sizes(model: BeaconModel, state: BeaconState) -> list[int]:
    """Sink, beacon and raw sizes, counted as the original counts them."""
    folded = model.layout.folded(state.read)
    sink = model.layout.sink if folded else 0
    return [sink, folded - sink, state.key_values.tokens - folded]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for every case; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description="Parity of beacon checkpoints.")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--device", default="cpu", help="where to compute, in float32")
    parser.add_argument("--seed", type=int, help="feed the contexts in pieces of random sizes")
    chosen = parser.parse_args(arguments)
    failures, places = 0, checkpoints(chosen.folders)
    print(f"{'case':<48} {'context':>9} {'query':>9} {'greedy':>9}  ids    sizes")
    for place in places:
        model = loaded(place, chosen.device)
        for path in sorted(place.glob("case*.safetensors")):
            outcome = compare(model, path, chosen.seed)
            failures += not outcome.agrees
            print(
                f"{outcome.case:<48} {outcome.context:9.1e} {outcome.query:9.1e} {outcome.greedy:9.1e}  "
                f"{'same' if outcome.same_ids else 'OTHER':<6} {'same' if outcome.same_sizes else 'OTHER'}"
            )
    if not places:
        print("No folder holds a checkpoint with cases.")
    print(f"{failures} of the cases differ by more than {TOLERANCE:g} or otherwise." if failures else "")
    return 1 if failures or not places else 0


if __name__ == "__main__":
    raise SystemExit(main())
