"""Which attention heads of a model retrieve: calibration on labelled data, for `Profile.heads`.

Run: python -m benchmarks.heads FOLDER [--memory-model MODEL] [--questions N] [--layers FIRST LAST] [--keep N]

For each question of the calibration half of an evaluation set, every head ranks the passages that hold its evidence
among others that BM25 finds for it and random ones, by `retrieval.attended`'s own score. Prints the heads by the share
of evidence passages among their first five, and the best few together: heads are added while the share grows.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import torch

from memorag_core.concurrency.progress import SILENT
from memorag_core.config import TINY_LM, Head, Settings
from memorag_core.context.encode import cut
from memorag_core.evaluation.datasets import Question, choose, read_sets
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.weights import Weights
from memorag_core.retrieval.attention import AttentionIndexer
from memorag_core.retrieval.bm25 import Bm25Retriever
from memorag_core.text.chunking import Span
from memorag_core.types import Chunk, Document

PASSAGE = 160
HARD, RANDOM, FIRST = 14, 10, 5


def scores(lm: LanguageModel, heads: Sequence[Head], question: str, texts: Sequence[str]) -> torch.Tensor:
    """Of each head for each text: the root of the attention a token; float32 (heads, texts)."""
    index = AttentionIndexer(lm, heads).index(texts, SILENT)
    masses = index.attend(question).masses
    return (masses.exp().sum(1) / index.lengths.clamp_min(1)).sqrt()


def share(ranked: torch.Tensor, gold: set[int]) -> float:
    """Of the gold texts, those among the first few."""
    return len(gold & set(ranked[:FIRST].tolist())) / len(gold)


def candidates(question: Question, chunks: Sequence[Chunk], ranked: Sequence[int], chance: random.Random) -> list[int]:
    """Numbers of passages, those with evidence first."""
    gold = [number for number, chunk in enumerate(chunks) if any(_holds(chunk, span) for span in question.evidence)]
    others = [*ranked[:HARD], *(chance.randrange(len(chunks)) for _ in range(RANDOM))]
    return list(dict.fromkeys([*gold, *others])) if gold else []


def _holds(chunk: Chunk, span: Span) -> bool:
    return min(chunk.end, span[1]) - max(chunk.start, span[0]) > 0.3 * (span[1] - span[0])


def measure(lm: LanguageModel, folder: Path, heads: Sequence[Head], most: int) -> list[tuple[torch.Tensor, set[int]]]:
    """Of each question: the scores of all heads, and which of the texts are gold."""
    [dataset], chance = read_sets(folder), random.Random(0)
    asked = choose(dataset, "calibration", None).questions
    found: list[tuple[torch.Tensor, set[int]]] = []
    for name, text in dataset.contexts.items():
        chunks = cut(Document("text", name, text), PASSAGE, lm.count)
        words = Bm25Retriever().index([chunk.indexed for chunk in chunks], SILENT)
        for question in (question for question in asked if question.context == name and len(found) < most):
            ranked = [hit.chunk for hit in words.search([question.text], HARD)[0]]
            numbers = candidates(question, chunks, ranked, chance)
            if not numbers:
                continue
            gold = {at for at, n in enumerate(numbers) if any(_holds(chunks[n], span) for span in question.evidence)}
            found.append((scores(lm, heads, question.text, [chunks[n].indexed for n in numbers]), gold))
            print(f"\r{len(found)} questions", end="", flush=True)
    return found


def chosen(measured: Sequence[tuple[torch.Tensor, set[int]]], order: Sequence[int], keep: int) -> list[int]:
    """Heads added one by one, best first, while together they rank better."""
    kept: list[int] = []
    reached = 0.0
    for head in order[: 4 * keep]:
        together = sum(share(s[[*kept, head]].sum(0).argsort(descending=True), gold) for s, gold in measured)
        if together > reached and len(kept) < keep:
            kept, reached = [*kept, head], together
    print(f"together: {reached / len(measured):.3f}")
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--memory-model", default=TINY_LM)
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("--layers", type=int, nargs=2, default=None, metavar=("FIRST", "LAST"))
    parser.add_argument("--keep", type=int, default=3)
    asked = parser.parse_args()
    lm = Weights(Settings.of(), print).language_model(asked.memory_model)
    config = lm.model.config
    first, last = asked.layers or (config.num_hidden_layers // 5, config.num_hidden_layers - 1)
    heads = [(layer, head) for layer in range(first, last + 1) for head in range(config.num_attention_heads)]
    measured = measure(lm, asked.folder, heads, asked.questions)
    means = torch.tensor([[share(row.argsort(descending=True), gold) for row in s] for s, gold in measured]).mean(0)
    order = means.argsort(descending=True).tolist()
    print()
    for at in order[:12]:
        print(f"layer {heads[at][0]:>3} head {heads[at][1]:>3}: {means[at]:.3f}")
    print("heads =", tuple(heads[at] for at in chosen(measured, order, asked.keep)))


if __name__ == "__main__":
    main()
