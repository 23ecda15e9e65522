"""Fine-tuning data: a long context, what is asked of its memory, and a reply whose clues are in the text.

From labelled questions the clues are their evidence. From plain text a generator asks a question of a passage and says
which sentences answer it; what it says is replaced by the text's own sentence, or, where there is none, dropped.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.evaluation.datasets import EvalSet
from memorag_core.text.chunking import Span, sentences
from memorag_core.text.prompts import language_of, prompts_for, render_answer
from memorag_core.text.terms import terms
from memorag_core.types import Generate

PASSAGE = 1200
ALIKE = 0.8
SHORTEST = 4
REPLY = 96
ASK = {
    "en": "{passage}\n\nWrite one question that the text above answers, and nothing else.",
    "zh": "{passage}\n\n请写出一个可以由上文回答的问题，不要写别的内容。",
}


@dataclass(frozen=True, slots=True)
class ClueSizes:
    """Contexts of at most `characters`; of plain text, `questions` are asked of each. `seed` decides where."""

    characters: int = 24_000
    questions: int = 4
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ClueRecord:
    """A line of fine-tuning data. The lines of a clue's `answer` are sentences of `context`, to the letter."""

    context: str
    instruction: str
    answer: str

    def as_json(self) -> dict[str, str]:
        """Its fields."""
        return asdict(self)


def from_sets(sets: Iterable[EvalSet], sizes: ClueSizes) -> Iterator[ClueRecord]:
    """For each question with evidence, its clues, and its answer; the context is the text about them.

    A question whose evidence does not fit one context is left out.
    """
    for one in sets:
        for question in one.questions:
            if not question.evidence:
                continue
            draw = random.Random(f"{sizes.seed} {one.name} {question.id}")  # noqa: S311  # no secret
            text = one.contexts[question.context]
            around = _around(question.evidence, len(text), sizes.characters, draw)
            if around is None:
                continue
            context = text[slice(*around)]
            clues = [text[start:end].strip() for start, end in question.evidence]
            yield from _records(context, question.text, clues, question.answers[:1])


def drawn(texts: Iterable[str], sizes: ClueSizes, most: int | None) -> list[str]:
    """The stretches of the texts, or `most` of them, drawn by the seed."""
    found = list(stretches(texts, sizes.characters))
    return random.Random(sizes.seed).sample(found, most) if most and most < len(found) else found  # noqa: S311  # no secret


def from_texts(
    contexts: Iterable[str], generate: Generate, sizes: ClueSizes, on_context: Callable[[], None]
) -> Iterator[ClueRecord]:
    """For each context, questions that a generator asks of passages of it, with clues and answers."""
    for number, context in enumerate(contexts):
        draw = random.Random(f"{sizes.seed} {number}")  # noqa: S311  # no secret
        starts = [draw.randrange(max(1, len(context) - PASSAGE)) for _ in range(sizes.questions)]
        for start in sorted(starts):
            raise_if_cancelled()
            yield from _ask(context, _whole_sentences(context, start), generate)
        on_context()


def stretches(texts: Iterable[str], characters: int) -> Iterator[str]:
    """Texts in pieces of at most so many characters, cut at line breaks where there are any; short ends are dropped."""
    for text in texts:
        start = 0
        while len(text) - start > characters:
            cut = text.rfind("\n", start + characters // 2, start + characters)
            end = start + characters if cut < 0 else cut
            yield text[start:end]
            start = end
        if len(text) - start >= characters // 2 or start == 0:
            yield text[start:]


def in_the_text(said: str, passage: str) -> list[str]:
    """For each line said, the sentence of the passage that has nearly all of its words, and it of the sentence's."""
    own = [passage[start:end] for start, end in sentences(passage)]
    found = []
    for line in said.splitlines():
        words = set(terms(line))
        best = max(own, key=lambda sentence: _alike(words, sentence), default="")
        if len(words) >= SHORTEST and _alike(words, best) >= ALIKE and best not in found:
            found.append(best)
    return found


def _ask(context: str, passage: str, generate: Generate) -> Iterator[ClueRecord]:
    asked = generate(ASK[language_of(passage)].format(passage=passage), REPLY).strip()
    question = next((line.strip() for line in asked.splitlines() if line.strip().endswith(("?", "？"))), "")
    if len(terms(question)) < SHORTEST:
        return
    prompts = prompts_for(question)
    clues = in_the_text(generate(f"{passage}\n\n{prompts.spans.format(question=question)}", REPLY), passage)
    if clues:
        answer = generate(render_answer(prompts, question, [passage]), REPLY).strip()
        yield from _records(context, question, clues, [answer] if answer else [])


def _records(context: str, question: str, clues: Sequence[str], answers: Sequence[str]) -> Iterator[ClueRecord]:
    assert all(clue in context for clue in clues), "a clue is cut from its context"
    prompts = prompts_for(question)
    yield ClueRecord(context, prompts.spans.format(question=question), "\n".join(clues))
    for answer in answers:
        yield ClueRecord(context, prompts.qa.format(question=question), answer)


def _around(evidence: Sequence[Span], length: int, characters: int, draw: random.Random) -> Span | None:
    """A stretch that holds all of the evidence, which stands anywhere in it."""
    first, last = min(start for start, _ in evidence), max(end for _, end in evidence)
    if last - first > characters:
        return None
    start = draw.randint(max(0, last - characters), max(0, min(first, length - characters)))
    return start, min(length, start + characters)


def _whole_sentences(context: str, start: int) -> str:
    """The sentences of about the `PASSAGE` characters from `start` on."""
    end = min(len(context), start + PASSAGE)
    spans = list(sentences(context, start, end))
    inner = spans[start > 0 : len(spans) - (end < len(context))] or spans
    return context[inner[0][0] : inner[-1][1]] if inner else ""


def _alike(words: set[str], sentence: str) -> float:
    """The share that both have of the larger one's words."""
    own = set(terms(sentence))
    return len(words & own) / max(len(words), len(own), 1)
