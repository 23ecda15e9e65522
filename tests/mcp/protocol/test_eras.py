"""Both eras of the protocol: the opening of a stdio session, and who is told of changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from conftest import STORY
from mcp import Client, MCPError
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated, ServerEvent
from mcp_processes import HELLO, META, TOOLS, Era, ok, speaking
from waits import SECONDS

from memorag_core import MemoRAG, Settings, from_text
from memorag_mcp.server import build_server

pytestmark = pytest.mark.anyio


def test_a_client_may_probe_and_then_shake_hands(settings: Settings) -> None:
    with speaking(settings) as ask:
        probed = [ask(number, "server/discover", {"_meta": META}) for number in (1, 2)]
        bare = ask(3, "server/discover")
        hello = ask(4, "initialize", HELLO)
        ask(None, "notifications/initialized")
        tools = ask(5, "tools/list")
    assert [reply["result"]["supportedVersions"] for reply in probed] == [["2026-07-28"]] * 2
    assert [reply["id"] for reply in probed] == [1, 2]
    assert bare["error"]["code"] == -32601
    assert hello["result"]["protocolVersion"] == "2025-11-25"
    assert {tool["name"] for tool in tools["result"]["tools"]} == TOOLS


def test_a_client_may_probe_and_stay_with_the_new_protocol(settings: Settings) -> None:
    with speaking(settings) as ask:
        ask(1, "server/discover", {"_meta": META})
        tools = ask(2, "tools/list", {"_meta": META})
        again = ask(3, "server/discover", {"_meta": META})
        refused = ask(4, "initialize", HELLO)
    assert {tool["name"] for tool in tools["result"]["tools"]} == TOOLS
    assert (tools["result"]["ttlMs"], tools["result"]["cacheScope"]) == (3_600_000, "private")
    assert again["result"]["capabilities"]["resources"] == {"subscribe": True, "listChanged": True}
    assert "error" in refused


@pytest.mark.filterwarnings("ignore:resources/")  # deprecated, and still what older clients call
async def test_older_clients_are_told_of_every_change_and_of_updates_they_subscribed_to(engine: MemoRAG) -> None:
    heard: list[str] = []

    async def on_message(message: Any) -> None:
        heard.append(f"{message.method} {getattr(message.params, 'uri', '')}".strip())

    server = build_server(engine)
    async with (
        Client(server, mode="legacy", message_handler=on_message) as watching,
        Client(server, mode="legacy") as working,
    ):
        assert watching.server_capabilities is not None
        assert watching.server_capabilities.resources is not None
        promised = watching.server_capabilities.resources
        await watching.session.subscribe_resource("memorag://contexts/mill")
        await watching.session.subscribe_resource("memorag://contexts/other")
        await watching.session.unsubscribe_resource("memorag://contexts/other")
        await ok(working, "memorize_context", text=STORY, name="mill")
        await ok(working, "memorize_context", text=f"{STORY} More.", name="other")
        await ok(working, "forget_context", context_id="mill")
        updated = "notifications/resources/updated memorag://contexts/mill"
        changed = "notifications/resources/list_changed"
        with anyio.fail_after(SECONDS):  # a context changes when it can be asked, and again when its memory is made
            while heard.count(changed) < 3 or heard.count(updated) < 2:
                await anyio.lowlevel.checkpoint()
    assert (promised.subscribe, promised.list_changed) == (True, True)
    assert set(heard) == {changed, updated}
    assert heard[:2] == [changed, updated]


@pytest.mark.filterwarnings("ignore:resources/")
async def test_what_is_subscribed_to_has_a_most_in_length_and_in_number(
    engine: MemoRAG, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memorag_mcp.protocol.subscriptions.URIS", 3)
    server = build_server(engine)
    async with Client(server, mode="legacy") as client:
        with pytest.raises(MCPError, match="A URI has at most"):
            await client.session.subscribe_resource(f"memorag://contexts/{'x' * 10_000}")
        for number in range(5):
            await client.session.subscribe_resource(f"memorag://contexts/{number}")
        [listener] = server.changes._listeners.values()
    assert [uri.rsplit("/")[-1] for uri in listener.uris.values()] == ["2", "3", "4"]


async def test_clients_of_2026_listen_to_the_same_changes(engine: MemoRAG) -> None:
    """Of a context that can be asked and of its memory that follows they may hear at once or one after the other."""
    server, uri = build_server(engine), "memorag://contexts/mill"

    async def hear_both(changes: AsyncIterator[ServerEvent]) -> None:
        missing: list[ServerEvent] = [ResourcesListChanged(), ResourceUpdated(uri=uri)]
        with anyio.fail_after(SECONDS):
            while missing:
                change = await anext(changes)
                missing = [other for other in missing if other != change]

    async with (
        Client(server) as watching,
        Client(server) as working,
        watching.listen(resources_list_changed=True, resource_subscriptions=[uri]) as changes,
    ):
        await ok(working, "memorize_context", text=STORY, name="mill")
        await hear_both(changes)
        await ok(working, "forget_context", context_id="mill")
        await hear_both(changes)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_long_list_of_resources_comes_in_pages(
    engine: MemoRAG, monkeypatch: pytest.MonkeyPatch, mode: Era
) -> None:
    monkeypatch.setattr("memorag_mcp.protocol.sdk_server.RESOURCES_A_PAGE", 2)
    for number in range(2):
        engine.memorize([from_text(f"{STORY} {number}", f"mill {number}")])
    uris: list[str] = []
    sizes: list[int] = []
    async with Client(build_server(engine), mode=mode) as client:
        cursor: str | None = None
        while not sizes or cursor:
            page = await client.list_resources(cursor=cursor)
            uris += [resource.uri for resource in page.resources]
            sizes.append(len(page.resources))
            cursor = page.next_cursor
        with pytest.raises(Exception, match="without a cursor"):
            await client.list_resources(cursor="no cursor")
    assert sizes == [2, 2, 2, 2]
    assert len(set(uris)) == len(uris) == 8
