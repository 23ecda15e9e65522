"""The API generator against a real HTTP server: replies, faults, and the key, which is never told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from memorag_core.errors import GenerationError, MissingExtra
from memorag_core.generation.api import ApiGenerator

KEY = "sk-secret-key"


class Api(ThreadingHTTPServer):
    """Replies with the statuses and texts it is given, in turn, and keeps the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ApiHandler)
        self.replies: list[tuple[int, str]] = []
        self.requests: list[dict[str, object]] = []


class ApiHandler(BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body | {"key": self.headers["Authorization"]})
        status, text = self.server.replies.pop(0)
        message = {"role": "assistant", "content": text}
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": []}
        reply["choices"] = [{"index": 0, "finish_reason": "stop", "message": message}]
        data = json.dumps(reply if status == 200 else {"error": {"message": text}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    with Api() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        yield server
        server.shutdown()


def test_the_reply_of_the_api_is_the_text(api: Api) -> None:
    api.replies = [(200, " In May 1963. ")]
    assert ApiGenerator("small").generate("When?", 16) == "In May 1963."
    assert api.requests[0]["model"] == "small"
    assert api.requests[0]["max_tokens"] == 16
    assert api.requests[0]["key"] == f"Bearer {KEY}"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(api: Api, status: int) -> None:
    api.replies = [(status, "busy"), (200, "In May.")]
    assert ApiGenerator("small").generate("When?", 16) == "In May."


@pytest.mark.parametrize(
    ("replies", "message"), [([(401, f"bad key {KEY}")], "answered 401"), ([(200, "")], "nothing")]
)
def test_what_will_not_pass_is_told_with_what_to_do_and_without_the_key(
    api: Api, replies: list[tuple[int, str]], message: str
) -> None:
    api.replies = replies
    with pytest.raises(GenerationError, match=message) as told:
        ApiGenerator("small").generate("When?", 16)
    assert KEY not in str(told.value)
    assert told.value.__cause__ is None


def test_a_refused_connection_is_told_with_the_address(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(GenerationError, match=r"127\.0\.0\.1:9.*could not be reached"):
        ApiGenerator("small", retries=0).generate("When?", 16)


def test_a_missing_key_is_told_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(GenerationError, match="OPENAI_API_KEY is not set"):
        ApiGenerator("small")


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(MissingExtra, match=r"memorag-mcp\[api\]"):
        ApiGenerator("small")


def test_the_token_estimate_is_never_short_of_a_word_a_token() -> None:
    generator = ApiGenerator.__new__(ApiGenerator)
    assert generator.count(["one two three", "村雨城"]) == [5, 4]
