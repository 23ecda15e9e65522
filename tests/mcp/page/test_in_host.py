"""The page as an MCP App: a host that follows the extension's specification shows a result, and passes on calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from browsers import MILLISECONDS, shoot
from mcp_processes import META

from memorag_mcp.protocol.apps import EXTENSION_ID, FOR_PAGE_ALONE, PAGE_URI

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FrameLocator, Page

pytest_plugins = ["pages"]
pytestmark = pytest.mark.slow
HAS_PAGES: dict[str, Any] = {EXTENSION_ID: {"mimeTypes": ["text/html;profile=mcp-app"]}}
QUESTION = "When were the gates hung?"
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "media-src 'self' data:; connect-src 'none'; frame-src 'none'; base-uri 'self'; object-src 'none'"
)
HOST = """<!doctype html><title>Host</title><body style="margin: 0"><script>
window.heard = [];
window.show = (html, policy, input, result) => {
  const view = document.createElement("iframe");
  view.sandbox = "allow-scripts";
  view.style = "width: 100%; height: 200px; border: 0";
  const post = (message) => view.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*");
  window.addEventListener("message", async ({ data, source }) => {
    if (source !== view.contentWindow) return;
    window.heard.push(data);
    const { id, method, params } = data;
    if (method === "ui/initialize") {
      const hostContext = { theme: "dark", displayMode: "inline", containerDimensions: { maxHeight: 800 } };
      const hostInfo = { name: "test-host", version: "1" };
      const hostCapabilities = { serverTools: {} };
      post({ id, result: { protocolVersion: params.protocolVersion, hostCapabilities, hostInfo, hostContext } });
    } else if (method === "ui/notifications/initialized") {
      post({ method: "ui/notifications/tool-input", params: { arguments: input } });
      post({ method: "ui/notifications/tool-result", params: result });
    } else if (method === "ui/notifications/size-changed") view.style.height = `${params.height}px`;
    else if (method === "tools/call") post({ id, result: await window.callServer(params.name, params.arguments) });
    else if (id !== undefined) post({ id, result: {} });
  });
  view.srcdoc = html.replace("<head>", `<head><meta http-equiv="Content-Security-Policy" content="${policy}">`);
  document.body.append(view);
};
</script>"""


class AppServer:
    """The server as a host sees it: what it lists, its page, and calls of its tools."""

    def __init__(self, address: str) -> None:
        self.url = f"{address}mcp"
        self.called: list[str] = []

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        self.called.append(name)
        return self.ask("tools/call", name, {"name": name, "arguments": arguments})

    def ask(self, method: str, name: str, params: dict[str, Any], extensions: dict[str, Any] = HAS_PAGES) -> Any:
        version = str(META["io.modelcontextprotocol/protocolVersion"])
        meta = META | {"io.modelcontextprotocol/clientCapabilities": {"extensions": extensions}}
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"_meta": meta}}
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": version,
            "mcp-method": method,
            "mcp-name": name,
        }
        answer = httpx.post(self.url, json=message, headers=headers, timeout=60)
        return json.loads(answer.text.split("data: ")[-1])["result"]


@contextmanager
def hosted(
    browser: Browser, server: AppServer, tool: str, arguments: dict[str, Any]
) -> Iterator[tuple[Page, FrameLocator]]:
    """A host's window with the page in it, which was given a tool's result."""
    content = server.ask("resources/read", PAGE_URI, {"uri": PAGE_URI})["contents"][0]
    assert content["mimeType"] == "text/html;profile=mcp-app"
    session = browser.new_context(viewport={"width": 900, "height": 820})
    session.set_default_timeout(MILLISECONDS)
    window = session.new_page()
    wrong: list[str] = []
    window.on("pageerror", lambda error: wrong.append(str(error)))
    window.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    window.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
    try:
        result = server.call(tool, arguments)
        window.expose_function("callServer", server.call)
        window.set_content(HOST)
        window.evaluate("all => show(...all)", [content["text"], POLICY, arguments, result])
        yield window, window.frame_locator("iframe")
        assert wrong == []
    finally:
        session.close()


def test_a_host_shows_an_answer_and_the_page_opens_the_source_through_it(browser: Browser, address: str) -> None:
    server = AppServer(address)
    with hosted(browser, server, "answer", {"context_id": "horn", "question": QUESTION}) as (window, page):
        assert page.locator(".turn h2").inner_text() == QUESTION
        item = page.locator(".quotes li").first
        item.locator(".number").click()
        page.locator(".lit").first.wait_for()
        assert "page_image" in server.called
        shoot(window, "in-host")
        heard = [message.get("method") for message in window.evaluate("heard")]
        assert heard[:2] == ["ui/initialize", "ui/notifications/initialized"]
        assert {"ui/notifications/size-changed", "tools/call", "ui/update-model-context"} <= set(heard)


@pytest.mark.parametrize(
    ("tool", "arguments", "shown"),
    [
        ("retrieve_evidence", {"context_id": "mill", "question": QUESTION}, ".passage"),
        ("recall_clues", {"context_id": "mill", "question": QUESTION}, ".steps summary"),
        ("list_contexts", {}, ".contexts .name"),
    ],
)
def test_a_host_shows_what_other_tools_found(
    tool: str, arguments: dict[str, Any], shown: str, browser: Browser, address: str
) -> None:
    with hosted(browser, AppServer(address), tool, arguments) as (_, page):
        page.locator(shown).first.wait_for()


def test_tools_for_the_page_alone_are_listed_only_to_hosts_that_have_pages(address: str) -> None:
    def listed(extensions: dict[str, Any]) -> set[str]:
        tools = AppServer(address).ask("tools/list", "", {}, extensions)["tools"]
        return {tool["name"] for tool in tools if tool.get("_meta") == FOR_PAGE_ALONE}

    assert listed({}) == set()
    assert listed(HAS_PAGES) == {"read_text", "page_sizes", "page_image", "upload_part", "memorize_upload"}
