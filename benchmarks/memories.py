"""What memories answer and recall from themselves alone, on real documents: Lite, and long-LLM at several ratios.

Run: python -m benchmarks.memories MODEL… [--set FOLDER] [--memory lite long] [--ratios 1 2 4 8] [--methods …]
     [--documents N] [--questions N] [--characters N] [--segment N] [--storage half|int8]
e.g. python -m benchmarks.memories smollm2-135m-instruct --set ../shared/eval/loogle_shortdep_qa --questions 8

MODEL is an embedded model, a folder, a hub id, or a GGUF file, which is converted once beside itself. Documents are
cut to `--characters`, and only questions are asked whose evidence lies within; all questions of a document are asked
as one batch. Every row reads the documents anew: what is read later attends to what was kept of what came before,
so no ratio can be had from the memory of another. With `--storage`, what is asked was on disk in that form.

F1: words shared by answer and gold answer. Clues: cleaned sentences recalled per question; found: the share of them
with at least 0.8 of their words in the gold evidence; overlap: the mean share of their words that are in it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any, get_args

from memorag_core import Document, Settings
from memorag_core.clues import clean
from memorag_core.config import Storage
from memorag_core.context import cut
from memorag_core.memory import KeyValueMemory, LiteMemory, LongMemory
from memorag_core.models.compression import SCORERS
from memorag_core.models.embedded import convert
from memorag_core.models.language_model import LanguageModel
from memorag_core.models.registry import Weights
from memorag_core.prompts import prompts_for
from memorag_core.texts import Texts
from memorag_core.words import terms

NEW_TOKENS = 48
FOUND = 0.8
PASSAGE = 160


@dataclass(frozen=True)
class Case:
    """A document, and the questions whose evidence is in it."""

    document: Document
    questions: Sequence[dict[str, Any]]

    @cached_property
    def texts(self) -> Texts:
        """To look clues up in."""
        return Texts([self.document], cut(self.document, PASSAGE, _words))


def _words(texts: Sequence[str]) -> list[int]:
    return [len(terms(text)) for text in texts]


@dataclass(frozen=True)
class Outcome:
    """One question over one memory."""

    f1: float
    clues: int
    found: float | None
    overlap: float | None


def cases(folder: Path, documents: int, questions: int, characters: int) -> list[Case]:
    """The documents with most questions within their first `characters`."""
    asked = [json.loads(line) for line in (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    found = []
    for path in sorted(folder.glob("*.txt")):
        text = path.read_text(encoding="utf-8")[:characters]
        own = [q for q in asked if q["context"] == path.stem and q["evidence"]]
        within = [q for q in own if all(end <= len(text) for _, end in q["evidence"])]
        found.append(Case(Document(path.stem, path.stem, text), spread(within, questions)))
    return sorted(found, key=lambda case: -len(case.questions))[:documents]


def spread(items: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most so many, from all over."""
    count = min(most, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def memories(lm: LanguageModel, chosen: argparse.Namespace) -> Iterator[tuple[str, KeyValueMemory]]:
    """The rows of the table."""
    if "lite" in chosen.memory:
        yield "lite", LiteMemory(lm, 1024, 72, 2048)
    if "long" not in chosen.memory:
        return
    for ratio in chosen.ratios:
        for method in chosen.methods[: None if ratio > 1 else 1]:
            name = f"long {ratio}x {method}" if ratio > 1 else "long exact"
            yield name, LongMemory(lm, ratio, method, chosen.segment)


def ask(model: KeyValueMemory, case: Case, storage: Storage | None) -> tuple[list[Outcome], str]:
    """All questions over a memory of the document, or what is left of it on disk; and what it cost."""
    started = time.perf_counter()
    memory = model.memorize([case.document], lambda done, total: None)
    reading = time.perf_counter() - started
    if storage:
        with TemporaryDirectory() as name:
            model.storage = storage
            model.save(memory, Path(name))
            memory = model.load(Path(name))
    prompts = prompts_for(case.document.text)
    templates = (prompts.qa, prompts.spans)
    asked = [t.format(question=q["question"]) for q in case.questions for t in templates]
    replies = model.ask(memory, asked, NEW_TOKENS)
    asking = time.perf_counter() - started - reading
    outcomes = [
        judge(case, question, *replies[2 * number : 2 * number + 2]) for number, question in enumerate(case.questions)
    ]
    return outcomes, f"{memory.state.tokens:>7} {memory.state.nbytes >> 20:>5} {reading:>7.1f} {asking:>7.1f}"


def judge(case: Case, question: dict[str, Any], answer: str, spans: str) -> Outcome:
    """One answer against the gold answers, and the clues against the gold evidence."""
    text = case.document.text
    evidence = {word for start, end in question["evidence"] for word in terms(text[start:end])}
    shares = [
        len(own & evidence) / len(own)
        for clue in clean({"span": spans}, question["question"], case.texts)
        for own in [set(terms(clue.text))]
    ]
    f1 = max(shared_words(answer, gold) for gold in question["answers"])
    if not shares:
        return Outcome(f1, 0, None, None)
    return Outcome(f1, len(shares), mean(share >= FOUND for share in shares), mean(shares))


def shared_words(one: str, other: str) -> float:
    """F1 of the words of two texts."""
    a, b = Counter(terms(one)), Counter(terms(other))
    shared = (a & b).total()
    return 2 * shared / (a.total() + b.total()) if shared else 0.0


def row(name: str, outcomes: Sequence[Outcome], cost: str) -> str:
    """One line of the table; found and overlap are means over the questions with clues."""
    found, overlap = (
        mean(values) if (values := [v for o in outcomes if (v := getattr(o, field)) is not None]) else 0.0
        for field in ("found", "overlap")
    )
    clues = mean(o.clues for o in outcomes)
    return f"{name:<28} {mean(o.f1 for o in outcomes):>6.3f} {clues:>6.1f} {found:>6.2f} {overlap:>8.2f} {cost}"


def language_model(name: str) -> LanguageModel:
    """An embedded model, a folder, a hub id or a GGUF file."""
    if not name.endswith(".gguf"):
        return Weights(Settings.of(device="cpu"), print).language_model(name)
    gguf = Path(name).resolve()
    folder = gguf.parent / "converted" / gguf.stem
    if not (folder / "tokenizer.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / gguf.name
        link.unlink(missing_ok=True)
        link.symlink_to(gguf)
        convert(link)
    return LanguageModel.load(folder, "cpu", gguf.stem)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--set", type=Path, default=Path("../shared/eval/loogle_shortdep_qa"))
    parser.add_argument("--memory", nargs="+", choices=("lite", "long"), default=["lite", "long"])
    parser.add_argument("--ratios", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--methods", nargs="+", choices=list(SCORERS), default=list(SCORERS))
    parser.add_argument("--documents", type=int, default=1)
    parser.add_argument("--questions", type=int, default=10)
    parser.add_argument("--characters", type=int, default=24_000)
    parser.add_argument("--segment", type=int, default=1024)
    parser.add_argument("--storage", choices=get_args(Storage))
    chosen = parser.parse_args()
    found = cases(chosen.set, chosen.documents, chosen.questions, chosen.characters)
    for name in chosen.models:
        lm = language_model(name)
        for case in found:
            [tokens] = lm.count([case.document.text])
            print(f"\n{lm.model_id}, {chosen.set.name}/{case.document.id}, {tokens} tokens, ", end="")
            print(f"{len(case.questions)} questions, segment {chosen.segment}")
            print(f"{'memory':<28} {'F1':>6} {'clues':>6} {'found':>6} {'overlap':>8}    kept   MiB    read     ask")
            for kind, model in memories(lm, chosen):
                print(row(kind, *ask(model, case, chosen.storage)), flush=True)


if __name__ == "__main__":
    main()
