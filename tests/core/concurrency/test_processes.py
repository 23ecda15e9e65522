"""Processes of ours run no code of the folder that they were started in, nor of the caller's environment."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from memorag_core.concurrency import processes
from memorag_core.config import Settings
from memorag_core.errors import ModelUnavailable
from memorag_core.models.weights import Weights, model_is_here

ROOT = Path(processes.__file__).resolve().parents[2]
HELPER = ROOT / "memorag_core" / "concurrency" / "processes.py"
STARTERS = {"subprocess", "multiprocessing", "pty", "pexpect", "concurrent.futures.process"}
STARTING = {"Popen", "forkpty", "run_process", "open_process"}
BEGINNINGS = (
    "popen",
    "system",
    "fork",
    "startfile",
    "exec",
    "spawn",
    "posix_spawn",
    "create_subprocess",
    "subprocess_",
    "to_process",
)
TRAP = "import os, sys; sys.stderr.write('the trap was run'); os._exit(7)\n"
LOOK = "import json, os, sys; print(json.dumps([sys.path, sorted(os.environ), os.getcwd(), sys.flags.safe_path]))"


def starts_processes(tree: ast.Module) -> Iterator[int]:
    """Lines on which something can start a process: modules and functions that do, and the interpreter's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            of = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            if name in STARTING or (of in {"os", "asyncio", "anyio", "loop"} and name.startswith(BEGINNINGS)):
                yield node.lineno
            if of in STARTERS and name not in {"DEVNULL"}:
                yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module in {*STARTERS, "os"}:
            found = {alias.name for alias in node.names}
            if node.module != "os" or any(name in STARTING or name.startswith(BEGINNINGS) for name in found):
                yield node.lineno
        if isinstance(node, ast.Name) and node.id == "ProcessPoolExecutor":
            yield node.lineno


def launches_of_clients(tree: ast.Module) -> Iterator[tuple[int, dict[str, str]]]:
    """What is given to the SDK, which starts a server by it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "StdioServerParameters":
            yield node.lineno, {word.arg or "": ast.unparse(word.value) for word in node.keywords}


def test_every_process_is_started_by_the_one_helper() -> None:
    sources = [path for package in ("memorag_core", "memorag_mcp") for path in (ROOT / package).rglob("*.py")]
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sources}
    assert list(starts_processes(trees[HELPER])), "the test no longer knows what starts a process"
    wrong = [f"{path}:{line}" for path, tree in trees.items() if path != HELPER for line in starts_processes(tree)]
    wanted = {"command": "program", "args": "arguments", "env": "environment", "cwd": "folder"}
    for path, tree in trees.items():
        for line, given in launches_of_clients(tree):
            if given != {name: f"launch.{field}" for name, field in wanted.items()}:
                wrong.append(f"{path}:{line}")
    assert not wrong


@pytest.mark.parametrize(
    "code", ["import subprocess\nsubprocess.run([])", "import os\nos.execv('a', [])", "from subprocess import run"]
)
def test_what_starts_a_process_is_known(code: str) -> None:
    assert list(starts_processes(ast.parse(code)))


@pytest.fixture
def trapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, full of modules that must not be run, and an environment that leads to them."""
    for name in ("pip", "json", "memorag_core", "sitecustomize", "encodings", "trap"):
        (tmp_path / f"{name}.py").write_text(TRAP, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    return tmp_path


def test_a_module_of_anothers_is_run_without_the_current_folder(trapped: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    done = processes.run(processes.launch_module("pip", ["--version"], work))
    assert (done.returncode, done.stderr) == (0, "")
    assert str(trapped) not in done.stdout


def test_our_own_function_is_called_in_a_folder_of_the_installation_without_secrets(trapped: Path) -> None:
    launch = processes.launch_ours("memorag_core.config", "default_store")
    assert processes.run(launch).stderr == ""
    looking = [LOOK if "import sys" in part else part for part in launch.arguments]
    looked = processes.Launch(launch.program, looking, launch.environment, launch.folder)
    search, variables, folder, safe = json.loads(processes.run(looked).stdout)
    assert not any(str(trapped) in entry for entry in search)
    assert not [name for name in variables if name.startswith(("PYTHON", "OPENAI"))]
    assert (Path(folder) == trapped, safe) == (False, True)


def test_a_server_of_ours_has_the_keys_that_it_may_need(trapped: Path) -> None:
    launch = processes.launch_ours("memorag_mcp.cli", "main", ["--help"], secrets=True)
    assert launch.environment["OPENAI_API_KEY"] == "secret"
    assert not [name for name in launch.environment if name.startswith("PYTHON")]
    done = processes.run(launch)
    assert (done.returncode, done.stderr) == (0, ""), trapped


def test_a_folder_named_like_a_hub_id_is_not_taken_for_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "BAAI" / "bge-m3").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    weights = Weights(Settings.of(), lambda _: None)
    assert (model_is_here("BAAI/bge-m3", tmp_path), weights.revision("BAAI/bge-m3")) == (False, "")
    with pytest.raises(ModelUnavailable, match=r"Write \./BAAI/bge-m3 if you mean the folder"):
        weights.source("BAAI/bge-m3")
    for named in ("./BAAI/bge-m3", str(tmp_path / "BAAI" / "bge-m3")):
        assert weights.source(named) == tmp_path / "BAAI" / "bge-m3"
        assert (model_is_here(named, tmp_path), bool(weights.revision(named))) == (True, True)
    assert weights.source("BAAI/bge-reranker") == "BAAI/bge-reranker"
    assert Settings.of(embedder="./BAAI/bge-m3").embedder == str(tmp_path / "BAAI" / "bge-m3")


def test_threads_take_memory_from_two_heaps_and_where_that_cannot_be_said_nothing_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes.keep_memory_together()
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    processes.keep_memory_together()
