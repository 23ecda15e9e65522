"""Who is told that contexts changed: subscribers of 2026 clients over the SDK's bus, older ones by connection.

The SDK serves 2026 clients by itself. For older ones it neither counts connections nor knows `resources/subscribe`, so
a middleware does: it remembers a connection from its first message, and what it subscribed to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourcesListChanged, ResourceUpdated
from mcp.types import INVALID_PARAMS, SubscribeRequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from memorag_core.concurrency.lru import LRUCache

CONNECTIONS = 1000
URIS = 1000
LONGEST_URI = 4096
SECONDS_TO_TELL = 2.0


@dataclass(slots=True)
class Listener:
    """A connection before 2026. `client` stands for it: the object of its handshake, kept so that it stays unique."""

    client: object
    session: ServerSession
    uris: LRUCache[str, str] = field(default_factory=lambda: LRUCache(URIS))


class Changes:
    """Tells every client that the list of contexts changed, and subscribers that a resource did."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self._listeners: LRUCache[int, Listener] = LRUCache(CONNECTIONS)
        self._telling: set[asyncio.Task[None]] = set()

    async def tell(self, uris: Sequence[str]) -> None:
        """The list of resources changed, and so did these."""
        await self.bus.publish(ResourcesListChanged())
        for uri in uris:
            await self.bus.publish(ResourceUpdated(uri=uri))
        async with anyio.create_task_group() as tasks:
            for listener in self._listeners.values():
                tasks.start_soon(self._tell_one, listener, uris)

    def teller(self) -> Callable[[Sequence[str]], None]:
        """`tell` for other threads: it is done soon, on the event loop of now."""
        loop = asyncio.get_running_loop()

        def start(uris: Sequence[str]) -> None:
            # The coroutine is made on the loop: one made here is never awaited when the loop ends before its turn.
            task = loop.create_task(self.tell(uris))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

        def later(uris: Sequence[str]) -> None:
            with suppress(RuntimeError):  # the loop has ended, and with it every client
                loop.call_soon_threadsafe(start, uris)

        return later

    async def middleware(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Notice connections before 2026, serve their subscriptions, and tell them that both are served."""
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS or ctx.method == "server/discover":
            return await call_next(ctx)
        if ctx.method == "initialize":
            return _announce_changes(await call_next(ctx))
        listener = self._notice(ctx.session)
        if listener is None or ctx.method not in {"resources/subscribe", "resources/unsubscribe"}:
            return await call_next(ctx)
        uri = SubscribeRequestParams.model_validate(ctx.params or {}, by_name=False).uri
        if len(str(uri)) > LONGEST_URI:
            raise MCPError(INVALID_PARAMS, f"A URI has at most {LONGEST_URI:,} characters here.")
        if ctx.method == "resources/subscribe":
            listener.uris.put(uri, uri)
        else:
            listener.uris.drop(uri)
        return {}

    def _notice(self, session: ServerSession) -> Listener | None:
        client = session.client_params
        if client is None:
            return None
        return self._listeners.get(id(client)) or self._listeners.put(id(client), Listener(client, session))

    async def _tell_one(self, listener: Listener, uris: Sequence[str]) -> None:
        with anyio.move_on_after(SECONDS_TO_TELL):
            try:
                await listener.session.send_resource_list_changed()
                for uri in uris:
                    if listener.uris.get(uri):
                        await listener.session.send_resource_updated(uri)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                self._listeners.drop(id(listener.client))


def _announce_changes(result: HandlerResult) -> HandlerResult:
    """The reply to `initialize`, saying that changes are told."""
    assert isinstance(result, dict)
    resources = {"subscribe": True, "listChanged": True}
    return {**result, "capabilities": {**result["capabilities"], "resources": resources}}
