"""Who may come in: the holders of a token, wherever there is a file of tokens, as long as their token holds."""

from __future__ import annotations

import logging

import anyio
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import AccessToken
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memorag_core.errors import InputError
from memorag_mcp.http.tokens import Tokens

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LOOKS = 1.0


class Gate:
    """An application behind bearer tokens. The file of tokens is asked at each request, and each second meanwhile.

    A request that is under way when its token is taken away, or that came in before there were tokens, is ended: an
    event stream would go on for days.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens, always: bool) -> None:
        """Guard `app`: always, or once there is a file of tokens (an empty one lets nobody in)."""
        self._app = app
        self._tokens = tokens
        self._always = always
        self._guarded = AuthenticationMiddleware(RequireAuthMiddleware(app, []), BearerAuthBackend(self))
        self._inside: dict[anyio.CancelScope, str | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        closed = self._always or self._tokens.exist()
        response = _Response(send)
        with anyio.CancelScope() as stay:
            self._inside[stay] = _bearer(scope) if closed else None
            try:
                await (self._guarded if closed else self._app)(scope, receive, response.send)
            except ClientDisconnect:
                log.debug("a client hung up in the middle of its request")
            finally:
                del self._inside[stay]
        if stay.cancelled_caught:
            await response.end(scope, receive)

    async def watch(self) -> None:
        """End, until cancelled, what goes on without a token that holds."""
        while True:
            await anyio.sleep(SECONDS_BETWEEN_LOOKS)
            for stay, token in list(self._inside.items()):
                if not self._holds(token):
                    stay.cancel()

    async def verify_token(self, token: str) -> AccessToken | None:
        """Name a token's owner as the client; nobody, where the tokens cannot be read. The SDK asks this."""
        owner = self._owner(token)
        return AccessToken(token=token, client_id=owner, scopes=[]) if owner else None

    def _holds(self, token: str | None) -> bool:
        if token is None:
            return not (self._always or self._tokens.exist())
        return self._owner(token) is not None

    def _owner(self, token: str) -> str | None:
        try:
            return self._tokens.owner(token)
        except InputError as error:
            log.error("%s", error)
            return None


class _Response:
    """What is sent of a response, so that one that is cut off can be ended as HTTP wants it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = self._ended = False

    async def send(self, message: Message) -> None:
        self._begun = True
        self._ended = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def end(self, scope: Scope, receive: Receive) -> None:
        """Refuse the request, or end the body of what was begun."""
        if not self._begun:
            refused = JSONResponse({"error": "invalid_token", "error_description": "The token was taken away."}, 401)
            await refused(scope, receive, self._send)
        elif not self._ended:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _bearer(scope: Scope) -> str:
    """The token of a request; '' if it has none, which is nobody's."""
    kind, _, token = Request(scope).headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
