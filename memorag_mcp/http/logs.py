"""The log of a server that listens: what strangers can make it repeat is told once a minute."""

from __future__ import annotations

import logging
import time
from typing import Any

from starlette.requests import ClientDisconnect

SECONDS_OF_SILENCE = 60.0
LOGGERS = ("uvicorn.error", "asyncio", "mcp.server.streamable_http", "mcp.server.sse", "memorag_mcp.http.gate")


def quiet_logs() -> None:
    """Filter the lines of those who tell of requests and connections."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(OncePerMinute())


class OncePerMinute(logging.Filter):
    """Lets a line through once a minute; the next one says how often it came. A client's leaving is none."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[str, Any], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], ClientDisconnect):
            return False
        key = (record.name, record.msg)
        now = time.monotonic()
        last, kept_back = self._told.get(key, (-SECONDS_OF_SILENCE, 0))
        if now - last < SECONDS_OF_SILENCE:
            self._told[key] = (last, kept_back + 1)
            return False
        if len(self._told) > 1000:
            self._told.clear()
        self._told[key] = (now, 0)
        if kept_back:
            record.msg = f"{record.msg} (and {kept_back} times in the last minute)"
        return True
