"""A request whose front is lost is told to try again, in words of the protocol."""

from __future__ import annotations

import httpx
import pytest
from mcp.types import JSONRPCError
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from memorag_mcp.cluster.proxy import middleware

pytestmark = pytest.mark.anyio


async def lose(scope: Scope, receive: Receive, send: Send) -> None:
    """What a proxy does whose front is lost."""


async def post(app: object) -> httpx.Response:
    [wrapper] = middleware()
    transport = httpx.ASGITransport(wrapper.cls(app))  # type: ignore[arg-type, call-arg]  # starlette's factories
    async with httpx.AsyncClient(transport=transport, base_url="http://front") as client:
        return await client.post("/mcp")


async def test_a_request_that_nobody_answers_is_told_to_try_again() -> None:
    response = await post(lose)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert "Try again" in JSONRPCError.model_validate_json(response.content).error.message


async def test_an_answer_passes_unchanged() -> None:
    response = await post(PlainTextResponse("here", 418))
    assert (response.status_code, response.text) == (418, "here")
