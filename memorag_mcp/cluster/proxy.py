"""What a proxy of Ray Serve tells a client whose front was lost in the middle of its request.

By itself a proxy then sends nothing, which its HTTP server makes a bare 500. Proxies call `middleware` where their
environment has RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=memorag_mcp.cluster.proxy:middleware.
"""

from __future__ import annotations

from mcp.types import INTERNAL_ERROR
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CALLBACK = {"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": f"{__name__}:middleware"}
"""The variable that proxies of a cluster need."""
LOST = "The front that had this request was lost. Try again in a moment."


class TellOfLoss:
    """ASGI middleware that answers with an error of the protocol where nothing else was answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answered = False

        async def send_on(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        await self._app(scope, receive, send_on)
        if not answered:
            error = {"jsonrpc": "2.0", "id": None, "error": {"code": INTERNAL_ERROR, "message": LOST}}
            await JSONResponse(error, 503, {"Retry-After": "1"})(scope, receive, send)


def middleware() -> list[Middleware]:
    """What Serve adds to its proxies."""
    return [Middleware(TellOfLoss)]
