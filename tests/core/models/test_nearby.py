"""Servers of models on this machine are found in bounded time, and the doctor and the first answer name one option."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from memorag_core import MemoRAG, Settings
from memorag_core.config import PROFILES
from memorag_core.models import profiles
from memorag_core.models.api import nearby
from memorag_core.models.api.nearby import find_nearby
from memorag_core.models.profiles import suggest_generator
from memorag_core.runtime import Runtime

MODELS = {"data": [{"id": name} for name in ("nomic-embed-text", "qwen3.5:4b", "bge-reranker", "gemma4:e4b")]}


class Listed(BaseHTTPRequestHandler):
    """Lists models, or says what it was given instead, or nothing until it is let go."""

    said = json.dumps(MODELS).encode()
    held: threading.Event | None = None

    def do_GET(self) -> None:
        if self.held:
            self.held.wait(30)
            return
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.end_headers()
        self.wfile.write(self.said)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server of models, whatever runs on this machine."""
    for name in ("OLLAMA_BASE_URL", "LMSTUDIO_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/v1")


@pytest.fixture
def ollama(nobody: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Listed]]:
    class Mine(Listed):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Mine) as server:
        threading.Thread(target=partial(server.serve_forever, 0.01), daemon=True).start()
        monkeypatch.setenv("OLLAMA_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        yield Mine
        if Mine.held:
            Mine.held.set()
        server.shutdown()


def test_models_that_write_are_found_at_a_server_that_answers(ollama: type[Listed]) -> None:
    assert find_nearby() == ["ollama:qwen3.5:4b", "ollama:gemma4:e4b"]
    assert suggest_generator(Settings.of(device="cpu"), find_nearby()).endswith("--generator ollama:qwen3.5:4b")


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b'{"data": 3}', b'{"data": [{}]}', b" " * (nearby.MOST + 2)])
def test_what_is_no_list_of_models_is_nothing(ollama: type[Listed], said: bytes) -> None:
    ollama.said = said
    assert find_nearby() == []


def test_a_server_that_is_silent_is_given_up(ollama: type[Listed], monkeypatch: pytest.MonkeyPatch) -> None:
    ollama.held = threading.Event()
    monkeypatch.setattr(nearby, "SECONDS", 0.05)
    assert find_nearby() == []


def test_no_server_elsewhere_is_asked(nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://models.example.org/v1")
    monkeypatch.setattr(nearby, "HTTPConnection", lambda *_, **__: pytest.fail("it was asked"))
    monkeypatch.setenv("LMSTUDIO_BASE_URL", "http://192.0.2.1/v1")
    assert find_nearby() == []


@pytest.mark.parametrize(("gib", "option"), [(24, "--profile full"), (12, "--profile lite"), (4, "--generator Qwen/")])
def test_a_gpu_is_offered_the_largest_profile_that_it_holds(
    gib: int, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = type("Properties", (), {"total_memory": gib << 30})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: total)
    monkeypatch.setattr(profiles, "_count_memory", lambda: 16 << 30)
    assert option in suggest_generator(Settings.of(device="cuda:0"))


def test_a_small_machine_is_told_of_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_count_memory", lambda: 4 << 30)
    assert "--generator ollama:MODEL" in suggest_generator(Settings.of(device="cpu"))


def test_the_first_answer_of_a_small_generator_says_what_could_write_and_no_other_does() -> None:
    small = MemoRAG(Settings.of(profile="tiny", device="cpu"))
    assert "smollm2-135m-instruct is too small to write" in (small.advise() or "")
    assert small.advise() is None
    assert Runtime(Settings.of(profile="lite", device="cpu"), print).advise() is None
    assert not PROFILES["lite"].extracts
