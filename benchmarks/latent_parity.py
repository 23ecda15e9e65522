"""Do latent memories give what the original implementation computes? `python -m benchmarks.latent_parity FOLDER…`

FOLDER holds a checkpoint in the published LCLM layout and, as `caseN.safetensors`, what the original computed for some
documents and a question. With `--original CHECKOUT`, a checkout of github.com/LeonLixyz/LCLM, its own code is run
first, in float32, and writes these cases; its reading of prompts, its encoder and its generation are used as they are.

Every case goes the way of the product: documents are memorized, and the question is decoded over the memory. Exit
status 1 if a latent or a logit differs by more than 1e-4, or a greedy id is another.

Of a case: `latents` (latents, width) of all documents; `greedy_ids` (N), at a repetition penalty of 1.1;
`logits` (N, vocabulary), those that each was chosen from; documents and question are in the file's metadata.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from memorag_core import Document
from memorag_core.concurrency.progress import SILENT
from memorag_core.memory.latent import BEGIN, END, LatentMemory
from memorag_core.models.latent.checkpoint import DECODER, LatentCheckpoint
from memorag_core.models.latent.encoder import LatentEncoder
from memorag_core.models.lm.attention import lower_right
from memorag_core.models.lm.decode_batch import DecodeRow
from memorag_core.models.lm.key_values import KeyValues
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.types import PARAGRAPH_BREAK

TOLERANCE = 1e-4
NEW_TOKENS = 16
PENALTY = 1.1
STORY = "The mill stands at the head of the pond. Its gates were hung in May 1963. Amos kept the gate book. "
OTHER = "The lighthouse log says that the wind went round to the west at noon. – Then it rained, 3 °C."
CASES = (
    ([STORY], "When were the gates hung?"),
    ([STORY * 3, OTHER, "x"], "Who kept the book?"),
    ([OTHER * 14], "Where did the wind go?"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The largest absolute differences of a case, and whether the ids are the same."""

    case: str
    latents: float
    logits: float
    same_ids: bool

    @property
    def agrees(self) -> bool:
        """Whether this is parity."""
        return max(self.latents, self.logits) <= TOLERANCE and self.same_ids


def load(folder: Path) -> LatentMemory:
    """The memory model of a checkpoint, in float32 on the CPU."""
    checkpoint = LatentCheckpoint.find(folder)
    return LatentMemory(LanguageModel.load(folder / DECODER, "cpu"), LatentEncoder.load(checkpoint, "cpu"))


def compare(model: LatentMemory, path: Path) -> Outcome:
    """Run one case."""
    expected = load_file(path)
    with safe_open(path, framework="pt") as file:
        asked = json.loads(file.metadata()["case"])
    documents = [Document(str(number), str(number), text) for number, text in enumerate(asked["documents"])]
    memory = model.memorize(documents, SILENT)
    [prompt] = model.lm.encode([PARAGRAPH_BREAK + asked["question"] + model.lm.chat_tail])
    ids = expected["greedy_ids"].tolist()
    row = DecodeRow(prompt, len(ids), PENALTY)
    [reply] = model.lm.scheduler.decode([row], model.prefix(memory), lambda _: None)
    return Outcome(
        path.stem,
        _largest(_latents(model, documents), expected["latents"]),
        _largest(_logits(model.lm, [*prompt, *ids[:-1]], memory.state)[len(prompt) - 1 :], expected["logits"]),
        reply == [token for token in ids if token not in model.lm.stop],
    )


def _latents(model: LatentMemory, documents: Sequence[Document]) -> torch.Tensor:
    return torch.cat(model.encoder.encode(model.lay_out(documents).windows))


@torch.inference_mode()
def _logits(lm: LanguageModel, ids: Sequence[int], memory: KeyValues) -> torch.Tensor:
    """The logits after every token, all read at once over the memory."""
    places = torch.arange(memory.next_position, memory.next_position + len(ids))[None]
    model: Any = lm.model
    found: torch.Tensor = model(
        torch.tensor([ids]), attention_mask=lower_right(model.device), position_ids=places, memory=memory
    ).logits[0]
    return found


def _largest(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).abs().max())


def record(checkout: Path, folder: Path) -> None:
    """Write the cases of a checkpoint, as the original computes them."""
    sys.path.insert(0, str(checkout.absolute()))
    original = import_module("inference.hf")
    model, tokenizer, processor = original.load_model(str(folder), device="cpu", dtype="fp32")
    for number, (documents, question) in enumerate(CASES):
        wrapped = PARAGRAPH_BREAK.join(f"{BEGIN}{text}{END}" for text in documents)
        turn = [{"role": "user", "content": wrapped + PARAGRAPH_BREAK + question}]
        prompt = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        given = processor.process_wrapped_batch([prompt], None, padding="longest", truncation=True)
        tensors = _generate(model, tokenizer, given)
        about = {"case": json.dumps({"documents": documents, "question": question})}
        save_file(tensors, folder / f"case{number}.safetensors", about)


@torch.inference_mode()
def _generate(model: Any, tokenizer: Any, given: dict[str, Any]) -> dict[str, torch.Tensor]:
    names = ("input_ids", "attention_mask", "memory_token_ids", "memory_positions", "latent_counts")
    said = model.generate(
        **{name: given[name] for name in names},
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        repetition_penalty=PENALTY,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        output_logits=True,
        return_dict_in_generate=True,
    )
    [latents] = model._process_latent_embeddings(given["memory_token_ids"])
    return {
        "latents": torch.cat(latents),
        "greedy_ids": said.sequences[0],
        "logits": torch.cat(said.logits),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for every case; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--original", type=Path, help="a checkout of the original, which writes the cases anew")
    chosen = parser.parse_args(arguments)
    outcomes = []
    for folder in chosen.folders:
        if chosen.original:
            record(chosen.original, folder)
        model = load(folder)
        outcomes += [compare(model, path) for path in sorted(folder.glob("case*.safetensors"))]
    print(f"{'case':<24} {'latents':>9} {'logits':>9}  ids")
    for one in outcomes:
        print(f"{one.case:<24} {one.latents:9.1e} {one.logits:9.1e}  {'same' if one.same_ids else 'OTHER'}")
    failures = sum(not one.agrees for one in outcomes)
    print(f"{failures} of {len(outcomes)} cases differ by more than {TOLERANCE:g} or otherwise.")
    return 1 if failures or not outcomes else 0


if __name__ == "__main__":
    raise SystemExit(main())
