"""The page as an MCP App: a resource that hosts render beside the results of tools."""

from __future__ import annotations

from mcp.server.apps import Apps, ResourceCsp

from memorag_mcp.page.files import inline_page
from memorag_mcp.protocol.apps import PAGE_URI


def offer_page() -> Apps:
    """Return the extension with the page in it, which needs nothing of the network."""
    apps = Apps()
    apps.add_html_resource(
        PAGE_URI,
        inline_page(),
        name="memorag-page",
        title="MemoRAG: answers beside their sources",
        description="Shows answers, evidence, clues and contexts, and the source at each citation.",
        csp=ResourceCsp(connect_domains=[], resource_domains=[]),
        prefers_border=True,
    )
    return apps
