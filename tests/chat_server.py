"""A stub of an OpenAI-compatible server on this machine, that replies, fails and breaks off as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """Text in pieces as server-sent events, or a status with a message; `cut`: the connection ends instead."""

    pieces: tuple[str, ...] = ()
    finish: str | None = "stop"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    hangs: bool = False
    raw: bytes = b""
    content: str = "text/event-stream"

    def events(self) -> Iterator[bytes]:
        """The body, event by event."""
        if self.raw:
            yield self.raw
            return
        if self.status != 200:
            yield json.dumps({"error": {"message": "".join(self.pieces)}}).encode()
            return
        for piece in self.pieces:
            yield _event({"content": piece}, None)
        if self.cut or self.hangs:
            return
        yield _event({}, self.finish)
        yield b"data: [DONE]\n\n"


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    head: dict[str, Any] = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps(head | {"choices": [choice]}).encode() + b"\n\n"


class ChatServer(ThreadingHTTPServer):
    """Gives its replies in turn, then what `answer` makes of each request, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: list[Reply] = []
        self.answer: Callable[[dict[str, Any]], Reply] | None = None
        self.requests: list[dict[str, Any]] = []
        self.released = threading.Event()

    @property
    def address(self) -> str:
        """`http://127.0.0.1:PORT`"""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up: when all is said, or when they are stopped."""


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(
            body | {"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()}}
        )
        answer = self.server.answer
        reply = answer(body) if answer and not self.server.replies else self.server.replies.pop(0)
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content if reply.status == 200 else "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        for event in reply.events():
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        if reply.hangs:
            assert self.server.released.wait(60)
        self.close_connection = reply.cut or reply.hangs
        if not self.close_connection:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """A stub that listens until the end."""
    with ChatServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
