"""A cluster of Ray Serve: answers are those of a single process, whichever front is asked and replica is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from conftest import STORY, tiny_settings
from mcp import Client, MCPError
from mcp_processes import LOOPBACK, free_port, ok
from waits import SECONDS, wait_until

from memorag_core import MemoRAG, Settings
from memorag_core.context.shared import SharedStore
from memorag_mcp.cluster import PROXIES

sys.path.append(str(Path(__file__).parents[2] / "core" / "context"))
from stores import new_bucket

pytestmark = [pytest.mark.slow, pytest.mark.anyio]
QUESTION = "When were the gates hung?"
PATIENCE = {"RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60"}
"""Beside other tests, proxies need longer than Ray's five seconds to start, after which it begins anew."""
SERVE = """
import json, sys
from pathlib import Path
from memorag_core import Settings
from memorag_mcp.cluster.app import deploy
from memorag_mcp.http.address import ListenAddress
settings = Settings.of(**json.loads(sys.argv[1]))
deploy("local", settings, ListenAddress(Path("none"), port=int(sys.argv[2])))
print("ready", flush=True)
sys.stdin.read()
"""


@dataclass
class Cluster:
    """A cluster that serves: where, and over which store."""

    url: str
    settings: Settings
    process: psutil.Process

    def replicas(self, deployment: str) -> list[psutil.Process]:
        title = f"ray::ServeReplica:memorag:{deployment}"
        return [one for one in self.process.children(recursive=True) if "".join(one.cmdline()).startswith(title)]


@pytest.fixture(scope="module")
def cluster(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two fronts, a replica that answers and one that memorizes."""
    pytest.importorskip("ray")
    shared, variables = new_bucket()
    settings = tiny_settings(tiny_models, tmp_path_factory.mktemp("cluster")).model_copy(update={"shared": shared})
    port = free_port()
    command = [sys.executable, "-c", SERVE, settings.model_dump_json(exclude_unset=True), str(port)]
    environment = os.environ | variables | PROXIES | PATIENCE | {"RAY_USAGE_STATS_ENABLED": "0"}
    pipe = subprocess.PIPE
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
            assert process.stdout is not None
            assert any(line == "ready\n" for line in process.stdout), "it ended before it served"
            ray = psutil.Process(process.pid)
            try:
                yield Cluster(f"http://{LOOPBACK}:{port}/mcp", settings, ray)
            finally:
                left = [one for one in ray.children(recursive=True) if one.name() == "haproxy"]
                process.communicate()
                for one in left:
                    with suppress(psutil.NoSuchProcess):
                        one.kill()


async def call(cluster: Cluster, tool: str, era: Any = "auto", **arguments: Any) -> dict[str, Any]:
    """What a tool returns to a client of its own."""
    with anyio.fail_after(2 * SECONDS):
        async with Client(cluster.url, mode=era) as client:
            return await ok(client, tool, **arguments)


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_an_answer_is_that_of_a_single_process(cluster: Cluster, era: str) -> None:
    made = await call(cluster, "memorize_context", era, text=STORY, name=f"mill-{era}")
    assert made["status"] == "completed"
    answer = await call(cluster, "answer", era, context_id=f"mill-{era}", question=QUESTION)
    alone = MemoRAG(cluster.settings.model_copy(update={"store": cluster.settings.store.with_name("alone")}))
    assert isinstance(alone.store, SharedStore)
    assert answer["text"] == alone.answer(f"mill-{era}", QUESTION).text
    summary = await call(cluster, "summarize", era, context_id=f"mill-{era}")
    assert summary["text"] == alone.summarize(f"mill-{era}").text


async def test_every_front_tells_of_a_job_and_has_no_models(cluster: Cluster) -> None:
    text = "\n\n".join(f"On day {day} the ferry sailed to harbour {day * 7}." for day in range(400))
    job = await call(cluster, "memorize_context", text=text, name="ferry", wait_seconds=0)
    states = [await call(cluster, "memorize_status", job_id=job["job_id"]) for _ in range(6)]
    assert {state["status"] for state in states} <= {"working", "completed"}
    await call(cluster, "memorize_status", job_id=job["job_id"], wait_seconds=50)
    assert "ferry" in str(await call(cluster, "list_contexts"))
    for front in cluster.replicas("fronts"):
        assert not [one.path for one in front.memory_maps() if "libtorch" in one.path]


async def test_what_is_wrong_is_told_as_by_a_single_process(cluster: Cluster) -> None:
    async with Client(cluster.url) as client:
        result = await client.call_tool("answer", {"context_id": "nobody", "question": QUESTION})
        assert "There is no context 'nobody'. The contexts here are:" in str(result.content)
        result = await client.call_tool("memorize_context", {"path": "/etc/passwd"})
        assert "is outside the folders this server may read (none)" in str(result.content)


async def ask(cluster: Cluster) -> str:
    """The answer, or "again" where the client is told to try again."""
    try:
        async with Client(cluster.url) as client:
            result = await client.call_tool("answer", {"context_id": "mill", "question": QUESTION})
    except (MCPError, ExceptionGroup) as error:
        said = repr(error)
    else:
        if not result.is_error:
            return str((result.structured_content or {})["text"])
        said = str(result.content)
    return "again" if "Try again" in said else said


@pytest.mark.parametrize("after", [0, 0.05, 0.1])
@pytest.mark.parametrize("lost", ["questions", "fronts"])
async def test_what_is_lost_costs_no_context_and_no_wrong_answer(cluster: Cluster, lost: str, after: float) -> None:
    await call(cluster, "memorize_context", text=STORY, name="mill")
    right = (await call(cluster, "answer", context_id="mill", question=QUESTION))["text"]
    before = cluster.replicas(lost)
    told = list[str]()

    async def ask_and_tell() -> None:
        told.append(await ask(cluster))

    with anyio.fail_after(2 * SECONDS):
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(ask_and_tell)
            await anyio.sleep(after)
            for process in before:
                process.send_signal(signal.SIGKILL)
    assert set(told) <= {right, "again"}
    wait_until(lambda: {one.pid for one in cluster.replicas(lost)} - {one.pid for one in before})
    with anyio.fail_after(2 * SECONDS):
        while await ask(cluster) != right:
            await anyio.sleep(0.5)
