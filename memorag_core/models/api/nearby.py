"""Servers of models on this machine that need no key: whether one answers, and what it could write with."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from memorag_core.models.api.endpoints import ENDPOINTS

SECONDS = 0.5
MOST = 1 << 20
PIECE = 1 << 16
OK = 200
WRITES_NOT = re.compile(r"embed|rerank|minilm|bge|gte-|whisper|ocr", re.IGNORECASE)


def find_nearby() -> list[str]:
    """Models of Ollama and LM Studio that answer here, by the names that `--generator` takes, their newest first.

    Asks each server once, for at most about a second, and only under an address of this machine.
    """
    local = ((kind, urlsplit(address)) for kind, address in _addresses())
    return [f"{kind}:{name}" for kind, url in local if _is_here(url) for name in _models(url)]


def _addresses() -> Iterator[tuple[str, str]]:
    for kind, endpoint in ENDPOINTS.items():
        if not endpoint.needs_key and endpoint.default:
            yield kind, os.environ.get(endpoint.address) or endpoint.default


def _is_here(url: SplitResult) -> bool:
    try:
        return url.hostname == "localhost" or ip_address(url.hostname or "").is_loopback
    except ValueError:
        return False


def _models(url: SplitResult) -> list[str]:
    """The names that a server lists, those that do not write left out; none where nothing answers in time."""
    try:
        found = json.loads(_read(url))["data"]
        names = [str(model["id"]) for model in found]
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        return []
    return [name for name in names if not WRITES_NOT.search(name)]


def _read(url: SplitResult) -> bytes:
    """What stands at `/models`; raises `TimeoutError` where it does not come in time, or is more than a list."""
    deadline = time.monotonic() + 2 * SECONDS
    connection = HTTPConnection(url.hostname or "", url.port, timeout=SECONDS)
    try:
        connection.request("GET", f"{url.path.rstrip('/')}/models")
        response, text = connection.getresponse(), b""
        while response.status == OK and (piece := response.read1(PIECE)):
            text += piece
            if time.monotonic() > deadline or len(text) > MOST:
                raise TimeoutError
    finally:
        connection.close()
    return text
