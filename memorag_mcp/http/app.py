"""Serving over HTTP and SSE: who may come in, a server for each owner, health and metrics, a graceful end.

    request → Host and Origin → bearer token → bounds of JSON → the owner's own server
              (not /healthz)    (where there are tokens; not for the files of the page)

Owners share the models and the queue for them, nothing else: each has a store, jobs, sessions and subscriptions of its
own, so no id of another one's leads anywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup, TaskStatus
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from memorag_core.runtime import Runtime
from memorag_mcp.http.address import ListenAddress
from memorag_mcp.http.gate import Gate
from memorag_mcp.http.json_bounds import bound_json
from memorag_mcp.http.logs import quiet_logs
from memorag_mcp.http.metrics import Metrics
from memorag_mcp.protocol.sdk_server import ContextServer

ListeningTransport = Literal["sse", "http"]
MAX_REQUEST_BYTES = 64 << 20
SECONDS_TO_END = 8
METRICS = "metrics"
"""The name whose tokens are for `/metrics` and nothing else; where it has one, no other token is."""
NOT_YOURS = PlainTextResponse("This token is not for that.\n", 403)
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Owners:
    """The servers of all owners, each made when its owner first comes; an ASGI application."""

    def __init__(
        self, build: Callable[[str], ContextServer], options: dict[str, Any], listener: ListeningTransport
    ) -> None:
        """Take what makes the server of an owner ('' where there is none), and the transport with its options."""
        self.servers: dict[str, ContextServer] = {}
        self._build = build
        self._options = options
        self._listener = listener
        self._apps: dict[str, Starlette] = {}
        self._making: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        self._tasks: TaskGroup

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        owner = _owner_of(scope)
        if owner == METRICS:
            await NOT_YOURS(scope, receive, send)
            return
        if owner not in self._apps:
            with anyio.CancelScope(shield=True):  # a client that leaves must not leave half a server behind
                async with self._making[owner]:
                    if owner not in self._apps:
                        self._apps[owner] = await self._tasks.start(self._run, owner)
        await self._apps[owner](scope, receive, send)

    @asynccontextmanager
    async def open(self, _: Starlette) -> AsyncIterator[None]:
        """Servers may be made; at the end all are closed, their jobs told as interrupted."""
        async with anyio.create_task_group() as self._tasks:
            yield
            self._tasks.cancel_scope.cancel()
        for server in self.servers.values():
            await anyio.to_thread.run_sync(server.jobs.close)

    async def _run(self, owner: str, *, task_status: TaskStatus[Starlette]) -> None:
        server = self._build(owner)
        await anyio.to_thread.run_sync(server.engine.store.sweep)  # which looks through all of it
        self.servers[owner] = server
        app = (server.sse_app if self._listener == "sse" else server.streamable_http_app)(**self._options)
        async with app.router.lifespan_context(app):
            task_status.started(app)
            await anyio.sleep_forever()


def _owner_of(scope: Scope) -> str:
    """Whose token a request has; '' where there need be none."""
    user = scope.get("user")
    return str(user.display_name) if user else ""


def application(
    build: Callable[[str], ContextServer],
    shared: Runtime,
    address: ListenAddress,
    listener: ListeningTransport,
    public: Sequence[BaseRoute] = (),
) -> Starlette:
    """All that listens, as an ASGI application; the `public` routes need no token.

    Raises:
        InputError: see `ListenAddress.require_tokens`.
    """
    tokens, security = address.require_tokens(), _security(address)
    options = {"host": address.host, "transport_security": security, "max_request_body_size": MAX_REQUEST_BYTES}
    owners = Owners(build, options | ({"stateless_http": True} if address.one_of_several else {}), listener)
    metrics = Metrics(shared)

    async def numbers(request: Request) -> Response:
        if _owner_of(request.scope) != METRICS and METRICS in dict(tokens.entries()):
            return NOT_YOURS
        return PlainTextResponse(metrics.text([server.jobs for server in owners.servers.values()]))

    inner: ASGIApp = Starlette(routes=[Route("/metrics", numbers), Mount("/", owners)])
    gate = Gate(bound_json(inner), tokens, always=not address.is_loopback)
    checked = Starlette(routes=[*public, Mount("/", gate)])
    guarded = metrics.count_answers(_check(checked, TransportSecurityMiddleware(security)))

    @asynccontextmanager
    async def run(app: Starlette) -> AsyncIterator[None]:
        async with owners.open(app), anyio.create_task_group() as tasks:
            tasks.start_soon(gate.watch)
            yield
            tasks.cancel_scope.cancel()

    return Starlette(routes=[Route("/healthz", _healthy), Mount("/", guarded)], lifespan=run)


async def listen(app: Starlette, address: ListenAddress) -> None:
    """Serve until told to stop; then requests under way have some seconds to end."""
    import uvicorn

    from memorag_mcp.http.connections import SECONDS_BETWEEN_REQUESTS, BoundedProtocol, allow_connections

    BoundedProtocol.most = allow_connections()
    quiet_logs()
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        host=address.host,
        port=address.port,
        log_level="warning",
        ws="none",
        server_header=False,
        timeout_keep_alive=SECONDS_BETWEEN_REQUESTS,
        timeout_graceful_shutdown=SECONDS_TO_END,
    )
    await uvicorn.Server(config).serve()


def _security(address: ListenAddress) -> TransportSecuritySettings:
    names = dict.fromkeys((*LOOPBACK, f"[{address.host}]" if ":" in address.host else address.host))
    return TransportSecuritySettings(
        allowed_hosts=[*(f"{name}:{address.port}" for name in names), *address.allowed_hosts],
        allowed_origins=[*(f"http://{name}:{address.port}" for name in names), *address.allowed_origins],
    )


def _check(app: ASGIApp, security: TransportSecurityMiddleware) -> ASGIApp:
    """Before anything is read of a request, its Host and Origin are looked at."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        refused = await security.validate_request(Request(scope))
        await (refused or app)(scope, receive, send)

    return guard


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("ok\n")
