"""An answer is told while it is written, to a client that asked for progress."""

from __future__ import annotations

import pytest
from conftest import STORY
from mcp import Client

from memorag_core import MemoRAG
from memorag_core.ingest import from_text
from memorag_mcp.server import build_server

pytestmark = pytest.mark.anyio
ASKED = {"context_id": "mill", "question": "When were the gates hung?"}


@pytest.mark.parametrize("tool", ["answer", "summarize"])
async def test_the_pieces_of_a_text_come_in_order_before_its_end(tool: str, engine: MemoRAG) -> None:
    engine.memorize([from_text(STORY, "The Mill")], "mill")
    told: list[tuple[float, str]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message or ""))

    arguments = ASKED if tool == "answer" else {"context_id": "mill"}
    async with Client(build_server(engine)) as client:
        result = await client.call_tool(tool, arguments, progress_callback=hear)
    written = [message for _, message in told]
    assert result.structured_content is not None
    assert "".join(written).strip().startswith(result.structured_content["text"][:20])
    assert [progress for progress, _ in told] == sorted(progress for progress, _ in told)
    assert told[-1][0] == len("".join(written))
