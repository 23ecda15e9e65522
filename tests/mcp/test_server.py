"""The server through a client, in memory, in both protocol eras."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.to_thread
import pytest
from conftest import STORY
from documents import write_pdf
from mcp import Client, MCPError
from mcp.types import CallToolResult, ResourceLink
from mcp_processes import TOOLS, ok
from waits import SECONDS

from memorag_core import MemoRAG, from_text
from memorag_core.context.manifest import Manifest
from memorag_mcp.server import build_server, serve_and_unload

pytestmark = pytest.mark.anyio
QUESTION = "When were the gates hung?"
MOST_TOLD = 15_500  # characters of all tools that a model reads, without what they return: 3,600 tokens a conversation


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    folder = tmp_path / "allowed"
    folder.mkdir()
    (folder / "mill.md").write_text(f"# The mill\n\n{STORY}", encoding="utf-8")
    return folder


@pytest.fixture(params=["auto", "legacy"])
def mode(request: pytest.FixtureRequest) -> Literal["auto", "legacy"]:
    era: Literal["auto", "legacy"] = request.param
    return era


@asynccontextmanager
async def connected(engine: MemoRAG, allowed: Path, mode: Literal["auto", "legacy"] = "auto") -> AsyncIterator[Client]:
    async with Client(build_server(engine, [allowed]), mode=mode) as client:
        yield client


def said(result: CallToolResult) -> str:
    return str(getattr(result.content[0], "text", ""))


async def test_every_tool_has_a_description_annotations_and_an_output_schema(
    engine: MemoRAG, allowed: Path, mode: Literal["auto", "legacy"]
) -> None:
    async with connected(engine, allowed, mode) as client:
        tools = (await client.list_tools()).tools
    assert {tool.name for tool in tools} == TOOLS
    for tool in tools:
        assert tool.title
        assert len(tool.description or "") > 40
        assert "  " not in (tool.description or "")
        assert "\n" not in (tool.description or "")
        assert tool.annotations is not None
        assert tool.output_schema is not None
        for name, field in tool.input_schema["properties"].items():
            assert len(field["description"]) > 10
            assert isinstance(field.get("title", {}), dict), name
    assert sum(len(tool.model_dump_json(exclude={"output_schema", "meta"})) for tool in tools) < MOST_TOLD


async def test_a_model_is_told_which_folders_may_be_read(engine: MemoRAG, allowed: Path) -> None:
    async with connected(engine, allowed, "legacy") as client, Client(build_server(engine)) as other:
        assert f"below these folders only: {allowed}." in (client.instructions or "")
        assert "No folder may be read here" in (other.instructions or "")


async def test_a_text_is_memorized_asked_and_forgotten(
    engine: MemoRAG, allowed: Path, mode: Literal["auto", "legacy"]
) -> None:
    async with connected(engine, allowed, mode) as client:
        context = await ok(client, "memorize_context", text=STORY, name="mill")
        asked = {"context_id": "mill", "question": QUESTION}
        clues = await ok(client, "recall_clues", **asked)
        evidence = await ok(client, "retrieve_evidence", **asked)
        answer = await ok(client, "answer", **asked)
        summary = await ok(client, "summarize", context_id="mill", focus="the gates")
        listed = await ok(client, "list_contexts")
        await ok(client, "forget_context", context_id="mill")
        empty = await ok(client, "list_contexts")
    assert context["context_id"] == "mill"
    assert clues["question"] == QUESTION
    assert all(STORY[p["start"] : p["end"]] == p["text"] for p in evidence["passages"])
    assert all(STORY[c["start"] : c["end"]] == c["quote"] for a in (answer, summary) for c in a["citations"])
    assert [entry["context_id"] for entry in listed["contexts"]] == ["mill"]
    assert empty["contexts"] == []


async def test_several_contexts_are_asked_at_once_and_each_quote_names_its_own(
    engine: MemoRAG, allowed: Path, mode: Literal["auto", "legacy"]
) -> None:
    texts = {"mill": STORY, "hill": "Nobody kept a gate book on the hill.\n\nThe snow lay there until May."}
    for name, text in texts.items():
        engine.memorize([from_text(text, "notes")], name=name)
    asked = {"context_id": "mill", "more_contexts": ["hill", "mill"], "question": "Who kept the gate book?"}
    async with connected(engine, allowed, mode) as client:
        clues = await ok(client, "recall_clues", **asked)
        evidence = await ok(client, "retrieve_evidence", **asked, k=9)
        answer = await ok(client, "answer", **asked)
        shown = await client.call_tool("answer", asked)
        alone = await ok(client, "retrieve_evidence", context_id="mill", question="Who kept the gate book?")
        from_memory = await client.call_tool("answer", asked | {"task": "qa"})
    assert clues["more_contexts"] == evidence["more_contexts"] == answer["more_contexts"] == ["hill"]
    assert {passage["context_id"] for passage in evidence["passages"]} == {"mill", "hill"}
    assert all(texts[p["context_id"]][p["start"] : p["end"]] == p["text"] for p in evidence["passages"])
    assert answer["citations"]
    assert all(texts[c["context_id"]][c["start"] : c["end"]] == c["quote"] for c in answer["citations"])
    places = [clue["place"] for clue in clues["clues"] if clue["place"]]
    assert all(place["context_id"] in texts for place in places)
    linked = {str(link.uri) for link in shown.content if isinstance(link, ResourceLink)}
    assert linked == {f"memorag://contexts/{c['context_id']}/documents/notes" for c in answer["citations"]}
    assert {passage["context_id"] for passage in alone["passages"]} == {None}
    assert "for one context" in said(from_memory)


async def test_a_part_of_a_context_is_asked_and_named(
    engine: MemoRAG, allowed: Path, mode: Literal["auto", "legacy"]
) -> None:
    engine.memorize([from_text(STORY, "log"), from_text(f"{STORY} It rained.", "book")], name="mill")
    asked = {"context_id": "mill", "question": "Who kept the gate book?", "only": {"documents": ["book"]}}
    async with connected(engine, allowed, mode) as client:
        clues = await ok(client, "recall_clues", **asked)
        evidence = await ok(client, "retrieve_evidence", **asked)
        answer = await ok(client, "answer", **asked)
        whole = await ok(client, "answer", **asked | {"only": None})
        nothing = await client.call_tool("answer", asked | {"only": {"kinds": ["pdf"]}})
    assert {one["searched"] for one in (clues, evidence, answer)} == {"1 of 2 documents: book"}
    assert {one["document_id"] for one in (*evidence["passages"], *answer["citations"])} == {"book"}
    assert whole["searched"] is None
    assert "of the kind 'pdf'" in said(nothing)


async def test_a_folder_of_documents_is_memorized_by_patterns_and_told_with_pages_and_notices(
    engine: MemoRAG, allowed: Path
) -> None:
    write_pdf(allowed / "paper.pdf", ["The mill stands at the pond.", "", "The gates were hung in May."])
    (allowed / "old.txt").write_bytes("Un café noir.".encode("cp1252"))
    async with connected(engine, allowed) as client:
        memorized = await ok(client, "memorize_context", path=str(allowed), include=["*.pdf", "old.*"])
    old, paper = memorized["context"]["documents"]
    assert (old["id"], old["pages"], "a guess" in old["notice"]) == ("old", None, True)
    assert (paper["id"], paper["pages"], "pictures" in paper["notice"]) == ("paper", 3, True)


async def test_every_citation_and_passage_of_a_pdf_of_200_pages_names_its_page(engine: MemoRAG, allowed: Path) -> None:
    pages = [f"Entry {number} of the gate book. The horn sounded {number * 7} times." for number in range(1, 201)]
    write_pdf(allowed / "book.pdf", pages)
    async with connected(engine, allowed) as client:
        context = (await ok(client, "memorize_context", path=str(allowed / "book.pdf")))["context"]
        asked = {"context_id": context["context_id"], "question": "How often did the horn sound in entry 137?"}
        evidence = await ok(client, "retrieve_evidence", **asked, k=50)
        answer = await ok(client, "answer", **asked)
    assert context["documents"][0]["pages"] == 200
    assert evidence["passages"]
    assert answer["citations"]
    for passage in evidence["passages"]:
        assert pages[passage["page"] - 1].startswith(passage["text"].splitlines()[0])
    for citation in answer["citations"]:
        assert citation["quote"] in pages[citation["page"] - 1]


async def test_progress_is_reported_while_memorizing(engine: MemoRAG, allowed: Path) -> None:
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with connected(engine, allowed) as client:
        path = str(allowed / "mill.md")
        result = await client.call_tool("memorize_context", {"path": path}, progress_callback=on_progress)
    assert not result.is_error
    assert seen == sorted(set(seen))
    assert seen[-1] == 1.0


async def test_documents_are_added_and_removed_with_progress_and_the_resources_follow(
    engine: MemoRAG, allowed: Path, mode: Literal["auto", "legacy"]
) -> None:
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with connected(engine, allowed, mode) as client:
        await ok(client, "memorize_context", text=STORY, name="papers", title="Story")
        arguments = {"context_id": "papers", "path": str(allowed / "mill.md")}
        added = await client.call_tool("add_documents", arguments, progress_callback=on_progress)
        again = await ok(client, "add_documents", context_id="papers", text=STORY)
        listed = {resource.name for resource in (await client.list_resources()).resources}
        removed = await ok(client, "remove_document", context_id="papers", document_id="story")
        left = {resource.name for resource in (await client.list_resources()).resources}
    assert added.structured_content is not None
    assert [document["id"] for document in added.structured_content["context"]["documents"]] == ["story", "mill"]
    assert seen[-1] == 1.0
    assert again["context"]["cached"]
    assert listed - left == {"papers/story"}
    assert removed["context_id"] == "papers"
    assert [document["id"] for document in removed["context"]["documents"]] == ["mill"]


@pytest.mark.parametrize("tool", ["add_documents", "remove_document"])
async def test_a_change_tells_older_clients_that_the_resources_changed(
    engine: MemoRAG, allowed: Path, tool: str
) -> None:
    engine.memorize([from_text(STORY, "mill"), from_text(STORY[40:], "rest")], name="papers")
    told: list[str] = []

    async def hear(message: Any) -> None:
        told.append(type(message).__name__)

    arguments = {"add_documents": {"text": "At noon."}, "remove_document": {"document_id": "rest"}}[tool]
    async with Client(build_server(engine, [allowed]), mode="legacy", message_handler=hear) as client:
        await ok(client, tool, context_id="papers", **arguments)
        with anyio.fail_after(SECONDS):
            while "ResourceListChangedNotification" not in told:
                await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("add_documents", {"text": "a", "path": "b"}, "Give either text or path"),
        ("add_documents", {"path": "/etc/passwd"}, "outside the folders"),
        ("add_documents", {"text": " "}, "is empty"),
        ("remove_document", {"document_id": "x"}, "it has: 'mill'"),
        ("remove_document", {"document_id": "mill"}, "Forget 'papers' instead"),
        ("remove_document", {"document_id": "x", "context_id": "y"}, "The contexts here are: 'papers'"),
    ],
)
async def test_a_change_that_cannot_be_made_is_told_with_what_to_do(
    engine: MemoRAG, allowed: Path, tool: str, arguments: dict[str, str], message: str
) -> None:
    engine.memorize([from_text(STORY, "mill")], name="papers")
    async with connected(engine, allowed) as client:
        result = await client.call_tool(tool, {"context_id": "papers"} | arguments)
    assert result.is_error
    assert message in said(result)


async def test_a_cancelled_memorize_stops_and_leaves_nothing(
    engine: MemoRAG, allowed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memorag_mcp.jobs.job.SECONDS_BETWEEN_REPORTS", 0.0)
    started = anyio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        started.set()

    async with connected(engine, allowed) as client:
        async with anyio.create_task_group() as tasks:
            arguments = {"text": STORY * 200}
            tasks.start_soon(lambda: client.call_tool("memorize_context", arguments, progress_callback=on_progress))
            with anyio.fail_after(SECONDS):
                await started.wait()
            tasks.cancel_scope.cancel()
        small = await ok(client, "memorize_context", text=STORY, name="small")  # waits for the stopped one's lock
        assert small["context_id"] == "small"
        assert [c["context_id"] for c in (await ok(client, "list_contexts"))["contexts"]] == ["small"]


async def test_each_context_its_documents_and_its_chunks_are_resources(
    engine: MemoRAG, allowed: Path, mode: Literal["auto", "legacy"]
) -> None:
    info = engine.memorize([from_text(STORY, "Mühle 水車")], name="Mühle 水車")
    async with connected(engine, allowed, mode) as client:
        resources = {r.name: r for r in (await client.list_resources()).resources}
        texts = {name: (await client.read_resource(r.uri)).contents[0] for name, r in resources.items()}
        templates = (await client.list_resource_templates()).resource_templates
    document = f"{info.id}/{info.documents[0].id}"
    assert set(resources) == {info.id, document, f"{info.id}/chunks/1", f"{info.id}/summary"}
    assert "memory model" in str(resources[info.id].description)
    bodies = {name: getattr(content, "text", "") for name, content in texts.items()}
    assert bodies[f"{info.id}/{info.documents[0].id}"] == STORY
    assert json.loads(bodies[info.id])["context_id"] == info.id
    assert all(STORY[c["start"] : c["end"]] == c["text"] for c in json.loads(bodies[f"{info.id}/chunks/1"])["chunks"])
    assert json.loads(bodies[f"{info.id}/summary"])["task"] == "summarize"
    assert len(templates) == 4


@pytest.mark.parametrize(
    "rest", ["nothing", "nothing/documents/a", "mill/documents/a", "mill/chunks/9", "mill/chunks/x"]
)
async def test_a_resource_that_is_not_there_is_told_with_what_is(engine: MemoRAG, allowed: Path, rest: str) -> None:
    engine.memorize([from_text(STORY, "mill")])
    async with connected(engine, allowed) as client:
        with pytest.raises(MCPError, match="mill"):
            await client.read_resource(f"memorag://contexts/{rest}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": " \n"}, "empty; there is nothing to memorize"),
        ({"text": "a\0b"}, "NUL characters, so it is binary"),
        ({}, "Give either text or path"),
        ({"text": "a b c", "path": "b"}, "Give either text or path"),
        ({"path": "missing.txt"}, "no file or folder"),
        ({"path": "binary.bin"}, "binary file, not text"),
        ({"path": "latin.txt"}, "iconv"),
        ({"path": "page.pdf"}, "is damaged"),
        ({"url": "https://example.com/a"}, "Reading from the web is off"),
        ({"url": "file:///etc/passwd"}, "outside the folders"),
        ({"path": ".", "include": ["*.none"]}, "no file that matches"),
        ({"text": "a b c", "include": ["*.md"]}, "include and exclude choose among the files of a folder"),
        ({"path": "empty.txt"}, "empty; there is nothing to memorize"),
        ({"path": "huge.txt"}, "the limit is 50,000,000 characters"),
        ({"path": "../outside.txt"}, "outside the folders"),
        ({"path": "link.txt"}, "outside the folders"),
        ({"path": "/etc/passwd"}, "outside the folders"),
        ({"path": "mill.md\0.txt"}, "give a plain path"),
        ({"text": "a b c", "name": "///"}, "holds no letter or digit"),
    ],
)
async def test_bad_input_gets_a_message_that_says_what_to_do(
    engine: MemoRAG, allowed: Path, arguments: dict[str, Any], message: str
) -> None:
    (allowed / "page.pdf").write_bytes(b"%PDF-1.7 junk")
    (allowed / "binary.bin").write_bytes(b"\x7fELF\0\0\1")
    (allowed / "latin.txt").write_bytes(b"\xef\xbb\xbf" + "Straße".encode("latin-1"))
    (allowed / "empty.txt").touch()
    with (allowed / "huge.txt").open("wb") as file:
        file.truncate(300_000_000)
    outside = allowed.parent / "outside.txt"
    outside.write_text("secret", encoding="utf-8")
    (allowed / "link.txt").symlink_to(outside)
    given = {key: str(allowed / value) if key == "path" else value for key, value in arguments.items()}
    given |= {"path": given.pop("url")} if "url" in given else {}
    async with connected(engine, allowed) as client:
        result = await client.call_tool("memorize_context", given)
    assert result.is_error
    assert message in said(result)
    assert engine.contexts() == []


async def test_a_relative_path_is_looked_for_in_the_folders_that_may_be_read(engine: MemoRAG, allowed: Path) -> None:
    async with connected(engine, allowed) as client:
        memorized = await ok(client, "memorize_context", path="mill.md")
        missing = await client.call_tool("memorize_context", {"path": "none.md"})
    assert memorized["context"]["documents"][0]["source"] == str(allowed / "mill.md")
    assert "outside the folders" in said(missing)


@pytest.mark.parametrize("k", [-1, 1_000_000])
async def test_a_k_out_of_range_is_refused(engine: MemoRAG, allowed: Path, k: int) -> None:
    async with connected(engine, allowed) as client:
        result = await client.call_tool("retrieve_evidence", {"context_id": "a", "question": "b", "k": k})
    assert result.is_error
    limit = "less than or equal to 1000" if k > 0 else "greater than or equal to 1"
    assert said(result) == f"These arguments cannot be used: k: Input should be {limit}."


@pytest.mark.parametrize(
    ("argument", "value", "most"),
    [
        ("title", "t" * 301, "title: String should have at most 300 characters"),
        ("name", "n" * 301, "name: String should have at most 300 characters"),
        ("path", "p" * 4097, "path: String should have at most 4096 characters"),
        ("include", ["*.md"] * 101, "include: List should have at most 100 items"),
        ("include", ["*" * 301], "include.0: String should have at most 300 characters"),
    ],
)
async def test_what_is_too_long_to_be_a_name_is_refused(
    engine: MemoRAG, allowed: Path, argument: str, value: Any, most: str
) -> None:
    async with connected(engine, allowed) as client:
        result = await client.call_tool("memorize_context", {"text": STORY, argument: value})
        assert result.is_error
        assert most in said(result)
        assert len(said(result)) < 200
        assert engine.contexts() == []


async def test_an_unknown_context_is_told_with_the_ids_there_are(engine: MemoRAG, allowed: Path) -> None:
    engine.memorize([from_text(STORY, "mill")])
    async with connected(engine, allowed) as client:
        for tool in ("recall_clues", "retrieve_evidence", "answer"):
            result = await client.call_tool(tool, {"context_id": "nope", "question": QUESTION})
            assert said(result) == "There is no context 'nope'. The contexts here are: 'mill'."


async def test_a_damaged_context_is_listed_apart_with_what_to_do(engine: MemoRAG, allowed: Path) -> None:
    engine.memorize([from_text(STORY, "mill")])
    (engine.settings.store / "mill" / "manifest.json").write_text("[]", encoding="utf-8")
    async with connected(engine, allowed) as client:
        listed = await ok(client, "list_contexts")
    assert listed["contexts"] == []
    assert "memorag forget 'mill'" in listed["damaged"]["mill"]


async def test_a_listing_reads_each_context_once(
    engine: MemoRAG, allowed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.memorize([from_text(STORY, "mill")])
    engine.memorize([from_text(STORY, "mill")], "second")
    read, folders = Manifest.read, []

    def counted(folder: Path) -> Manifest:
        folders.append(folder.name)
        return read(folder)

    monkeypatch.setattr(Manifest, "read", counted)
    async with connected(engine, allowed) as client:
        listed = await ok(client, "list_contexts")
    assert [context["context_id"] for context in listed["contexts"]] == folders == ["mill", "second"]


async def test_a_folder_tells_what_of_it_was_not_read_and_why(
    engine: MemoRAG, allowed: Path, mode: Literal["auto", "legacy"]
) -> None:
    for name in ("todo.md", "node_modules/a/README.md", "plan.md"):
        (allowed / name).parent.mkdir(parents=True, exist_ok=True)
        (allowed / name).write_text("The plan." if name == "plan.md" else "")
    async with connected(engine, allowed, mode) as client:
        made = (await ok(client, "memorize_context", path=str(allowed), exclude="mill.*"))["context"]
    assert [one["id"] for one in made["documents"]] == ["plan"]
    assert made["left_out_count"] == len(made["left_out"]) == 2
    assert made["left_out"]["node_modules/"] == "packages of JavaScript"
    assert "is empty" in made["left_out"]["todo.md"]


async def test_a_changed_file_that_is_added_again_replaces_what_was_read_of_it(engine: MemoRAG, allowed: Path) -> None:
    file = allowed / "mill.md"
    async with connected(engine, allowed) as client:
        await ok(client, "memorize_context", path=str(file), name="mill")
        file.write_text("# The mill\n\nA berth costs 25 crowns.", encoding="utf-8")
        [changed] = (await ok(client, "add_documents", context_id="mill", path=str(file)))["context"]["documents"]
        again = await ok(client, "add_documents", context_id="mill", path=str(file))
        text = (await client.read_resource(changed["uri"])).contents[0]
    assert (changed["id"], getattr(text, "text", "")) == ("mill", "# The mill\n\nA berth costs 25 crowns.")
    assert "replaced what was read" in changed["notice"]
    assert again["context"]["cached"]


async def test_a_context_follows_its_folder_and_tells_what_became_of_it_and_what_was_not_read(
    engine: MemoRAG, allowed: Path, mode: Literal["auto", "legacy"]
) -> None:
    for name, text in {"ferry.md": "# Ferry\n\nAt six.", "light.md": "# Light\n\nWhite.", "todo.md": ""}.items():
        (allowed / name).write_text(text, encoding="utf-8")
    async with connected(engine, allowed, mode) as client:
        first = (await ok(client, "memorize_context", path=str(allowed), name="notes"))["context"]
        (allowed / "ferry.md").rename(allowed / "boat.md")
        (allowed / "light.md").unlink()
        (allowed / "mill.md").write_text("# The mill\n\nIt was sold in 1971.", encoding="utf-8")
        (allowed / "pilot.md").write_text("# Pilot\n\nOff Ardmouth.", encoding="utf-8")
        synced = (await ok(client, "sync_context", context_id="notes"))["context"]
        await ok(client, "memorize_context", text=STORY, name="told")
        refused = await client.call_tool("sync_context", {"context_id": "told"})
    assert (first["sources"], first["changes"], list(first["left_out"])) == ([str(allowed)], {}, ["todo.md"])
    assert synced["changes"] == {"added": 1, "replaced": 1, "removed": 1, "renamed": 1, "unchanged": 0}
    assert synced["changed"] == {"pilot": "added", "mill": "replaced", "light": "removed", "ferry": "renamed"}
    assert list(synced["left_out"]) == ["todo.md"]
    assert "does not know what files it was read from" in str(refused.content)


async def test_a_server_that_may_not_read_a_folder_any_more_keeps_what_was_read_and_says_why(
    engine: MemoRAG, allowed: Path, tmp_path: Path
) -> None:
    async with connected(engine, allowed) as client:
        await ok(client, "memorize_context", path=str(allowed), name="notes")
    async with connected(engine, tmp_path / "other") as client:
        refused = await client.call_tool("sync_context", {"context_id": "notes"})
        [listed] = (await ok(client, "list_contexts"))["contexts"]
    assert "outside the folders" in str(refused.content)
    assert listed["document_count"] == 1


async def test_what_a_question_needs_is_imported_while_nobody_asks_where_there_is_something_to_ask(
    engine: MemoRAG, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memorag_mcp.server.SETTLED", 0.0)
    imported = threading.Event()
    monkeypatch.setattr("memorag_core.runtime.import_libraries", imported.set)

    async def serve() -> None:
        with anyio.fail_after(SECONDS):
            await anyio.to_thread.run_sync(imported.wait, SECONDS)

    await serve_and_unload(serve, engine.shared, None, will_be_asked=True)
    assert imported.is_set()
