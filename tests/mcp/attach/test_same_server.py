"""Which hosts share a server: those that chose alike, however they wrote it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from memorag_mcp.attach import choice
from memorag_mcp.attach.choice import Choice
from memorag_mcp.attach.files import Address, ServerFiles
from memorag_mcp.attach.greeting import Hello, Refused, challenge, check_welcome, introduce, recognize, welcome
from memorag_mcp.cli import app

LIGHT = "memorag_mcp.attach.relay, memorag_mcp.attach.start, memorag_mcp.__main__"
HEAVY = {"torch", "numpy", "mcp", "pydantic", "anyio", "typer", "asyncio", "memorag_core"}
HOME = {"HOME": "/home/ann"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((["--store", "s"], {}), (["--store=./s"], {})),
        ((["--store", "s"], {}), ([], {"MEMORAG_STORE": "s"})),
        (([], {"MEMORAG_MODELS": "m"}), (["--models-dir", "m"], {})),
        ((["--allow", "/a"], {}), (["--allow", "/b"], {"MEMORAG_ALLOW": "/c"})),
        (
            (["--hits", "5", "--profile", "tiny"], {}),
            (["--profile", "tiny", "--hits", "5"], {"PATH": "/bin", "PWD": "/"}),
        ),
        ((["--hits", "5"], {}), (["--hits", "5"], {"MEMORAG_HITS": "6"})),
    ],
    ids=str,
)
def test_what_means_the_same_is_served_by_one_server(
    one: tuple[list[str], dict[str, str]], other: tuple[list[str], dict[str, str]]
) -> None:
    assert Choice.of(*one).digest() == Choice.of(*other).digest()


def test_other_settings_keys_or_code_are_served_by_another_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = [
        Choice.of([], {}),
        Choice.of(["--store", "s"], {}),
        Choice.of(["--store", "t"], {}),
        Choice.of(["--allow-url"], {}),
        Choice.of([], {"OPENAI_BASE_URL": "http://localhost:1/v1"}),
        Choice.of([], {"OPENAI_API_KEY": "one"}),
        Choice.of([], {"https_proxy": "http://localhost:2"}),
    ]
    digests = [one.digest() for one in chosen]
    monkeypatch.setattr(choice, "PACKAGES", tmp_path)
    assert len({*digests, chosen[0].digest()}) == len(chosen) + 1


def test_folders_are_the_hosts_and_not_the_servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = Choice.of(["--allow", "a", "--store", "s", "--allow=/b", "--unknown"], {"MEMORAG_PROMPTS": "p", "X": "./x"})
    assert given.allow == (str(tmp_path / "a"), "/b")
    assert given.arguments == ("--store", str(tmp_path / "s"), "--unknown", "")
    assert given.environment == {"MEMORAG_PROMPTS": str(tmp_path / "p"), "X": "./x"}
    from_environment = Choice.of([], {"MEMORAG_ALLOW": os.pathsep.join(["/x", "y"])})
    assert (from_environment.allow, from_environment.environment) == (("/x", str(tmp_path / "y")), {})
    assert Choice.of([], {}).allow == (str(tmp_path),)
    monkeypatch.chdir("/")
    assert Choice.of([], {}).allow == ()


@pytest.mark.parametrize(
    ("arguments", "environment", "alone"),
    [
        (["--alone"], {}, True),
        ([], {"MEMORAG_ALONE": "1"}, True),
        (["--help"], {}, True),
        (["--transport", "http"], {}, True),
        (["--transport=stdio"], {}, False),
        ([], {"MEMORAG_ALONE": "0"}, False),
    ],
)
def test_who_wants_a_server_alone_says_so(arguments: list[str], environment: dict[str, str], alone: bool) -> None:
    assert Choice.of(arguments, environment).alone is alone


def test_the_light_reading_knows_switches_and_paths_as_the_command_does() -> None:
    options = get_command(app).commands["serve"].params  # type: ignore[attr-defined]  # it is a group
    assert {one.name for one in options if one.is_flag} | {"help"} == choice.SWITCHES
    paths = {one.name for one in options if one.type_descriptor.annotation is Path}
    assert paths - {"hosts"} == choice.PATHS
    renamed = {one.envvar: one.name for one in options if one.envvar and one.envvar != f"MEMORAG_{one.name.upper()}"}
    assert {name.removeprefix("MEMORAG_").lower(): option for name, option in renamed.items()} == choice.VARIABLES


def test_what_a_host_starts_imports_nothing_heavy() -> None:
    code = f"import sys, {LIGHT}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(run.stdout.split()) == set()


def test_neither_side_goes_on_with_who_does_not_know_the_secret() -> None:
    hello, asked = Hello("/here", ("/a",)), challenge()
    introduced = introduce("secret", asked, hello)
    assert recognize("secret", asked, introduced) == hello
    check_welcome("secret", introduced, welcome("secret", introduced))
    for stranger in (introduce("guess", asked, hello), introduce("secret", challenge(), hello), b"", b"[]\n", b"{}\n"):
        with pytest.raises(Refused):
            recognize("secret", asked, stranger)
    for other in (welcome("guess", introduced), welcome("secret", introduced[1:]), introduced, b"", b"null\n"):
        with pytest.raises(Refused):
            check_welcome("secret", introduced, other)


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_the_address_is_the_persons_alone_and_another_servers_is_not_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    files = ServerFiles.of("a")
    first, second = Address("/s", "one", 1), Address(8, "two", 2)
    files.write(first)
    modes = [path.stat().st_mode & 0o777 for path in (files.folder, files.file)]
    files.write(second)
    files.clear(first)
    assert (modes, files.read()) == ([0o700, 0o600], second)
    files.clear(second)
    with pytest.raises(FileNotFoundError):
        files.read()
    files.file.write_text("{")
    with pytest.raises(FileNotFoundError):
        files.read()
    monkeypatch.setattr(os, "getuid", lambda: 1 << 30)
    with pytest.raises(PermissionError):
        ServerFiles.of("a")
