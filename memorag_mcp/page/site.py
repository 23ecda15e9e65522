"""Serves the files of the page. They hold nothing of anybody's: what is private comes through the tools, by token."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from memorag_mcp.page.files import TYPES, read_files

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def routes_of_page() -> list[BaseRoute]:
    """Return the routes of the page, at `/`, and of what it loads, below `/page`."""
    return [Route("/", _page), Route("/page/{name}", _file)]


async def _page(request: Request) -> Response:
    return _respond("index.html", request)


async def _file(request: Request) -> Response:
    return _respond(request.path_params["name"], request)


def _respond(name: str, request: Request) -> Response:
    """A file by its name, which is looked up among those there are, so that no path leads out; 304 if it is known."""
    text = read_files().get(name)
    if text is None:
        return PlainTextResponse("There is no such page.\n", 404, HEADERS)
    data = text.encode()
    headers = {**HEADERS, "etag": f'"{hashlib.sha256(data).hexdigest()[:32]}"'}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=TYPES[PurePosixPath(name).suffix], headers=headers)
