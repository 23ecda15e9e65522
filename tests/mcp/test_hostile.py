"""Texts made to hold a server up: the interpreter is free, others are answered, and a cancel is heard."""

from __future__ import annotations

import base64
import random
import threading
from collections.abc import Callable
from functools import partial

import anyio
import anyio.to_thread
import pytest
from conftest import STORY
from holding import clock, longest_hold
from mcp import Client
from mcp_processes import ok
from waits import SECONDS

from memorag_core import MemoRAG
from memorag_core.context import encode
from memorag_core.ingest import from_text
from memorag_core.types import Chunk
from memorag_mcp.protocol.sdk_server import ContextServer
from memorag_mcp.server import build_server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]  # each text is tried again where others held it up
SIZE = 400_000
MOST = [1.0, 5.0, 10.0]
"""Seconds that the interpreter is held, until a listing, and until a cancel is heard.

Five times what is wanted (docs/security.md), as other tests work beside these; what they guard against took 17 s.
"""
TRIES = 4
PIECES = random.Random(0)
THAI = [chr(code) for code in range(0x0E01, 0x0E2F)]
TEXTS: dict[str, Callable[[], str]] = {
    "hex": lambda: PIECES.randbytes(SIZE // 2).hex(),
    "base64url": lambda: base64.urlsafe_b64encode(PIECES.randbytes(SIZE * 3 // 4)).decode(),
    "DNA": lambda: "".join(PIECES.choices("ACGT", k=SIZE)),
    "Thai": lambda: "".join(PIECES.choices(THAI, k=SIZE // 3)),
    "one word": lambda: "x" * SIZE,
    "spaces": lambda: "# a" + " " * SIZE + "b",
    "headings": lambda: "# a\nb\n" * (SIZE // 6),
    "cells": lambda: "a|b\n" * (SIZE // 4),
    "dots": lambda: ". " * (SIZE // 2),
    "marks": lambda: "a" + "\u0301\u0323" * (SIZE // 4),
    "figures": lambda: "a" + "7" * SIZE,
}


@pytest.mark.parametrize("kind", TEXTS)
async def test_a_text_made_to_hold_the_server_up_keeps_nobody_waiting_and_is_stopped(
    engine: MemoRAG, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A busy machine may let others go first, so the best of some tries counts: what holds it up does so each time."""
    engine.memorize([from_text(STORY, "Mill")])  # so that models are loaded
    text, cutting = TEXTS[kind](), threading.Event()
    monkeypatch.setattr(encode, "cut", partial(_signal, cutting, encode.cut))
    best = MOST
    for number in range(TRIES):
        seconds = await hold_up(build_server(engine), f"{text} {number}", cutting)
        best = [min(pair) for pair in zip(best, seconds, strict=True)] if best is not MOST else seconds
        if all(took < most for took, most in zip(best, MOST, strict=True)):
            return
    pytest.fail(f"{kind}: {best}")


async def hold_up(server: ContextServer, text: str, cutting: threading.Event) -> list[float]:
    """Have a text memorized and stopped once it is cut: the longest hold, and the seconds to a listing and a stop."""
    cutting.clear()
    async with Client(server) as one, Client(server) as other:
        with longest_hold() as held:
            job = await ok(one, "memorize_context", text=text, wait_seconds=0)
            await anyio.to_thread.run_sync(cutting.wait, SECONDS)
            with clock() as listing:
                await ok(other, "list_contexts")
            with clock() as stopping:
                await one.call_tool("cancel_memorize", {"job_id": job["job_id"]})
                ended = await ok(one, "memorize_status", job_id=job["job_id"])
    assert ended["status"] in {"cancelled", "completed"}
    return [held.seconds, listing.seconds, stopping.seconds]


def _signal(begun: threading.Event, cut: Callable[..., list[Chunk]], *given: object) -> list[Chunk]:
    begun.set()
    return cut(*given)
