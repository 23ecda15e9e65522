"""Tokens that machines share: given or taken away at one, they hold or do not hold at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from obstore.store import MemoryStore
from waits import SECONDS, wait_until

from memorag_core.config import Settings
from memorag_core.context import leases
from memorag_mcp.http import shared_tokens
from memorag_mcp.http.shared_tokens import SharedTokens, open_tokens
from memorag_mcp.http.tokens import Tokens


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[SharedTokens]:
    """The tokens of one bucket at three machines."""
    bucket = MemoryStore()
    monkeypatch.setattr(shared_tokens, "open_bucket", lambda url: bucket)
    monkeypatch.setattr(shared_tokens, "SECONDS_BETWEEN_LOOKS", 0.01)
    return [SharedTokens(tmp_path / name / "tokens", "memory") for name in ("one", "two", "three")]


def test_a_token_given_at_one_machine_holds_at_all_until_it_is_taken_away_at_any(machines: list[SharedTokens]) -> None:
    one, two, three = machines
    three.follow()
    front = Tokens(three.path)
    assert not front.exist()
    token = one.add("ann")
    wait_until(lambda: front.owner(token) == "ann")
    two.remove("ann")
    wait_until(lambda: front.owner(token) is None)
    assert front.exist(), "from now on nobody comes in without a token"
    three.close()
    assert three.path.stat().st_mode & 0o77 == 0


def test_of_tokens_given_at_several_machines_at_once_none_is_lost(
    machines: list[SharedTokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "SECONDS_BETWEEN_LOOKS", 0.0)
    with ThreadPoolExecutor(3) as pool:
        tokens = list(pool.map(lambda at: at[1].add(f"user-{at[0]}"), enumerate(machines), timeout=SECONDS))
    again = SharedTokens(machines[0].path, "memory")
    assert [again.owner(token) for token in tokens] == ["user-0", "user-1", "user-2"]


def test_without_a_bucket_tokens_are_in_the_file(tmp_path: Path) -> None:
    tokens = open_tokens(Settings.of(store=tmp_path), None)
    tokens.add("ann")
    assert tokens.path.is_file()
