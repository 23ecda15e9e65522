"""No text takes the square of its length to read: every expression of both packages, and every normal form."""

from __future__ import annotations

import ast
import re
import time
import unicodedata

import expressions
import pytest
from test_architecture import MODULES

from memorag_core.text.normal import PIECE, normalize

NORMALIZERS = {"memorag_core.text.normal": "linear", "memorag_mcp.inputs": "paths, bounded by the tools' arguments"}
EXPRESSIONS, UNSEEN = expressions.expressions()


def test_every_expression_is_found_and_can_be_tried() -> None:
    """An expression that is made of others while a function runs cannot: make it a constant of the module."""
    assert UNSEEN == []
    found = {expression.where for expression in EXPRESSIONS}
    assert len(EXPRESSIONS) > 100
    assert found >= {"memorag_core.text.chunking._HEADING", "memorag_core.text.values._NUMBER"}


def test_every_expression_reads_any_run_of_its_characters_in_linear_time() -> None:
    wrong = {f"{one.where} ({one.method})": text for one in EXPRESSIONS if (text := one.grows_with())}
    assert wrong == {}


@pytest.mark.parametrize(
    ("source", "text"),
    [(r"^(#+)\s+(.+?)\s*#*\s*$", "spaces"), (r"[ \t]+$", "spaces"), (r"<meta.*?charset", "meta")],
)
def test_an_expression_that_is_not_linear_is_known(source: str, text: str) -> None:
    found = expressions.Expression("here", re.compile(source, re.MULTILINE), "finditer").grows_with()
    assert found, text


def test_texts_are_normalized_at_one_place_only() -> None:
    users = {
        name
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "unicodedata.normalize"
    }
    assert users == NORMALIZERS.keys()


def test_a_run_of_marks_is_normalized_in_linear_time() -> None:
    started = time.thread_time()
    assert len(normalize("NFD", "a" + "\u0301\u0323" * 500_000)) == 1_000_001
    assert time.thread_time() - started < 5.0


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@pytest.mark.parametrize("text", ["e\u0301\u0323", "\u1112\u1161\u11ab", "ｱﾞ ﬁ ①", "漢字", "กำลัง", "a" * 30 + "e\u0301"])
def test_a_long_text_has_the_same_normal_form_as_in_one_piece(form: str, text: str) -> None:
    whole = f"{text} " * (3 * PIECE)
    assert normalize(form, whole) == unicodedata.normalize(form, whole)  # type: ignore[arg-type]
