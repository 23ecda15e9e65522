"""Equations of Word files on one line, in brackets where a reader would take them for something else."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
Parts = defaultdict[str, str]
"""The text of each part of a piece of an equation, by its name; of one that is missing, none."""

_ONE = re.compile(r"(?:[^\W\d]{1,2}|\d[\d.,]*)?\Z")
_BARE = re.compile(r"[\w.,]*\Z")


def write_equations(root: Any) -> None:
    """Put the text of each equation where it stands; between two that touch, a semicolon."""
    for math in list(root.iter(f"{M}oMath")):
        touches = math.getnext() is not None and math.getnext().tag == f"{M}oMath" and not (math.tail or "").strip()
        run = math.makeelement(f"{W}r", {})
        words = math.makeelement(f"{W}t", {"{http://www.w3.org/XML/1998/namespace}space": "preserve"})
        words.text = _linear(math) + ("; " if touches else "")
        run.append(words)
        run.tail = math.tail
        math.getparent().replace(math, run)
    for block in list(root.iter(f"{M}oMathPara")):
        for run in block.findall(f"{W}r"):
            block.addprevious(run)
        block.getparent().remove(block)


def _linear(node: Any) -> str:
    """Write an equation on one line, as `V/T`, `x^2`, `√(x)`, `f(x)`."""
    name = node.tag.removeprefix(M)
    if name == "t":
        return node.text or ""
    write = WRITERS.get(name)
    if write is None:
        return "".join(map(_linear, node))
    parts = defaultdict(str, {child.tag.removeprefix(M): "".join(map(_linear, child)) for child in node})
    return write(node, parts)


def _function(node: Any, parts: Parts) -> str:
    argument = parts["e"]
    return parts["fName"] + (argument if argument.startswith("(") else f"({argument})")


def _rows(node: Any, parts: Parts) -> str:
    """Write a matrix, or equations one below the other."""
    rows = [row.findall(f"{M}e") or [row] for row in node if row.tag in {f"{M}mr", f"{M}e"}]
    return "; ".join(", ".join("".join(map(_linear, cell)) for cell in row) for row in rows)


def _fraction(node: Any, parts: Parts) -> str:
    above, below = parts["num"], parts["den"]
    kind = node.find(f"{M}fPr/{M}type")
    if kind is not None and kind.get(f"{M}val") == "noBar":
        return f"{above} over {below}"
    return f"{_bracket(above)}/{below if _ONE.match(below) else f'({below})'}"


def _delimit(node: Any, parts: Parts) -> str:
    """Write what stands in brackets with these, as the file says which."""
    between = _sign(node, "d", "sepChr", "|")
    inside = between.join("".join(map(_linear, part)) for part in node.findall(f"{M}e"))
    return f"{_sign(node, 'd', 'begChr', '(')}{inside}{_sign(node, 'd', 'endChr', ')')}"


def _limits(parts: Parts) -> str:
    low, high = parts["sub"], parts["sup"]
    return (f"_{_bracket(low)}" if low else "") + (f"^{_bracket(high)}" if high else "")


def _sign(node: Any, name: str, which: str, usual: str) -> str:
    sign = node.find(f"{M}{name}Pr/{M}{which}")
    return usual if sign is None else sign.get(f"{M}val") or ""


def _bracket(words: str) -> str:
    return words if _BARE.match(words) or _is_bracketed(words) else f"({words})"


def _is_bracketed(words: str) -> bool:
    """Whether brackets stand around all of it, and not around its ends."""
    return words.startswith("(") and words.endswith(")") and "(" not in words[1:] and ")" not in words[:-1]


def _scripts(node: Any, parts: Parts) -> str:
    return _bracket(parts["e"]) + _limits(parts)


WRITERS: dict[str, Callable[[Any, Parts], str]] = {
    "f": _fraction,
    "d": _delimit,
    "func": _function,
    "m": _rows,
    "eqArr": _rows,
    "sSup": _scripts,
    "sSub": _scripts,
    "sSubSup": _scripts,
    "sPre": lambda _, parts: _limits(parts) + _bracket(parts["e"]),
    "rad": lambda _, parts: f"{parts['deg']}√({parts['e']})",
    "nary": lambda node, parts: f"{_sign(node, 'nary', 'chr', '∫')}{_limits(parts)} {parts['e']}",
    "limLow": lambda _, parts: f"{parts['e']}_{_bracket(parts['lim'])}",
    "limUpp": lambda _, parts: f"{parts['e']}^{_bracket(parts['lim'])}",
}
