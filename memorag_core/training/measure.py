"""What a memory model keeps: how well it predicts what follows, finds a needle, and recalls clues."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.concurrency.progress import SILENT, ProgressScope
from memorag_core.evaluation.datasets import EvalSet, Question
from memorag_core.evaluation.metrics import answer_tokens
from memorag_core.memory import BeaconMemory, KeyValueMemory
from memorag_core.models.beacon.model import BeaconModel
from memorag_core.models.lm.language_model import LanguageModel
from memorag_core.text.prompts import language_of
from memorag_core.training.windows import UNCOUNTED, WindowsLoss
from memorag_core.types import Document

RATIOS = (2, 4, 8, 16, 32)
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
NONE, FULL = "no memory", "full attention"
NEEDLE = "\nThe number of the locker at {place} is {number}.\n"
NEEDLE_ASKED = "What is the number of the locker at {place}? Reply with the number only."
PLACES = ("the north pier", "the old mill", "the glass hall", "the east gate", "the lower lock", "the salt house")
REPLY = 16
ROUNDS = 3
CLUES = 64

Advance = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One system's numbers: `perplexity` of the next window, `needles` by (tokens, depth), `clues` a share of words.

    `of_another` is the perplexity with the memory of another stretch of the text: a memory that says something of its
    own text is better than that, one that only sets the tone is not.
    """

    system: str
    perplexity: float
    of_another: float | None
    needles: dict[tuple[int, float], float]
    clues: float | None


@dataclass(frozen=True, slots=True)
class Needle:
    """A number that a text says of a place, at a depth from 0, its beginning, to 1."""

    depth: float
    place: str
    number: str


@dataclass(frozen=True, slots=True)
class MeasureSizes:
    """How much is measured: `samples` stretches of text, `windows` of them remembered; needles at `lengths` tokens."""

    samples: int = 32
    windows: int = 4
    lengths: tuple[int, ...] = (1024, 4096)
    ratios: tuple[int, ...] = RATIOS


class Measuring:
    """A memory model beside held-out text."""

    def __init__(self, lm: LanguageModel, beacons: BeaconModel, tokens: Sequence[int], sizes: MeasureSizes) -> None:
        """Take the tokens of the held-out text, of which as many samples are read as there are, at most."""
        self.lm, self.beacons, self.tokens, self.sizes = lm, beacons, tokens, sizes

    def perplexities(self, advance: Advance) -> dict[str, float]:
        """Of a window's tokens but its first, given what comes before it as each system has it.

        Every system predicts the same tokens, so that the numbers compare. Each memory is also had `of_another` sample.
        """
        losses: dict[str, float] = defaultdict(float)
        loss_of = WindowsLoss(self.beacons)
        window, samples = self.beacons.layout.window, list(self._samples())
        for ids, other in zip(samples, [*samples[1:], samples[0]], strict=True):
            with torch.no_grad():
                losses[NONE] += _plain_loss(self.lm, ids[-window:], window)
                losses[FULL] += _plain_loss(self.lm, ids, window)
                for ratio in self.sizes.ratios:
                    losses[name := f"ratio {ratio}"] += _memory_loss(loss_of, ids, ratio)
                    losses[of_another(name)] += _memory_loss(loss_of, other[:-window] + ids[-window:], ratio)
            raise_if_cancelled()
            advance()
        return {name: math.exp(loss / (len(samples) * (window - 1))) for name, loss in losses.items()}

    def needles(self, ratio: int, advance: Advance) -> dict[tuple[int, float], float]:
        """The share of planted numbers that are said when asked for, by the text's tokens and the needle's depth.

        A text holds one needle at every depth, each of another place, and is asked for all of them.
        """
        memory = self._memory(ratio)
        found: Counter[tuple[int, float]] = Counter()
        for length in self.sizes.lengths:
            for number in range(ROUNDS):
                draw = random.Random(f"{length} {number}")  # noqa: S311  # no secret
                start = draw.randrange(max(1, len(self.tokens) - length))
                hay = self.lm.tokenizer.decode(self.tokens[start : start + length])
                needles = [
                    Needle(depth, place, str(draw.randrange(10_000, 100_000)))
                    for depth, place in zip(DEPTHS, draw.sample(PLACES, len(DEPTHS)), strict=True)
                ]
                for needle in say_of(memory, plant(hay, needles), needles):
                    found[length, needle.depth] += 1
                advance()
        return {(length, depth): found[length, depth] / ROUNDS for length in self.sizes.lengths for depth in DEPTHS}

    def clues(self, ratio: int, sets: Sequence[EvalSet], advance: Advance) -> float | None:
        """The share of the words of gold evidence that recall says, over all questions that have evidence."""
        memory = self._memory(ratio)
        shares = []
        for one in sets:
            for name, questions in _by_context(one):
                kept = memory.memorize([Document(name, name, one.contexts[name])], SILENT)
                for question in questions:
                    recalled = " ".join(memory.recall(kept, question.text, max_new_tokens=CLUES))
                    shares.append(_say_needle(recalled, one.contexts[name], question))
                    advance()
        return sum(shares) / len(shares) if shares else None

    def _samples(self) -> Iterator[list[int]]:
        """Stretches of remembered windows and the one that follows, spread over the text."""
        size = (self.sizes.windows + 1) * self.beacons.layout.window
        fitting = len(self.tokens) // size
        count = min(self.sizes.samples, fitting)
        for number in range(count):
            start = number * fitting // count * size
            yield list(self.tokens[start : start + size])

    def _memory(self, ratio: int) -> BeaconMemory:
        memory = BeaconMemory(self.lm, self.beacons)
        self.beacons.layout = replace(self.beacons.layout, ratio=ratio)
        return memory


def of_another(system: str) -> str:
    """A system with the memory of another text."""
    return f"{system} of another text"


def plant(hay: str, needles: Sequence[Needle]) -> str:
    """The text with every needle between its words, at its depth."""
    parts, behind = [], 0
    for needle in needles:
        at = max(behind, hay.rfind(" ", 0, round(needle.depth * len(hay)) + 1)) if needle.depth < 1 else len(hay)
        parts += [hay[behind:at], NEEDLE.format(place=needle.place, number=needle.number)]
        behind = at
    return "".join([*parts, hay[behind:]])


def say_of(memory: KeyValueMemory, text: str, needles: Sequence[Needle]) -> list[Needle]:
    """Those whose number is said when asked for."""
    kept = memory.memorize([Document("hay", "hay", text)], SILENT)
    replies = memory.ask(kept, [NEEDLE_ASKED.format(place=needle.place) for needle in needles], REPLY)
    return [needle for needle, reply in zip(needles, replies, strict=True) if needle.number in reply]


def _plain_loss(lm: LanguageModel, ids: Sequence[int], window: int) -> float:
    """The summed loss of the last window but its first token, by the model without beacons."""
    given = torch.tensor([ids], device=lm.model.device)
    logits = lm.model(given, logits_to_keep=window).logits[0, :-1].float()
    return float(torch.nn.functional.cross_entropy(logits, given[0, 1 - window :], reduction="sum"))


def _memory_loss(loss: WindowsLoss, ids: Sequence[int], ratio: int) -> float:
    window = loss.beacons.layout.window
    given = torch.tensor([ids], device=loss.beacons.model.device)
    targets = torch.full_like(given, UNCOUNTED)
    targets[:, -window:-1] = given[:, 1 - window :]
    return float(loss(given, targets, [ratio] * (len(ids) // window)))


def _by_context(one: EvalSet) -> Iterator[tuple[str, list[Question]]]:
    for name in one.contexts:
        questions = [question for question in one.questions if question.context == name and question.evidence]
        if questions:
            yield name, questions


def _say_needle(recalled: str, text: str, question: Question) -> float:
    chinese = language_of(text[:2000]) == "zh"
    said = set(answer_tokens(recalled, chinese))
    gold = {word for start, end in question.evidence for word in answer_tokens(text[start:end], chinese)}
    return len(gold & said) / len(gold) if gold else 1.0


def measure(measuring: Measuring, sets: Sequence[EvalSet], progress: ProgressScope = SILENT) -> list[Measured]:
    """Every system's numbers; the layout of the beacons is afterwards what it was."""
    sizes, layout = measuring.sizes, measuring.beacons.layout
    asked = sum(bool(question.evidence) for one in sets for question in one.questions)
    needles = ROUNDS * len(sizes.lengths)
    advance = progress.counter(sizes.samples + len(sizes.ratios) * (needles + asked))
    try:
        perplexities = measuring.perplexities(advance)
        found = [Measured(name, perplexities[name], None, {}, None) for name in (NONE, FULL)]
        for ratio in sizes.ratios:
            name = f"ratio {ratio}"
            plant = measuring.needles(ratio, advance)
            clues = measuring.clues(ratio, sets, advance)
            found.append(Measured(name, perplexities[name], perplexities[of_another(name)], plant, clues))
        return found
    finally:
        measuring.beacons.layout = layout
