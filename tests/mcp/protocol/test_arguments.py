"""Arguments in the shapes that hosts send: each is taken as it was meant, or refused with words that say what to do."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from conftest import STORY, tiny_settings
from mcp import Client
from mcp_processes import Era, ok

from memorag_core import MemoRAG, from_text
from memorag_mcp.protocol.tool_schemas import list_shortly
from memorag_mcp.server import build_server

pytestmark = pytest.mark.anyio

ASKED = {"context_id": "mill", "question": "Who kept the book?"}
LEFT_OUT: list[Any] = ["", "null", None]
Q, A, R, S, M = "retrieve_evidence", "answer", "recall_clues", "summarize", "memorize_context"
ONE = ["mill"]
BOTH = ["mill", "øst"]
OST = unicodedata.normalize("NFD", "øst")  # decomposed where the letters allow it

QUESTIONS: list[tuple[str, dict[str, Any], list[str]]] = [
    (Q, {**ASKED, "k": None, "tokens": None, "more_contexts": None, "use_clues": None}, ONE),
    (Q, {**ASKED, "reason": "because", "limit": 1}, ONE),
    *((Q, {**ASKED, "k": k}, ONE) for k in (*LEFT_OUT, "2", " 2 ", 2.0, "2.0", "None", 0, "undefined", [])),
    *((Q, {**ASKED, "tokens": tokens}, ONE) for tokens in ("64", "", None, "null", 64.0, 0)),
    *((Q, {**ASKED, "use_clues": said}, ONE) for said in ("false", "False", "", 0, "no", "null", None)),
    *((Q, {**ASKED, "more_contexts": said}, ONE) for said in (*LEFT_OUT, [], "[]", [""], [None], ["mill"], "mill", {})),
    *(
        (Q, {**ASKED, "more_contexts": said}, BOTH)
        for said in (
            "øst",
            ["øst"],
            '["øst"]',
            '"øst"',
            "mill, øst",
            ["Øst"],
            [OST],
            "memorag://contexts/øst",
            f"memorag://contexts/{quote('øst')}",
            [f"memorag://contexts/{quote('øst')}/documents/{quote('øst')}"],
            ["", "øst", None],
        )
    ),
    *(
        (Q, {**ASKED, "context_id": said}, ONE)
        for said in (
            " mill ",
            "Mill",
            "MILL",
            '"mill"',
            "'mill'",
            "`mill`",
            "memorag://contexts/mill",
            "memorag://contexts/mill/",
            " memorag://contexts/mill ",
            "memorag://contexts/mill/chunks/1",
            ["mill"],
            "ｍｉｌｌ",
        )
    ),
    *(
        (Q, {**ASKED, "question": said}, ONE)
        for said in (1963, "1963", '{"q": "book"}', {"q": "book"}, ["Who kept it?"], "???", "null", True, '["a", "b"]')
    ),
    *((Q, {**ASKED, "only": said}, ONE) for said in (*LEFT_OUT, {}, "{}", [], {"documents": None, "since": ""})),
    *(
        (tool, {**ASKED, "only": said}, ONE)
        for tool, said in (
            (Q, {"documents": ["mill"]}),
            (A, {"documents": "Mill", "first_page": None}),
            (R, '{"documents": ["mill"]}'),
            (Q, {"documents": '["mill"]', "kinds": "txt", "last_page": ""}),
            (Q, {"documents": ["memorag://contexts/mill/documents/mill"], "folders": []}),
        )
    ),
    *((A, {**ASKED, "task": said}, ONE) for said in (None, "", "MemoRAG", " memorag ", "memorag")),
    (A, {**ASKED, "use_memory_answer": None}, ONE),
    (A, {**ASKED, "use_memory_answer": "false", "more_contexts": "null"}, ONE),
    (R, {**ASKED, "more_contexts": ""}, ONE),
    *((S, {"context_id": "mill", "words": said}, ONE) for said in (None, "", "30", 30.0, 0)),
    *((S, {"context_id": "mill", "words": 30, "focus": said}, ONE) for said in ("", None, "[1]", 1963, "null")),
]

TEXTS: list[tuple[Any, str | None]] = [
    ('{"valve": {"pressure_bar": 7}}', None),
    ('["the valve", "the pump"]', None),
    ("null", None),
    ("1931", None),
    ("true", None),
    ('"the valve is red"', None),
    ("[", None),
    ('{"a": 1}\n{"a": 2}', None),
    ({"valve": 7}, '{"valve": 7}'),
    (["the valve", "the pump"], '["the valve", "the pump"]'),
    (["the valve"], "the valve"),
    (1931, "1931"),
    (False, "false"),
    ("  The year was dry.\n", None),
]
BESIDE_A_TEXT: list[dict[str, Any]] = [
    {"path": ""},
    {"path": None},
    {"path": "  "},
    {"include": []},
    {"include": ""},
    {"include": "null"},
    {"name": ""},
    {"name": None},
    {"name": "2024"},
    {"name": 2025},
    {"title": ""},
    {"title": "[1]"},
    {"title": 1931},
    {"title": None},
    {"title": "null"},
    {"wait_seconds": "60"},
    {"wait_seconds": None},
    {"wait_seconds": ""},
]
INCLUDED: list[tuple[Any, list[str]]] = [
    ("*.md", ["b"]),
    (["*.md"], ["b"]),
    ('["*.md"]', ["b"]),
    ("", ["a-pump-å", "b"]),
    ([""], ["a-pump-å", "b"]),
    (None, ["a-pump-å", "b"]),
    ("null", ["a-pump-å", "b"]),
    (["*.md", None], ["b"]),
]
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (M, {"text": ""}, "Give either text or path"),
    (M, {"text": None, "path": "null."}, "outside the folders"),
    (M, {"text": "The year was wet.", "name": "{}"}, "no letter or digit"),
    (Q, {**ASKED, "k": 5000}, "k: Input should be less than or equal to 1000"),
    (Q, {**ASKED, "k": "many"}, "k: Input should be a valid integer"),
    (Q, {**ASKED, "tokens": 8}, "tokens: Input should be greater than or equal to 16"),
    (Q, {**ASKED, "question": " "}, "question or topic is empty"),
    (Q, {**ASKED, "question": None}, "question: Input should be a valid string"),
    (Q, {"context_id": "mill", "query": "pilot"}, "question: Field required"),
    (Q, {**ASKED, "context_id": ""}, "no context ''"),
    (Q, {**ASKED, "context_id": {"id": "mill"}}, "no context"),
    (A, {**ASKED, "task": "rag"}, "task: Input should be"),
    (Q, {**ASKED, "only": {"documents": ["hill"]}}, "No document is called 'hill', of 1 that were left to choose"),
    (A, {**ASKED, "only": {"kinds": ["pdf"]}}, "is of the kind 'pdf', of 1 that were left to choose from: txt"),
    (R, {**ASKED, "only": {"since": "yesterday"}}, "is no date here"),
    (Q, {**ASKED, "only": {"page": 3}}, "page: Extra inputs are not permitted"),
    (S, {"context_id": "mill", "words": 10}, "words: Input should be greater than or equal to 20"),
    ("memorize_status", {"job_id": ' "abc" '}, "no job 'abc'"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose files have names that are hard to send."""
    folder = tmp_path / "in here"
    folder.mkdir()
    (folder / "a pump å.txt").write_text("The pump is blue.", encoding="utf-8")
    (folder / "b.md").write_text("The valve is red.", encoding="utf-8")
    (folder / "100%25.txt").write_text("The gate is grey.", encoding="utf-8")
    return folder


@pytest.fixture
async def asking(tiny_models: Path, tmp_path: Path, folder: Path, era: Era) -> AsyncIterator[Client]:
    """A client of a server that may read the folder and holds two contexts."""
    engine = MemoRAG(tiny_settings(tiny_models, tmp_path).model_copy(update={"memory": "none"}))
    for name in BOTH:
        engine.memorize([from_text(f"{STORY} {name}", name)], name)
    async with Client(build_server(engine, [folder]), mode=era) as client:
        yield client


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> Era:
    """Both eras of the protocol."""
    chosen: Era = request.param
    return chosen


async def read(client: Client, made: dict[str, Any]) -> list[str]:
    """The texts of a context's documents."""
    contents = [(await client.read_resource(one["uri"])).contents[0] for one in made["context"]["documents"]]
    return [str(getattr(content, "text", "")) for content in contents]


async def test_questions_are_taken_in_the_shapes_that_hosts_send(asking: Client) -> None:
    wrong = []
    for tool, arguments, expected in QUESTIONS:
        result = await asking.call_tool(tool, arguments)
        got = result.structured_content or {}
        if result.is_error or [got["context_id"], *(got["more_contexts"] or [])] != expected:
            wrong.append((tool, arguments, result.content))
    assert wrong == []


async def test_any_text_is_a_text(asking: Client) -> None:
    for sent, expected in TEXTS:
        made = await ok(asking, M, text=sent)
        assert await read(asking, made) == [sent if expected is None else expected]


async def test_what_is_empty_beside_a_text_is_left_out(asking: Client) -> None:
    for number, beside in enumerate(BESIDE_A_TEXT):
        made = await ok(asking, M, text=f"The year {number} was dry.", **beside)
        assert await read(asking, made) == [f"The year {number} was dry."]
    named = await ok(asking, M, text="The year was odd.", name=2024.5, title='["a title"]')
    assert (named["context_id"], named["context"]["title"]) == ("2024-5", '["a title"]')


async def test_a_path_is_found_however_it_is_written(asking: Client, folder: Path) -> None:
    file = folder / "a pump å.txt"
    ways = [
        str(file),
        f" {file}\n",
        f'"{file}"',
        f"'{file}'",
        f"`{file}`",
        file.as_uri(),
        f"file://localhost{quote(str(file))}",
        f"FILE://{quote(str(file))}",
        quote(str(file)),
        unicodedata.normalize("NFD", str(file)),
        quote(unicodedata.normalize("NFD", str(file))),
        "a pump å.txt",
        "a%20pump%20%C3%A5.txt",
        [str(file)],
    ]
    for way in ways:
        assert await read(asking, await ok(asking, M, path=way, text="")) == ["The pump is blue."], way
    assert await read(asking, await ok(asking, M, path="100%25.txt")) == ["The gate is grey."]


async def test_patterns_come_as_a_list_or_alone(asking: Client, folder: Path) -> None:
    (folder / "100%25.txt").unlink()
    for number, (sent, expected) in enumerate(INCLUDED):
        (folder / "b.md").write_text(f"The valve is number {number}.", encoding="utf-8")
        made = await ok(asking, M, path=str(folder), include=sent)
        assert [one["id"] for one in made["context"]["documents"]] == expected


async def test_what_cannot_be_meant_is_refused_in_words(asking: Client) -> None:
    for tool, arguments, expected in REFUSED:
        result = await asking.call_tool(tool, arguments)
        assert result.is_error, (tool, arguments)
        assert expected in str(getattr(result.content[0], "text", "")), (tool, arguments)


async def test_a_document_is_named_by_its_id_its_title_or_its_uri(asking: Client) -> None:
    await ok(asking, "add_documents", context_id="mill", text="One.", title="One note")
    await ok(asking, "add_documents", context_id="mill", text="Two.", title="Two notes")
    await ok(asking, "remove_document", context_id="mill", document_id="One note")
    uri = "memorag://contexts/mill/documents/two-notes"
    left = await ok(asking, "remove_document", context_id="memorag://contexts/mill", document_id=uri)
    assert left["context"]["document_count"] == 1


async def test_a_client_reads_a_document_as_it_is_after_a_tool_replaced_it(asking: Client) -> None:
    uri = "memorag://contexts/mill/documents/note"
    for text in ("Alpha: the pump is red.", "Beta: the pump is blue now."):
        await ok(asking, "add_documents", context_id="mill", text=text, title="Note")
        assert getattr((await asking.read_resource(uri)).contents[0], "text", "") == text
        await ok(asking, "remove_document", context_id="mill", document_id="note")


async def test_what_tools_return_is_told_once(asking: Client) -> None:
    tools = (await asking.list_tools()).tools
    told = [json.dumps(tool.output_schema) for tool in tools]
    assert sum(map(len, told)) < 30_000  # 42,000 where each told all of it again, without left_out
    assert all(schema.count('"type": "object"') for schema in told)
    assert list_shortly(tools)[0].output_schema
    words = [part.split('"')[1] for schema in told for part in schema.split('"description": ')[1:]]
    assert len(words) == len(set(words))
