"""The server as its own process: stdio, SSE and streamable HTTP, both eras, restarts, kills, two on one store."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest
from conftest import STORY, tiny_settings
from mcp import Client
from mcp_processes import HELLO, LOOPBACK, TOOLS, Era, command, ok, over_http, over_stdio, served, whole_answer

from memorag_core import MemoRAG, Settings, from_text

pytestmark = pytest.mark.anyio
ERAS: list[Era] = ["auto", "legacy"]
QUESTION = "When were the gates hung?"


@pytest.fixture(scope="module")
def http_port(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of one streamable HTTP server that the tests below share."""
    with served(tiny_settings(tiny_models, tmp_path_factory.mktemp("shared")), "http") as port:
        yield port


async def whole_job(client: Client) -> None:
    assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
    context = await ok(client, "memorize_context", text=STORY, name="mill")
    assert context["context_id"] == "mill"
    assert "mill" in {resource.name for resource in (await client.list_resources()).resources}
    await whole_answer(client, "mill", QUESTION, STORY)


@pytest.mark.slow
async def test_the_whole_job_over_stdio_and_again_after_a_restart_without_encoding(settings: Settings) -> None:
    async with over_stdio(settings, "auto") as client:
        await whole_job(client)
        first = await ok(client, "answer", context_id="mill", question=QUESTION)
    async with over_stdio(settings, "legacy") as client:
        assert (await ok(client, "memorize_context", text=STORY, name="mill"))["context"]["cached"]
        assert await ok(client, "answer", context_id="mill", question=QUESTION) == first


@pytest.mark.slow
async def test_the_whole_job_over_streamable_http_for_clients_of_both_eras(http_port: int) -> None:
    for era in ERAS:
        async with Client(f"http://{LOOPBACK}:{http_port}/mcp", mode=era) as client:
            await whole_job(client)


@pytest.mark.slow
async def test_the_whole_job_over_sse(settings: Settings) -> None:
    async with over_http(settings, "sse", "legacy") as client:
        await whole_job(client)


@pytest.mark.skipif(os.name != "posix", reason="an event loop hears signals on POSIX only")
def test_an_interrupt_ends_stdio_though_the_client_keeps_it_open(settings: Settings) -> None:
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, *command(settings)], stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(hello) + "\n")
        server.stdin.flush()
        assert json.loads(server.stdout.readline())["id"] == 1
        server.send_signal(signal.SIGINT)
        try:
            assert server.wait(20) == 130
        finally:
            server.kill()


@pytest.mark.slow
async def test_two_servers_on_one_store_memorize_the_same_and_different_texts_at_once(settings: Settings) -> None:
    texts = [STORY, *(f"{STORY} And so on, {n} times." for n in range(3))]
    async with over_stdio(settings) as one, over_stdio(settings) as other, anyio.create_task_group() as tasks:
        for client in (one, other):
            for text in texts:
                tasks.start_soon(partial(ok, client, "memorize_context", text=text))
    engine = MemoRAG(settings)
    assert sorted(engine.documents(info.id)[0].text for info in engine.contexts()) == sorted(texts)
    assert engine.damaged() == {}
    assert all(engine.context(info.id) for info in engine.contexts())


@pytest.mark.slow
async def test_ten_clients_at_once_each_get_their_own_context(http_port: int) -> None:
    async def work(number: int) -> None:
        async with Client(f"http://{LOOPBACK}:{http_port}/mcp") as client:
            text = f"Client {number} wrote this. {STORY}"
            context = await ok(client, "memorize_context", text=text, name=f"client {number}")
            found = await ok(client, "retrieve_evidence", context_id=context["context_id"], question=f"client {number}")
            assert all(text[p["start"] : p["end"]] == p["text"] for p in found["passages"])

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(work, number)
    async with Client(f"http://{LOOPBACK}:{http_port}/mcp") as client:
        listed = {context["context_id"] for context in (await ok(client, "list_contexts"))["contexts"]}
    assert listed >= {f"client-{number}" for number in range(10)}


async def test_a_forged_host_or_origin_is_refused(http_port: int) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for header in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        reply = httpx.post(f"http://{LOOPBACK}:{http_port}/mcp", json=body, headers=header)
        assert reply.status_code in {403, 421}


def test_serving_beyond_this_machine_is_refused(settings: Settings) -> None:
    arguments = command(settings, "--transport", "http", "--host", "0.0.0.0")
    run = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "authentic" in run.stderr


@pytest.mark.slow
def test_killed_twenty_times_while_memorizing_the_store_keeps_whole_contexts_only(settings: Settings) -> None:
    """One child memorizes text after text; it is killed at a random moment after it has begun one."""
    code = (
        "import json, sys; from memorag_core import MemoRAG, Settings, from_text\n"
        "engine = MemoRAG(Settings.model_validate_json(sys.argv[1]))\n"
        "for n in range(1000):\n"
        "    print(n, flush=True)\n"
        "    engine.memorize([from_text(f'{sys.argv[2]} {n}. ' + sys.argv[3], f'run {sys.argv[2]} text {n}')])\n"
    )
    chance = random.Random(7)
    before = 0
    for number in range(20):
        arguments = [settings.model_dump_json(), str(number), STORY * 5]
        with subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for _ in range(2):
                child.stdout.readline()
            kill_after(child, chance.random())
        engine = MemoRAG(settings)
        contexts = engine.contexts()
        assert engine.damaged() == {}
        assert len(contexts) > before
        before = len(contexts)
    assert all(engine.context(info.id) for info in contexts)
    assert engine.memorize([from_text(STORY, "after")]).id == "after"
    engine.store.sweep()
    kept = [path for path in (settings.store / ".work").iterdir() if path.is_dir()]  # work that may be gone on with
    assert {part.name for path in kept for part in path.iterdir()} <= {"journal"}


def kill_after(child: subprocess.Popen[bytes], seconds: float) -> None:
    """Let it work for a moment, then kill it."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
