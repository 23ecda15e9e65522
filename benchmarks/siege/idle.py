"""Hold connections that say nothing, or half of something, while another client lists contexts."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.siege.served import LOOPBACK, PATIENCE, serve
from memorag_mcp.http.connections import allow_connections

HALF = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n"
MOST_SECONDS, MOST_LOG = 2.0, 1 << 20


def besiege(connections: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Hold connections, half of them idle and half with half a request, and measure calls of another client."""
    allow_connections()
    held: list[socket.socket] = []
    took: list[float] = []
    with serve(folder / "store", folder / "log") as served:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            held = [one for one in held if _is_open(one)]
            while len(held) < connections:
                held.append(socket.create_connection((LOOPBACK, served.port), PATIENCE))
                if len(held) % 2:
                    held[-1].sendall(HALF)
            began = time.monotonic()
            _list_contexts(served.where)
            took.append(time.monotonic() - began)
            time.sleep(0.2)
        for one in held:
            one.close()
    size = (folder / "log").stat().st_size
    result = {"connections": connections, "calls": len(took), "longest": round(max(took), 3), "log_bytes": size}
    assert max(took) < MOST_SECONDS, result
    assert size < MOST_LOG, result
    return result


def _list_contexts(where: str) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "siege", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": "list_contexts", "arguments": {}, "_meta": meta}
    heads = {"Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28"}
    heads |= {"Mcp-Method": "tools/call", "Mcp-Name": "list_contexts"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    reply = httpx.post(f"{where}/mcp", json=call, headers=heads, timeout=PATIENCE)
    assert reply.status_code == 200, reply.text


def _is_open(one: socket.socket) -> bool:
    """Whether the server has not closed a connection yet."""
    one.setblocking(False)
    try:
        return one.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
