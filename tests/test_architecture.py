"""The shape of the code: arrows point one way, nothing happens at import, files and functions stay small."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [path for package in ("memorag_core", "memorag_mcp") for path in sorted((ROOT / package).rglob("*.py"))]
HEAVY = ("torch", "transformers", "faiss", "sentence_transformers")
BASE = {"types", "config", "errors", "names", "recent", "stopping", "pages", "turns", "words"}
LOWER = {"models", "chunking", "texts", "links", "documents", "prompts", "templates", "manifest", "disk"}
SIBLINGS = {"memory", "retrieval", "generation", "store", "ingest", "clues", "citations", "support"}
MADE_OF_SIBLINGS = {"parts", "corpus", "context", "shared", "summaries", "search", "reranking", "looked_at", "inquiry"}
LAYERS = [BASE, LOWER, SIBLINGS, MADE_OF_SIBLINGS, {"engine"}, {"evaluation"}, {"training"}]


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, those for type checkers among them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def part(module: str) -> str | None:
    """`memory` of `memorag_core.memory.lite`."""
    names = module.split(".")
    return names[1] if names[0] == "memorag_core" and len(names) > 1 else None


def part_of(path: Path) -> str | None:
    relative = path.relative_to(ROOT)
    return relative.parts[1].removesuffix(".py") if relative.parts[0] == "memorag_core" else None


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_down_and_siblings_do_not_import_each_other(path: Path) -> None:
    own = part_of(path)
    if own in {None, "__init__"}:
        return
    for module in imports(path):
        assert not module.startswith(("mcp", "memorag_mcp")), f"the core imports {module}"
        other = part(module)
        if other is None or other == own:
            continue
        below = layer(other) < layer(own)
        within = layer(other) == layer(own) and own not in SIBLINGS
        assert below or within, f"{own} imports {other}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_have_at_most_300_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_functions_are_short() -> None:
    lengths = [
        (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert statistics.median(lengths) <= 12
    assert sum(length <= 45 for length in lengths) / len(lengths) >= 0.9


@pytest.mark.parametrize("module", ["memorag_core", "memorag_mcp.server", "memorag_mcp.cli"])
def test_importing_loads_no_heavy_library_and_prints_nothing(module: str) -> None:
    code = f"import sys, {module}; sys.exit(','.join(m for m in {HEAVY!r} if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr.strip()) == ("", "")
