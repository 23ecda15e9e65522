"""The regular expressions of both packages, as their syntax trees show them, and texts that each reads badly, if any.

The texts are long runs of what an expression itself names: of one of its characters, of two by turns, of the beginnings
of a match, and of a beginning with a run behind it.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import regex
from test_architecture import MODULES

Make = Callable[[int], str]
METHODS = {"search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn"}
CATEGORIES = {"DIGIT": "7", "SPACE": " \n", "WORD": "aA7é中", "NOT_SPACE": "a.", "NOT_WORD": " -\n", "NOT_DIGIT": "a "}
OTHERS = "a \n!"
MOST_CHARACTERS = 6
MOST_BEGINNINGS = 8
SMALL = 64
"""For what is cubic, which must get no further. What is exponential is told by the limit of the test's time."""
SIZES = (1024, 512, 256)
WORTH_A_LOOK = 5e-4
MOST_GROWTH = 2.8
"""Of the time, where the text is twice as long: 2 is linear, 4 quadratic."""


@dataclass(frozen=True)
class Expression:
    """Where an expression stands, itself, and the method that is called on it."""

    where: str
    pattern: Any
    method: str

    def read(self, text: str) -> float:
        """The seconds it takes to read a whole text."""
        given: Any = text.encode() if isinstance(self.pattern.pattern, bytes) else text
        call = _caller(self.pattern, self.method)
        started = time.thread_time()
        call(given)
        return time.thread_time() - started

    def grows_with(self) -> str | None:
        """A text, told shortly, for which the time grows faster than its length."""
        for size in (SMALL, self._size()):
            for make in runs_of(self.pattern):
                if self._grows(make, size):
                    return f"{make(8)[:40]!r}"
        return None

    def _size(self) -> int:
        """A length of texts of which the expression reads many a second."""
        return next((size for size in SIZES if self.read("a " * (size // 2)) < WORTH_A_LOOK * 2), SIZES[-1])

    def _grows(self, make: Make, size: int) -> bool:
        """Whether it does: a first look, then the best of three at three lengths."""
        if (whole := self.read(make(size))) < WORTH_A_LOOK or whole < MOST_GROWTH**2 * self.read(make(size // 4)):
            return False
        times = [min(self.read(make(size * factor)) for _ in range(3)) for factor in (1, 2, 4)]
        return all(longer > MOST_GROWTH * shorter for shorter, longer in itertools.pairwise(times))


def expressions() -> tuple[list[Expression], list[str]]:
    """All expressions with all methods called on them; and the places of those that no test can see."""
    found: dict[tuple[str, str, str], Expression] = {}
    unseen: list[str] = []
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        used = methods_of(tree)
        if not used and not list(calls_of(tree)):
            continue
        for what, pattern in patterns_of(importlib.import_module(name)):
            for method in used.get(what, {"finditer"}):
                found[pattern.pattern, type(pattern).__name__ + str(pattern.flags), method] = Expression(
                    f"{name}.{what}", pattern, method
                )
        for node, at_import in calls_of(tree):
            where = f"{name}:{node.lineno}"
            if isinstance(node.args[0], ast.Constant) and node.func.attr in METHODS:
                pattern = importlib.import_module(node.func.value.id).compile(node.args[0].value)
                found[where, pattern.pattern, node.func.attr] = Expression(where, pattern, node.func.attr)
            elif not isinstance(node.args[0], ast.Constant) and not at_import:
                unseen.append(f"{where}: {ast.unparse(node.args[0])}")
    return list(found.values()), unseen


def calls_of(tree: ast.Module) -> Iterator[tuple[Any, bool]]:
    """Calls of the two modules of expressions, and whether each is made when its module is imported."""
    within = {id(node) for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) for node in ast.walk(one)}
    for node in ast.walk(tree):
        if (
            (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {*METHODS, "compile"}
            )
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in {"re", "regex"}
        ):
            yield node, id(node) not in within


def methods_of(tree: ast.Module) -> dict[str, set[str]]:
    """The methods by which a module uses each constant."""
    used: dict[str, set[str]] = defaultdict(set)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id.isupper()
            and node.attr in METHODS
        ):
            used[node.value.id].add(node.attr)
    return used


def patterns_of(module: object) -> Iterator[tuple[str, Any]]:
    """The compiled expressions among the values of a module, however deep in tuples, lists and mappings."""

    def visit(name: str, value: object) -> Iterator[tuple[str, Any]]:
        if isinstance(value, re.Pattern | regex.Pattern):
            yield name, value
        elif isinstance(value, tuple | list):
            for one in value:
                yield from visit(name, one)
        elif isinstance(value, dict):
            for key, one in value.items():
                yield from visit(name, (key, one))

    for name, value in list(vars(module).items()):
        if not name.startswith("__"):
            yield from visit(name, value)


def runs_of(pattern: Any) -> Iterator[Make]:
    """Makers of texts of about a wanted length."""
    found, example = characters_of(pattern)
    characters = list(dict.fromkeys(found[:MOST_CHARACTERS] + OTHERS))
    beginnings = list(dict.fromkeys(itertools.accumulate(example)))
    for one in characters:
        yield partial(_repeat, one)
        yield partial(_repeat, one, head="\n", tail="\n!")
    for one, other in itertools.permutations(characters, 2):
        yield partial(_repeat, one + other)
        yield partial(_repeat, other, head=one, tail="!")
    for beginning in beginnings[:: max(1, len(beginnings) // MOST_BEGINNINGS)]:
        yield partial(_repeat, beginning, tail="\0")
        yield partial(_repeat, beginning + " ", tail="\0")
        yield from (partial(_repeat, one, head=beginning, tail="\0") for one in characters)


def _repeat(unit: str, size: int, head: str = "", tail: str = "") -> str:
    """A unit again and again; where it is long, the text is longer, so that there are enough of it."""
    return head + unit * max(1, size // min(len(unit), 2)) + tail


def characters_of(pattern: Any) -> tuple[str, list[str]]:
    """Characters that an expression names, or of classes that it names; and the parts of a text that it matches."""
    source = pattern.pattern.decode("latin-1") if isinstance(pattern.pattern, bytes) else pattern.pattern
    if isinstance(pattern, regex.Pattern):
        source = _as_standard(source)
    parser: Any = importlib.import_module("re._parser")
    tree = parser.parse(source, re.IGNORECASE if pattern.flags & re.IGNORECASE else 0)
    named: list[str] = []
    return "".join(dict.fromkeys([*_walk(tree, named), *named])), list(_walk(tree, named))


def _walk(tree: Any, named: list[str]) -> Iterator[str]:
    """Yield the parts of a shortest match; note all characters that are named."""
    for kind, value in tree:
        name = str(kind)
        if name in {"LITERAL", "NOT_LITERAL"}:
            named.append(chr(value))
            yield chr(value) if name == "LITERAL" else "a"
        elif name == "IN":
            members = list(_members(value))
            named += members[:3]
            yield members[0] if members and str(value[0][0]) != "NEGATE" else "a"
        elif name == "ANY":
            yield "a"
        elif name in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            once = list(_walk(value[2], named))
            yield from once * min(max(1, value[0]), 40)
        elif name == "BRANCH":
            ways = [list(_walk(way, named)) for way in value[1]]
            yield from max(ways, key=len)
        elif name == "SUBPATTERN":
            yield from _walk(value[3], named)
        elif name == "ATOMIC_GROUP":
            yield from _walk(value, named)
        elif name in {"ASSERT", "ASSERT_NOT"}:
            list(_walk(value[1], named))


def _members(items: Any) -> Iterator[str]:
    for kind, value in items:
        if str(kind) == "LITERAL":
            yield chr(value)
        elif str(kind) == "RANGE":
            yield chr(value[0])
        elif str(kind) == "CATEGORY":
            yield from CATEGORIES[str(value).removeprefix("CATEGORY_")]


def _as_standard(source: str) -> str:
    """An expression of `regex` in nearly the words of `re`: what is read of it are its characters alone."""
    source = re.sub(
        r"\(\?V1\)|\?P<\w+>|\\[pP]\{\w+\}",
        lambda match: r"\w" if "{" in match[0] else "?:" if "<" in match[0] else "",
        source,
    )
    source = re.sub(r"\[\[((?:[^\]])*)\]--\[[^\]]*\]\]", r"[\1]", source)
    return re.sub(r"\(\?\|", "(?:", source)


def _caller(pattern: Any, method: str) -> Callable[[Any], object]:
    """What reads a whole text by that method."""
    if method in {"sub", "subn"}:
        return lambda text: pattern.sub(text[:0], text)
    if method == "finditer":
        return lambda text: sum(1 for _ in pattern.finditer(text))
    call: Callable[[Any], object] = getattr(pattern, method)
    return call
