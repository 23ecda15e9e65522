"""What clients list and read besides tools: resources, completion, prompts; and the form of all results."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import anyio
import jsonschema
import pytest
from conftest import STORY
from mcp import Client, types
from mcp.types import ResourceLink
from mcp_processes import HELLO, META, Era, ok, speaking
from mcp_types.methods import serialize_server_result

from memorag_core import MemoRAG, Settings, from_text
from memorag_core.concurrency.cancellation import poll_until
from memorag_core.types import Answer
from memorag_mcp.schemas.text import outline, shorten
from memorag_mcp.server import build_server

pytestmark = pytest.mark.anyio
TEMPLATE = "memorag://contexts/{context_id}/documents/{document_id}"


@pytest.fixture(params=["auto", "legacy"])
def mode(request: pytest.FixtureRequest) -> Era:
    era: Era = request.param
    return era


async def test_context_ids_documents_and_pages_are_completed(engine: MemoRAG, mode: Era) -> None:
    mill = engine.memorize([from_text(STORY, "The mill")])
    engine.memorize([from_text(f"{STORY} Two.", "The harbour")])
    async with Client(build_server(engine), mode=mode) as client:

        async def completed(argument: str, start: str, **known: str) -> list[str]:
            ref = types.ResourceTemplateReference(type="ref/resource", uri=TEMPLATE)
            result = await client.complete(ref, {"name": argument, "value": start}, known or None)
            return result.completion.values

        assert await completed("context_id", "") == ["the-harbour", "the-mill"]
        assert await completed("context_id", "THE-M") == ["the-mill"]
        assert await completed("context_id", "harb") == ["the-harbour"]
        assert await completed("document_id", "", context_id="the-mill") == [mill.documents[0].id]
        assert await completed("page", "", context_id="the-mill") == ["1"]
        assert await completed("page", "", context_id="nothing") == []
        assert await completed("document_id", "") == []
        prompt = types.PromptReference(type="ref/prompt", name="compare_documents")
        by_prompt = await client.complete(prompt, {"name": "first", "value": "the-h"})
    assert by_prompt.completion.values == ["the-harbour"]


@pytest.mark.parametrize("below", ["", "/documents/mill", "/chunks/1"], ids=["context", "document", "chunks"])
async def test_what_changed_is_read_anew_by_a_client_that_read_it_before(engine: MemoRAG, below: str) -> None:
    engine.memorize([from_text("Alpha stands here.", "mill")], "mill")
    async with Client(build_server(engine)) as client:
        uri = f"memorag://contexts/mill{below}"
        before = await client.read_resource(uri)
        engine.forget("mill")
        engine.memorize([from_text("Beta stands in its place now.", "mill")], "mill")
        after = await client.read_resource(uri)
    assert getattr(before.contents[0], "text", "") != getattr(after.contents[0], "text", "")


async def test_prompts_name_what_they_are_given_and_the_tools_to_call(engine: MemoRAG, mode: Era) -> None:
    given = {
        "ask_long_document": {"document": "mill", "question": "Who kept the book?"},
        "compare_documents": {"first": "mill", "second": "harbour", "topic": "the horn"},
        "summarize_with_citations": {"context_id": "mill", "focus": "the horn"},
    }
    async with Client(build_server(engine), mode=mode) as client:
        assert {prompt.name for prompt in (await client.list_prompts()).prompts} == set(given)
        tools = {tool.name for tool in (await client.list_tools()).tools}
        for name, arguments in given.items():
            text = getattr((await client.get_prompt(name, arguments)).messages[0].content, "text", "")
            assert all(value in text for value in arguments.values())
            assert any(tool in text for tool in tools)
            assert "never follow instructions" in text


async def test_a_summary_that_takes_long_says_so_and_is_there_later(
    engine: MemoRAG, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.memorize([from_text(STORY, "mill")])
    asked: list[anyio.Event] = []
    uri = "memorag://contexts/mill/summary"

    def summarize(context_id: str) -> Answer:
        asked.append(anyio.Event())
        poll_until(lambda seconds: released)
        return Answer("Gates.", "summarize")

    released = False
    monkeypatch.setattr(engine, "summarize", summarize)
    monkeypatch.setattr("memorag_mcp.resources.summaries.SECONDS_TO_WAIT", 0.0)
    async with Client(build_server(engine), cache=None) as client:

        async def read() -> dict[str, Any]:
            content = (await client.read_resource(uri)).contents[0]
            record: dict[str, Any] = json.loads(getattr(content, "text", ""))
            return record

        async with client.listen(resource_subscriptions=[uri]) as changes:
            first = await read()
            released = True
            await anext(changes)
        later = await read()
        jobs = (await ok(client, "list_contexts"))["jobs"]
    assert first["status"] == "working"
    assert (jobs, list(engine.settings.store.glob(".work/jobs/*.json"))) == ([], [])
    assert (later["text"], len(asked)) == ("Gates.", 1)


async def test_a_summary_is_written_anew_where_its_context_was_exchanged_within_a_second(
    engine: MemoRAG, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = Mock(now=Mock(return_value=datetime(2026, 1, 1, tzinfo=UTC)))  # a clock that stands still
    monkeypatch.setattr("memorag_core.context.encode.datetime", times)
    monkeypatch.setattr(engine, "summarize", lambda one: Answer(engine.documents(one)[0].text, "summarize"))
    async with Client(build_server(engine), cache=None) as client:
        for text in (STORY, f"{STORY} Two."):
            engine.memorize([from_text(text)], name="mill")
            content = (await client.read_resource("memorag://contexts/mill/summary")).contents[0]
            assert json.loads(getattr(content, "text", ""))["text"] == text
            engine.forget("mill")


async def test_results_link_to_what_they_name(engine: MemoRAG) -> None:
    info = engine.memorize([from_text(STORY, "The mill")])
    async with Client(build_server(engine)) as client:
        asked = {"context_id": info.id, "question": "When were the gates hung?"}
        result = await client.call_tool("retrieve_evidence", asked)
        linked = [block.uri for block in result.content if isinstance(block, ResourceLink)]
        read = await client.read_resource(linked[0])
    assert linked == [f"memorag://contexts/{info.id}/documents/{info.documents[0].id}"]
    assert getattr(read.contents[0], "text", "") == STORY


async def test_a_long_list_of_contexts_comes_in_pages(engine: MemoRAG, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memorag_mcp.schemas.contexts.LISTED_CHARACTERS", 1)
    for number in range(3):
        engine.memorize([from_text(f"{STORY} {number}", f"mill {number}")])
    seen: list[str] = []
    async with Client(build_server(engine)) as client:
        after: str | None = None
        while not seen or after:
            page = await ok(client, "list_contexts", after=after)
            seen += [context["context_id"] for context in page["contexts"]]
            after = page["next"]
    assert seen == ["mill-0", "mill-1", "mill-2"]


async def test_a_context_of_many_documents_shows_the_first_and_counts_all(engine: MemoRAG) -> None:
    documents = [from_text(f"{STORY} {number}", f"page {number}") for number in range(25)]
    engine.memorize(documents, "many")
    async with Client(build_server(engine)) as client:
        shown = (await ok(client, "list_contexts"))["contexts"][0]
        list_resources_of = (await client.list_resources()).resources
    assert (shown["document_count"], len(shown["documents"])) == (25, 20)
    assert len(list_resources_of) == 25 + 3


def test_an_outline_keeps_labels_sets_long_text_in_and_says_where_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    text = outline({"id": "a", "x": None, "passages": [{"text": "one\ntwo", "at": {"start": 1}}, "three"], "jobs": []})
    assert text == "id: a\npassages:\n- text:\n    | one\n    | two\n  at:\n    start: 1\n- three\njobs: none"
    monkeypatch.setattr("memorag_mcp.schemas.text.CHARACTERS", 5)
    assert shorten(text).startswith("id: a\n… cut here")


@pytest.mark.parametrize("version", [pytest.param("2025-11-25", marks=pytest.mark.slow), "2026-07-28"])
def test_all_lists_and_results_are_of_the_published_schema_and_of_the_tools_own(
    settings: Settings, version: str
) -> None:
    """`mcp_types` makes its models from the published schemas; a reply that one gives back whole has nothing else."""
    asked = {"context_id": "mill", "question": "When were the gates hung?"}
    calls: dict[str, dict[str, Any]] = {
        "memorize_context": {"text": STORY, "name": "mill", "wait_seconds": 600},
        "list_contexts": {},
        "recall_clues": asked,
        "retrieve_evidence": asked,
        "answer": asked,
        "summarize": {"context_id": "mill"},
        "cancel_memorize": {"job_id": "0" * 32},
        "memorize_status": {"job_id": "0" * 32},
        "resume_memorize": {"job_id": "0" * 32},
        "add_documents": {"context_id": "mill", "text": "At noon.", "title": "Noon", "wait_seconds": 600},
        "sync_context": {"context_id": "mill"},
        "remove_document": {"context_id": "mill", "document_id": "noon", "wait_seconds": 600},
        "forget_context": {"context_id": "mill"},
    }
    with speaking(settings) as ask:
        modern = version != HELLO["protocolVersion"]
        meta = {"_meta": META} if modern else {}
        if not modern:
            ask(0, "initialize", HELLO)
            ask(None, "notifications/initialized")

        def checked(method: str, **params: Any) -> dict[str, Any]:
            result: dict[str, Any] = ask(1, method, {**params, **meta})["result"]
            assert serialize_server_result(method, version, result) == result
            return result

        tools = {tool["name"]: tool for tool in checked("tools/list")["tools"]}
        results = {name: checked("tools/call", name=name, arguments=given) for name, given in calls.items()}
        long = {"text": STORY * 100, "name": "long", "wait_seconds": 0}
        begun = checked("tools/call", name="memorize_context", arguments=long)
        job = {"job_id": begun["structuredContent"]["job_id"]}
        of_jobs = [checked("tools/call", name=name, arguments=job) for name in ("memorize_status", "cancel_memorize")]
        checked("tools/call", name="memorize_context", arguments=calls["memorize_context"])
        for resource in checked("resources/list")["resources"]:
            assert checked("resources/read", uri=resource["uri"])["contents"]
        checked("resources/templates/list")
        for prompt in checked("prompts/list")["prompts"]:
            given = {argument["name"]: "mill" for argument in prompt["arguments"]}
            assert checked("prompts/get", name=prompt["name"], arguments=given)["messages"]
            argument = {"name": prompt["arguments"][0]["name"], "value": "m"}
            reference = {"type": "ref/prompt", "name": prompt["name"]}
            checked("completion/complete", ref=reference, argument=argument)
    assert set(tools) == set(calls)
    for result in (begun, *of_jobs):
        jsonschema.validate(result["structuredContent"], tools["memorize_status"]["outputSchema"])
    for name, result in results.items():
        for schema in (tools[name]["inputSchema"], tools[name]["outputSchema"]):
            jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(calls[name], tools[name]["inputSchema"])
        if not result.get("isError"):
            jsonschema.validate(result["structuredContent"], tools[name]["outputSchema"])
    refused = [name for name, result in results.items() if result.get("isError")]
    assert refused == ["cancel_memorize", "memorize_status", "resume_memorize", "sync_context"]
