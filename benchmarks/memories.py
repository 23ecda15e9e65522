"""What memories answer and recall from themselves alone, on real documents: Lite, and long-LLM at several ratios.

Run: python -m benchmarks.memories MODEL… [--set FOLDER] [--memory lite long] [--ratios 1 2 4 8] [--methods …]
     [--documents N] [--stretches N] [--questions N] [--characters N] [--segment N] [--storage half|int8|int4]
     [--answers-only] [--records FILE]
e.g. python -m benchmarks.memories smollm2-135m-instruct --set ../shared/eval/loogle_shortdep_qa --documents 3

MODEL is an embedded model, a folder, a hub id, or a GGUF file, which is converted once beside itself. Of every
document, the `--characters` in a row are read that hold the evidence of most questions, and these questions are asked,
as one batch; with `--stretches`, then those that hold most of the others. Every row reads the documents anew: what is
read later attends to what was kept of what came before, so no ratio can be had from the memory of another. With
`--storage`, what is asked was on disk in that form. Rows come document by document, then over all of them; with
`--records`, a run that was stopped goes on where it was.

F1: words shared by answer and gold answer. Clues: cleaned sentences recalled per question; none: the share of
questions without any; found: the share of clues with at least 0.8 of their words in the gold evidence; overlap: the
mean share of their words that are in it; verbatim: the share that stands in the text to the letter.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any, get_args

from benchmarks.scorers import SCORERS
from memorag_core import Document, Settings
from memorag_core.concurrency.progress import SILENT
from memorag_core.config import Storage
from memorag_core.context.encode import cut
from memorag_core.memory import KeyValueMemory, LiteMemory, LongMemory
from memorag_core.models.embedded import convert
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.models.weights import Weights
from memorag_core.query.clues import clean_recall
from memorag_core.text.prompts import prompts_for
from memorag_core.text.source_text import SourceText
from memorag_core.text.terms import terms

NEW_TOKENS = 48
FOUND = 0.8
PASSAGE = 160


@dataclass(frozen=True)
class Case:
    """A document, and the questions whose evidence is in it."""

    document: Document
    questions: Sequence[dict[str, Any]]

    @cached_property
    def texts(self) -> SourceText:
        """To look clues up in."""
        return SourceText([self.document], cut(self.document, PASSAGE, _words))


def _words(texts: Sequence[str]) -> list[int]:
    return [len(terms(text)) for text in texts]


@dataclass(frozen=True)
class Outcome:
    """One question over one memory; of clues where there are any, shares."""

    f1: float
    clues: int
    found: float | None = None
    overlap: float | None = None
    verbatim: float | None = None


@dataclass(frozen=True)
class Asked:
    """All questions of a document over one memory, and what that took."""

    outcomes: Sequence[Outcome]
    kept: int
    mib: float
    read: float
    ask: float


@dataclass
class Records:
    """What was measured, by model, settings, document and row; in a file, where there is one, a line each."""

    path: Path | None
    done: dict[str, Asked] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path and self.path.is_file():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                key, outcomes = record.pop("key"), [Outcome(**outcome) for outcome in record.pop("outcomes")]
                self.done[key] = Asked(outcomes, **record)

    def get(self, key: str, measure: Callable[[], Asked]) -> Asked:
        """What is known of `key`, else what is measured now."""
        if key not in self.done:
            self.done[key] = measure()
            if self.path:
                with self.path.open("a", encoding="utf-8") as file:
                    print(json.dumps({"key": key, **asdict(self.done[key])}), file=file)
        return self.done[key]


def cases(chosen: argparse.Namespace) -> list[Case]:
    """The stretches with most questions, of the documents that have most in their first one."""
    asked = [json.loads(line) for line in (chosen.set / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    found = []
    for path in sorted(chosen.set.glob("*.txt")):
        own = [q for q in asked if q["context"] == path.stem and q["evidence"]]
        found.append(list(stretches(path, own, chosen)))
    best = sorted((own for own in found if own), key=lambda own: -len(own[0].questions))[: chosen.documents]
    return [case for own in best for case in own]


def stretches(path: Path, questions: Sequence[dict[str, Any]], chosen: argparse.Namespace) -> Iterator[Case]:
    """A document cut to a stretch of text, and again for the questions that are left."""
    text, left = path.read_text(encoding="utf-8"), list(questions)
    for number in range(chosen.stretches):
        part, within = stretch(text, left, chosen.characters)
        if not within:
            return
        name = f"{path.stem}.{number}" if number else path.stem
        yield Case(Document(name, name, part), spread(within, chosen.questions))
        left = [q for q in left if all(q["question"] != other["question"] for other in within)]


def stretch(text: str, questions: Sequence[dict[str, Any]], characters: int) -> tuple[str, list[dict[str, Any]]]:
    """The `characters` in a row that hold the evidence of most of the questions, and these, moved along."""
    begins = [min(start for start, _ in question["evidence"]) for question in questions]
    begins = sorted({min(begin, max(0, len(text) - characters)) for begin in begins} | {0})
    best = max(begins, key=lambda begin: len(_within(questions, begin, begin + characters)))
    moved = [
        question | {"evidence": [[start - best, end - best] for start, end in question["evidence"]]}
        for question in _within(questions, best, best + characters)
    ]
    return text[best : best + characters], moved


def _within(questions: Sequence[dict[str, Any]], begin: int, end: int) -> list[dict[str, Any]]:
    return [q for q in questions if all(begin <= start and stop <= end for start, stop in q["evidence"])]


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
            yield name, LongMemory(lm, ratio, SCORERS[method], chosen.segment)


def ask(model: KeyValueMemory, case: Case, storage: Storage | None, clues: bool) -> Asked:
    """All questions over a memory of the document, or what is left of it on disk."""
    started = time.perf_counter()
    memory = model.memorize([case.document], SILENT)
    reading = time.perf_counter() - started
    if storage:
        with TemporaryDirectory() as name:
            model.storage = storage
            model.save(memory, Path(name))
            memory = model.load(Path(name))
    prompts = prompts_for(case.document.text)
    templates = (prompts.qa, prompts.spans) if clues else (prompts.qa,)
    asked = [t.format(question=q["question"]) for t in templates for q in case.questions]
    replies = model.ask(memory, asked, NEW_TOKENS)
    asking = time.perf_counter() - started - reading
    spans = replies[len(case.questions) :] or [""] * len(case.questions)
    pairs = zip(case.questions, replies[: len(case.questions)], spans, strict=True)
    outcomes = [judge(case, question, answer, said) for question, answer, said in pairs]
    return Asked(outcomes, memory.state.tokens, memory.state.nbytes / (1 << 20), reading, asking)


def judge(case: Case, question: dict[str, Any], answer: str, spans: str) -> Outcome:
    """One answer against the gold answers, and the clues against the gold evidence."""
    text = case.document.text
    evidence = {word for start, end in question["evidence"] for word in terms(text[start:end])}
    clues = clean_recall({"span": spans}, question["question"], case.texts)
    words = [set(terms(clue.text)) for clue in clues]
    shares = [len(own & evidence) / len(own) for own in words if own]
    f1 = max(shared_words(answer, gold) for gold in question["answers"])
    if not shares:
        return Outcome(f1, 0)
    verbatim = mean(clue.place is not None for clue in clues)
    return Outcome(f1, len(shares), mean(share >= FOUND for share in shares), mean(shares), verbatim)


def shared_words(one: str, other: str) -> float:
    """F1 of the words of two texts."""
    a, b = Counter(terms(one)), Counter(terms(other))
    shared = (a & b).total()
    return 2 * shared / (a.total() + b.total()) if shared else 0.0


def row(name: str, parts: Sequence[Asked]) -> str:
    """One line of the table; shares of clues are means over the questions that have any."""
    outcomes = [outcome for part in parts for outcome in part.outcomes]
    none = mean(outcome.clues == 0 for outcome in outcomes)
    shares = [
        mean(values) if (values := [v for o in outcomes if (v := getattr(o, name)) is not None]) else 0.0
        for name in ("found", "overlap", "verbatim")
    ]
    line = f"{name:<28} {mean(o.f1 for o in outcomes):>6.3f} {mean(o.clues for o in outcomes):>6.1f} {none:>6.2f} "
    line += " ".join(f"{share:>8.2f}" for share in shares)
    costs = (mean(getattr(part, name) for part in parts) for name in ("kept", "mib", "read", "ask"))
    return line + " {:>7.0f} {:>6.1f} {:>7.1f} {:>7.1f}".format(*costs)


HEADER = f"{'memory':<28} {'F1':>6} {'clues':>6} {'none':>6} {'found':>8} {'overlap':>8} {'verbatim':>8}"
HEADER += f" {'kept':>7} {'MiB':>6} {'read, s':>7} {'ask, s':>7}"


def table(lm: LanguageModel, found: Sequence[Case], records: Records, chosen: argparse.Namespace) -> None:
    """The rows of one model, document by document, and over all documents."""
    rows: dict[str, list[Asked]] = {}
    for case in found:
        [tokens] = lm.count([case.document.text])
        print(f"\n{lm.model_id}, {chosen.set.name}/{case.document.id}, {tokens} tokens, ", end="")
        print(f"{len(case.questions)} questions, segment {chosen.segment}\n{HEADER}")
        for name, model in memories(lm, chosen):
            key = f"{lm.model_id} {chosen.set.name} {case.document.id} {len(case.document.text)} "
            key += f"{len(case.questions)} {chosen.segment} {chosen.storage} {name}" + " answers" * chosen.answers_only
            part = records.get(key, partial(ask, model, case, chosen.storage, not chosen.answers_only))
            rows.setdefault(name, []).append(part)
            print(row(name, [part]), flush=True)
    print(f"\n{lm.model_id}, {sum(len(case.questions) for case in found)} questions; costs are means of documents")
    print(HEADER)
    for name, parts in rows.items():
        print(row(name, parts), flush=True)


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
    parser.add_argument("--stretches", type=int, default=1, help="of a document, at most")
    parser.add_argument("--questions", type=int, default=10)
    parser.add_argument("--characters", type=int, default=24_000)
    parser.add_argument("--segment", type=int, default=1024)
    parser.add_argument("--storage", choices=get_args(Storage))
    parser.add_argument("--answers-only", action="store_true", help="ask for no clues")
    parser.add_argument("--records", type=Path)
    chosen = parser.parse_args()
    found = cases(chosen)
    for name in chosen.models:
        table(language_model(name), found, Records(chosen.records), chosen)


if __name__ == "__main__":
    main()
