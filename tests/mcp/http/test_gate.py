"""Tokens are asked for at every request and as long as it lasts; changes of the file are never lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send
from waits import SECONDS

from memorag_mcp.http import gate as gates
from memorag_mcp.http.gate import Gate
from memorag_mcp.http.json_bounds import MOST_VALUES, JsonCounter, bound_json
from memorag_mcp.http.tokens import Tokens

pytestmark = pytest.mark.anyio


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "tokens")


class Call:
    """One request and what was sent to it."""

    def __init__(self, token: str = "", body: bytes = b"") -> None:
        headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
        self.scope: Scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "query_string": b""}
        self.body = body
        self.sent: list[Message] = []
        self.began = anyio.Event()

    async def receive(self) -> Message:
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        self.began.set()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])


async def stream(_: Scope, __: Receive, send: Send) -> None:
    """A response that begins and never ends."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"event", "more_body": True})
    await anyio.sleep_forever()


async def ended_by(change: str, tokens: Tokens, token: str, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setattr(gates, "SECONDS_BETWEEN_LOOKS", 0.01)
    gate, call = Gate(stream, tokens, always=False), Call(token)
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gate.watch)

            async def ask() -> None:
                await gate(call.scope, call.receive, call.send)
                tasks.cancel_scope.cancel()

            tasks.start_soon(ask)
            await call.began.wait()
            tokens.add("bob") if change == "add" else tokens.remove("ann")
    return call


@pytest.mark.parametrize("change", ["add", "remove"])
async def test_a_stream_ends_when_its_token_is_taken_away_or_the_first_one_is_given(
    change: str, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tokens.add("ann") if change == "remove" else ""
    call = await ended_by(change, tokens, token, monkeypatch)
    assert [message.get("more_body") for message in call.sent] == [None, True, False]


async def answer(_: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body"})


async def test_without_a_file_all_come_in_and_once_there_is_one_its_tokens_alone(tokens: Tokens) -> None:
    gate = Gate(answer, tokens, always=False)

    async def status(token: str = "") -> int:
        call = Call(token)
        await gate(call.scope, call.receive, call.send)
        return call.status

    assert await status() == 200
    token = tokens.add("ann")
    assert [await status(), await status("wrong"), await status(token)] == [401, 401, 200]
    tokens.remove("ann")
    assert tokens.path.read_text() == ""
    assert [await status(), await status(token)] == [401, 401]
    assert [name for name, _ in Tokens(tokens.path).entries()] == []


async def test_a_client_that_hangs_up_is_no_error(tokens: Tokens) -> None:
    async def app(_: Scope, __: Receive, ___: Send) -> None:
        raise ClientDisconnect

    call = Call()
    await Gate(app, tokens, always=False)(call.scope, call.receive, call.send)
    assert call.sent == []


def test_changes_at_once_lose_nothing(tokens: Tokens) -> None:
    def change(number: int) -> None:
        own = Tokens(tokens.path)
        own.add(f"kept-{number}")
        own.add(f"gone-{number}")
        own.remove(f"gone-{number}")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(change, range(60)))
    assert sorted(name for name, _ in tokens.entries()) == sorted(f"kept-{number}" for number in range(60))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"[],[],{}", 5),
        (b'{"text": "a, [b], {c}"}', 1),
        (rb'["\"[,", "\\", "\\\"[,"]', 3),
        ('["é, 中[", 1]'.encode(), 2),
    ],
)
def test_values_are_counted_outside_of_strings_however_the_bytes_are_cut(text: bytes, values: int) -> None:
    for size in range(1, len(text) + 1):
        counter = JsonCounter()
        for at in range(0, len(text), size):
            counter.feed(text[at : at + size])
        assert counter.values == values


async def test_a_request_with_too_many_values_is_refused_unread_and_a_long_text_is_not() -> None:
    app = bound_json(answer)
    many, text = Call(body=b"[" + b"[]," * MOST_VALUES), Call(body=b'["' + b"[]," * MOST_VALUES + b'"]')
    for call in (many, text):
        await app(call.scope, call.receive, call.send)
    assert (many.status, text.status) == (413, 200)
    assert b"values" in many.sent[1]["body"]
    assert len(many.sent) == 2
