"""The shape of the code: arrows point down, nothing happens at import, files and functions stay small."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [path for package in ("memorag_core", "memorag_mcp") for path in sorted((ROOT / package).rglob("*.py"))]
HEAVY = ("torch", "transformers", "faiss", "sentence_transformers")
FLOORS = {
    "memorag_core": [
        "errors",
        "types",
        "config concurrency text",
        "models ingest",
        "memory retrieval generation",
        "components",
        "context",
        "runtime",
        "query",
        "engine",
        "evaluation",
        "training",
    ],
    "memorag_mcp": [
        "inputs jobs",
        "schemas",
        "protocol",
        "http attach",
        "tools resources",
        "page",
        "server",
        "cluster",
        "commands",
        "cli",
        "__main__",
    ],
}
"""From the ground up. A room imports rooms on lower floors, and its own files; rooms on one floor are strangers."""

NO_PARTICIPLES = {"feed", "listen", "open", "shorten", "heading", "token"}
"""First words of names that end like participles and are verbs or nouns."""


def module_of(path: Path) -> str:
    """`memorag_core.memory.lite` of its file; of a package's `__init__` the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in SOURCES}


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, those for type checkers among them; of `from package import module`, the module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def floor(module: str) -> int | None:
    """On which floor a module's room is; None for what is in no package of ours, or is the package itself."""
    package, _, rest = module.partition(".")
    if package not in FLOORS or not rest:
        return None
    room = rest.split(".")[0]
    return next(number for number, rooms in enumerate(FLOORS[package]) if room in rooms.split())


def test_every_import_points_to_a_lower_floor_or_stays_in_its_room() -> None:
    wrong = []
    for module, path in MODULES.items():
        for other in imports(path):
            own_room, other_room = module.split(".")[:2], other.split(".")[:2]
            if own_room[0] != other_room[0] or own_room == other_room:
                continue
            own, below = floor(module), floor(other)
            if own is not None and below is not None and below >= own:
                wrong.append(f"{module} imports {other}")
    assert wrong == []


def test_the_core_knows_nothing_of_the_protocol() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, path in MODULES.items()
        for other in imports(path)
        if module.startswith("memorag_core") and other.split(".")[0] in {"mcp", "memorag_mcp"}
    ]
    assert wrong == []


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {module: {other for other in imports(path) if other in MODULES} for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_files_have_at_most_300_lines() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: count for name, count in lines.items() if count > 300} == {}


def test_functions_are_named_by_verbs_and_not_by_participles() -> None:
    """A name counts if its first word ends in -ed, -ing or -en; properties are values, so they may be called so."""
    functions = [
        node
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("__")
        and not any("property" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]
    first_words = [(function.name.lstrip("_").split("_")[0], function.name) for function in functions]
    participles = [
        name for word, name in first_words if word.endswith(("ed", "ing", "en")) and word not in NO_PARTICIPLES
    ]
    assert len(participles) / len(functions) < 0.02, sorted(participles)


def test_no_type_has_the_name_of_another() -> None:
    homes = defaultdict(list)
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            for name in [node.name] if isinstance(node, ast.ClassDef) else names:
                if re.fullmatch(r"[A-Z][a-z]\w*", name):
                    homes[name].append(module)
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


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
