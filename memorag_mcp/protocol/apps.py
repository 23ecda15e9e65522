"""The page inside a host, as the extension MCP Apps has it: which tools it shows, and which are for it alone."""

from __future__ import annotations

from collections.abc import Sequence

from mcp.server.apps import EXTENSION_ID, client_supports_apps
from mcp.server.context import ServerRequestContext
from mcp.types import Tool

PAGE_URI = "ui://memorag/page"
SHOWN_BY_PAGE = {"ui": {"resourceUri": PAGE_URI}}
"""`_meta` of a tool whose results a host may show by the page."""
FOR_PAGE_ALONE = {"ui": {"resourceUri": PAGE_URI, "visibility": ["app"]}}
"""`_meta` of a tool that the page calls, and no model ever sees."""

__all__ = ["EXTENSION_ID", "FOR_PAGE_ALONE", "PAGE_URI", "SHOWN_BY_PAGE", "list_for"]


def list_for(tools: Sequence[Tool], ctx: ServerRequestContext) -> list[Tool]:
    """Of all tools, those to list for a client: those for the page alone only where it has pages, and hides them."""
    if client_supports_apps(ctx):
        return list(tools)
    return [tool for tool in tools if tool.meta != FOR_PAGE_ALONE]
