"""Our server with the fixtures that the conformance suite calls by name, over streamable HTTP.

Run: PYTHONPATH=. python tests/mcp/conformance/serve.py STORE PORT
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from contents import add_contents
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.types import JSONRPCMessage
from rounds import add_rounds
from talks import add_talks
from work_of_tasks import add_tasks

from memorag_core import MemoRAG, Settings
from memorag_mcp.server import build_server


class Events(EventStore):
    """All events of all streams, in memory."""

    def __init__(self) -> None:
        self.events: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self.events.append((stream_id, message))
        return str(len(self.events) - 1)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        stream, _ = self.events[int(last_event_id)]
        for number, (owner, message) in enumerate(self.events):
            if number > int(last_event_id) and owner == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def main() -> None:
    store, port = Path(sys.argv[1]), int(sys.argv[2])
    server = build_server(MemoRAG(Settings.of(profile="tiny", device="cpu", store=store)))
    for add in (add_contents, add_talks, add_rounds, add_tasks):
        add(server)
    app = server.streamable_http_app(event_store=Events(), retry_interval=500)
    try:
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", http="h11", loop="asyncio")  # as ours is run
    finally:
        server.jobs.close()


if __name__ == "__main__":
    main()
