"""The main job on the real embedded models: a client, a server process, a document, cited answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLES, SHARED
from documents import write_pdf
from mcp_processes import ok, over_http, over_stdio, whole_answer

from memorag_core import MemoRAG, Settings, from_path
from memorag_core.config import default_models_dir

pytestmark = pytest.mark.anyio
LONG = SHARED / "eval" / "loogle_shortdep_qa" / "doc0.txt"
SAMPLE = SAMPLES / "harrow-sound.md"
REPORT = "## Report upon the Tide Mill"


@pytest.fixture
def tiny(tmp_path: Path) -> Settings:
    """The embedded default, over an empty store."""
    return Settings.of(profile="tiny", device="cpu", store=tmp_path / "store", models_dir=default_models_dir())


async def test_a_client_memorizes_a_report_and_gets_a_cited_answer(tiny: Settings, tmp_path: Path) -> None:
    text = SAMPLE.read_text(encoding="utf-8")
    report = text[(start := text.index(REPORT)) : start + 2000]
    (tmp_path / "report.md").write_text(report, encoding="utf-8")
    async with over_stdio(tiny, "auto", tmp_path) as client:
        context = await ok(client, "memorize_context", path=str(tmp_path / "report.md"))
        again = await ok(client, "memorize_context", text=report)
        asked = {"context_id": context["context_id"], "question": "How long is the causeway of the mill pond?"}
        answer = await ok(client, "answer", **asked)
    assert (context["context"]["cached"], again["context"]["cached"]) == (False, True)
    assert again["context_id"] == context["context_id"]
    assert "212 yards" in " ".join(citation["quote"] for citation in answer["citations"])
    assert all(report[c["start"] : c["end"]] == c["quote"] for c in answer["citations"])


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["stdio", "sse", "http"])
async def test_a_long_document_is_memorized_and_is_still_there_after_a_restart(tiny: Settings, transport: str) -> None:
    path = LONG if LONG.is_file() else SAMPLE
    text = path.read_bytes().decode()
    question = "What subjects did Picardo illustrate?" if LONG.is_file() else "How long is the causeway?"

    def connect() -> Any:
        allow = path.parent
        return over_stdio(tiny, "auto", allow) if transport == "stdio" else over_http(tiny, transport, "legacy", allow)

    async with connect() as client:
        tools = (await client.list_tools()).tools
        assert all(tool.description and tool.annotations and tool.output_schema for tool in tools)
        context = await ok(client, "memorize_context", path=str(path))
        assert context["context_id"] in {resource.name for resource in (await client.list_resources()).resources}
        evidence = await ok(client, "retrieve_evidence", context_id=context["context_id"], question=question)
        assert evidence["passages"]
        assert all(text[p["start"] : p["end"]] == p["text"] for p in evidence["passages"])
        first = await whole_answer(client, context["context_id"], question, text)
    async with connect() as client:
        assert (await ok(client, "memorize_context", path=str(path)))["context"]["cached"]
        assert await whole_answer(client, context["context_id"], question, text) == first


@pytest.mark.slow
async def test_the_page_of_a_fact_in_a_pdf_of_200_pages_is_cited(tiny: Settings, tmp_path: Path) -> None:
    """The facts are alike but for their names; the real embedder finds the one asked for."""
    keepers = ["Amos", "Silas", "Edith", "Harriet", "Jabez"]
    pages = [f"In {1700 + number} the book was kept by {keepers[number % 5]}." for number in range(1, 201)]
    pages[136] = "Lightning struck the lighthouse, and its keeper, Obadiah Finch, lost his parrot."
    write_pdf(tmp_path / "book.pdf", pages)
    async with over_stdio(tiny, "auto", tmp_path) as client:
        context = await ok(client, "memorize_context", path=str(tmp_path / "book.pdf"))
        asked = {"context_id": context["context_id"], "question": "What did the keeper of the lighthouse lose?"}
        answer = await ok(client, "answer", **asked)
    found = [citation["page"] for citation in answer["citations"] if "parrot" in citation["quote"]]
    assert found == [137]


@pytest.mark.slow
def test_loading_takes_at_most_a_thirtieth_of_encoding(tiny: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    """Both are printed by the engine in one run; the wide margin (thousands) makes the ratio safe to assert."""
    said: list[str] = []
    engine = MemoRAG(tiny, said.append)
    info = engine.memorize(from_path(LONG if LONG.is_file() else SAMPLE, 10**7))
    engine.context(info.id)
    loaded = float(said[-1].split(" in ")[1].split(" s;")[0])
    with capfd.disabled():
        sys.stdout.write(f"\n{said[-1]}; ratio 1/{info.encode_seconds / loaded:.0f}\n")
    assert loaded * 30 <= info.encode_seconds


@pytest.mark.slow
def test_the_samples_questions_find_their_evidence(tiny: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    """Every passage is verbatim; the share of evidence found is printed, and is at least half for single questions."""
    text = SAMPLE.read_text(encoding="utf-8")
    engine = MemoRAG(tiny)
    info = engine.memorize(from_path(SAMPLE, 10**7))
    found: dict[str, list[bool]] = {"single": [], "multi": []}
    for line in SAMPLE.with_suffix(".questions.jsonl").read_text(encoding="utf-8").splitlines():
        question = json.loads(line)
        passages = engine.retrieve(info.id, question["question"], engine.recall(info.id, question["question"]))
        assert all(text[p.chunk.start : p.chunk.end] == p.chunk.text for p in passages)
        for start, end in question["evidence"]:
            covered = sum(max(0, min(end, p.chunk.end) - max(start, p.chunk.start)) for p in passages)
            found[question["type"]].append(covered * 2 > end - start)
    with capfd.disabled():
        sys.stdout.write("\n" + ", ".join(f"{kind}: {sum(f)} of {len(f)} spans" for kind, f in found.items()) + "\n")
    assert sum(found["single"]) * 2 >= len(found["single"])
