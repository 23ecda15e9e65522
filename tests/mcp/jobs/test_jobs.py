"""Long work as jobs: handles, status, failure, cancelling, lost clients, two servers on one store, Tasks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import pytest
from conftest import STORY
from gated import Gated, Wait, ignore, jobs_that_wait, reached
from mcp import Client, MCPError, types
from mcp.client import advertise
from mcp.shared.message import SessionMessage
from mcp_processes import Era, ok
from pydantic import ConfigDict
from waits import SECONDS

from memorag_core import MemoRAG, Settings
from memorag_core.errors import InputError
from memorag_core.types import Progress
from memorag_mcp.jobs.job import Job, JobRecord
from memorag_mcp.jobs.manager import Jobs, UnknownJob
from memorag_mcp.jobs.records import Records
from memorag_mcp.jobs.tasks_extension import IDENTIFIER
from memorag_mcp.server import build_server

pytestmark = pytest.mark.anyio


@pytest.fixture
def gated(settings: Settings) -> Iterator[Gated]:
    engine = Gated(settings)
    yield engine
    engine.gate.set()


@pytest.fixture(params=["auto", "legacy"])
def mode(request: pytest.FixtureRequest) -> Era:
    era: Era = request.param
    return era


async def test_work_that_takes_long_returns_a_handle_that_tells_progress_and_then_the_result(
    gated: Gated, mode: Era
) -> None:
    async with Client(build_server(gated), mode=mode) as client:
        begun = await ok(client, "memorize_context", text=STORY, name="mill", wait_seconds=0)
        await reached(gated.reached)
        working = await ok(client, "memorize_status", job_id=begun["job_id"], wait_seconds=0)
        listed = await ok(client, "list_contexts")
        gated.gate.set()
        done = await ok(client, "memorize_status", job_id=begun["job_id"], wait_seconds=50)
        after = await ok(client, "list_contexts")
    assert (begun["status"], begun["context_id"]) == ("working", None)
    assert begun["job_id"] in begun["next"]
    assert (working["stage"], working["progress"]) == ("encoding", 0.3333)
    assert [job["job_id"] for job in listed["jobs"]] == [begun["job_id"]]
    assert (done["status"], done["context_id"], done["progress"]) == ("completed", "mill", 1.0)
    assert after["jobs"] == []


async def test_a_failure_is_told_with_its_reason_whenever_it_is_asked_for(gated: Gated) -> None:
    gated.error = InputError("The ink is wet. Wait, then try again.")
    async with Client(build_server(gated)) as client:
        begun = await ok(client, "memorize_context", text=STORY, wait_seconds=0)
        gated.gate.set()
        told = [await ok(client, "memorize_status", job_id=begun["job_id"], wait_seconds=50) for _ in range(2)]
        at_once = await client.call_tool("memorize_context", {"text": STORY, "wait_seconds": 600})
    assert [(one["status"], one["reason"]) for one in told] == [("failed", "The ink is wet. Wait, then try again.")] * 2
    assert at_once.is_error
    assert "The ink is wet" in str(at_once.content)


async def test_what_nobody_foresaw_is_told_without_its_secrets(gated: Gated, caplog: pytest.LogCaptureFixture) -> None:
    gated.error = ZeroDivisionError("secret")
    gated.gate.set()
    async with Client(build_server(gated)) as client:
        result = await client.call_tool("memorize_context", {"text": STORY, "wait_seconds": 600})
    assert result.is_error
    assert "ZeroDivisionError" in str(result.content)
    assert "secret" not in str(result.content)
    assert "secret" in caplog.text


async def test_a_job_is_cancelled_and_leaves_no_context(gated: Gated, mode: Era) -> None:
    async with Client(build_server(gated), mode=mode) as client:
        begun = await ok(client, "memorize_context", text=STORY, wait_seconds=0)
        await reached(gated.reached)
        cancelled = await ok(client, "cancel_memorize", job_id=begun["job_id"])
        again = await ok(client, "cancel_memorize", job_id=begun["job_id"])
        listed = await ok(client, "list_contexts")
    assert (cancelled["status"], again["status"]) == ("cancelled", "cancelled")
    assert "nothing of it was kept" in cancelled["reason"]
    assert (listed["contexts"], listed["jobs"]) == ([], [])


async def test_a_cancelled_request_stops_its_job_and_leaves_no_record(gated: Gated, mode: Era) -> None:
    server = build_server(gated)
    async with Client(server, mode=mode) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "memorize_context", {"text": STORY, "wait_seconds": 50})
            await reached(gated.reached)
            tasks.cancel_scope.cancel()
        with anyio.fail_after(SECONDS):
            while server.jobs.at_work:
                await anyio.lowlevel.checkpoint()
    assert list(server.jobs.records.folder.glob("*.json")) == []
    assert gated.contexts() == []


async def test_a_job_that_is_slow_to_begin_keeps_nobody_waiting_and_can_be_cancelled_before_it_began(
    gated: Gated, mode: Era, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, beginning, may_begin, dropped = build_server(gated), Event(), Event(), Event()
    new, drop = server.jobs.records.new, server.jobs.records.drop

    def slow(what: str) -> JobRecord:
        beginning.set()
        assert may_begin.wait(SECONDS)
        return new(what)

    def dropping(job_id: str) -> None:
        drop(job_id)
        dropped.set()

    monkeypatch.setattr(server.jobs.records, "new", slow)
    monkeypatch.setattr(server.jobs.records, "drop", dropping)
    async with Client(server, mode=mode) as client, Client(server, mode=mode) as other:
        async with anyio.create_task_group() as tasks:
            request = anyio.CancelScope()

            async def memorize() -> None:
                with request:
                    await client.call_tool("memorize_context", {"text": STORY, "wait_seconds": 50})

            tasks.start_soon(memorize)
            await reached(beginning)
            listed = await ok(other, "list_contexts")
            request.cancel()
            await ok(other, "list_contexts")  # by now the cancel has come
            may_begin.set()
        await reached(dropped)
    assert listed["jobs"] == []
    assert list(server.jobs.records.folder.glob("*.json")) == []
    assert gated.contexts() == []


async def test_a_client_that_asked_for_progress_gets_its_result_in_one_call(
    gated: Gated, mode: Era, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memorag_mcp.jobs.run.SECONDS_TO_A_HANDLE", 0.0)
    messages: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        messages.append(message or "")
        gated.gate.set()

    streams = anyio.create_memory_object_stream[Any](0), anyio.create_memory_object_stream[Any](0)
    async with Client(Wire(build_server(gated), *streams), mode=mode) as client:
        result = await client.call_tool("memorize_context", {"text": STORY}, progress_callback=on_progress)
        begun = await client.call_tool("memorize_context", {"text": STORY + STORY})
    assert result.structured_content is not None
    assert result.structured_content["status"] == "completed"
    assert messages[0] == "encoding: 33%"
    assert begun.structured_content is not None
    assert begun.structured_content["status"] == "working"


class Wire:
    """A transport to a server in this process that frames messages, as a real one does."""

    def __init__(self, server: Any, to_server: Any, to_client: Any) -> None:
        self.server, self.to_server, self.to_client = server._lowlevel_server, to_server, to_client

    async def __aenter__(self) -> Any:
        self.tasks = anyio.create_task_group()
        await self.tasks.__aenter__()
        options = self.server.create_initialization_options()
        self.tasks.start_soon(self.server.run, self.to_server[1], self.to_client[0], options)
        return self.to_client[1], self.to_server[0]

    async def __aexit__(self, *error: Any) -> None:
        self.tasks.cancel_scope.cancel()
        await self.tasks.__aexit__(None, None, None)


async def test_a_job_outlives_the_connection_of_its_client(gated: Gated) -> None:
    server = build_server(gated)
    to_server, requests = anyio.create_memory_object_stream[Any](8)
    replies, from_server = anyio.create_memory_object_stream[Any](8)
    client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "lost", "version": "0"}}
    call = {"name": "memorize_context", "arguments": {"text": STORY, "name": "mill"}}
    async with anyio.create_task_group() as tasks, from_server:
        options = server._lowlevel_server.create_initialization_options()
        tasks.start_soon(server._lowlevel_server.run, requests, replies, options)
        async with to_server:
            await to_server.send(message(1, "initialize", client))
            await to_server.send(message(None, "notifications/initialized"))
            await to_server.send(message(2, "tools/call", call))
            await reached(gated.reached)
    gated.gate.set()
    async with Client(server) as other:
        with anyio.fail_after(SECONDS):
            while (await ok(other, "list_contexts"))["jobs"]:
                await anyio.lowlevel.checkpoint()
        assert [c["context_id"] for c in (await ok(other, "list_contexts"))["contexts"]] == ["mill"]


def message(number: int | None, method: str, params: dict[str, Any] | None = None) -> SessionMessage:
    if number is None:
        return SessionMessage(types.JSONRPCNotification(jsonrpc="2.0", method=method))
    return SessionMessage(types.JSONRPCRequest(jsonrpc="2.0", id=number, method=method, params=params))


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Callable[[], Jobs]]:
    """Makes the jobs of one more server on a store, where each `Wait` ends with the test."""
    gate = Event()
    yield lambda: jobs_that_wait(tmp_path, gate)
    gate.set()


def test_two_servers_on_one_store_tell_each_others_jobs_and_cancel_their_own_only(
    waiting: Callable[[], Jobs],
) -> None:
    one, other = waiting(), waiting()
    job = one.begin(Wait(), ignore)
    other.begin(Wait(), ignore)
    assert other.record(job.record.id).status == "working"
    with pytest.raises(InputError, match="another server"):
        other.cancel(job.record.id)
    one.close()
    assert other.record(job.record.id).status == "interrupted"
    assert [record.status for record in other.unfinished()] == ["interrupted", "working"]


async def test_a_server_waits_for_the_end_of_anothers_job_too(gated: Gated, settings: Settings) -> None:
    async with Client(build_server(gated)) as client, Client(build_server(MemoRAG(settings))) as other:
        begun = await ok(client, "memorize_context", text=STORY, name="mill", wait_seconds=0)
        await reached(gated.reached)
        working = await ok(other, "memorize_status", job_id=begun["job_id"], wait_seconds=0)
        gated.gate.set()
        done = await ok(other, "memorize_status", job_id=begun["job_id"], wait_seconds=50)
    assert (working["status"], done["status"], done["context_id"]) == ("working", "completed", "mill")


@pytest.mark.parametrize("job_id", ["", "../../etc/passwd", "0" * 32, "é" * 32, "a" * 10_000])
def test_an_unknown_job_is_told_with_what_to_do(tmp_path: Path, job_id: str) -> None:
    with pytest.raises(UnknownJob, match="list_contexts shows"):
        Jobs(Records(tmp_path)).record(job_id)
    with pytest.raises(UnknownJob, match="list_contexts shows"):
        Jobs(Records(tmp_path / "new")).resume(job_id, ignore)


def test_there_is_a_most_of_jobs_and_their_ids_cannot_be_guessed(
    waiting: Callable[[], Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memorag_mcp.jobs.manager.JOBS_AT_ONCE", 2)
    jobs = waiting()
    ids = {jobs.begin(Wait(), ignore).record.id for _ in range(2)}
    with pytest.raises(InputError, match="2 jobs are under way"):
        jobs.begin(Wait(), ignore)
    assert {len(one) for one in ids} == {32}


def test_old_records_and_locks_of_dead_servers_are_dropped(
    tmp_path: Path, waiting: Callable[[], Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memorag_mcp.jobs.records.KEPT", 3)
    old = tmp_path / f"{'0' * 32}.json"
    for number in range(5):
        path = tmp_path / f"{number:032}.json"
        path.write_text("{}")
        os.utime(path, (time.time() - number, time.time() - number))
    os.utime(old, (0, 0))
    (tmp_path / "dead.lock").touch()
    job = waiting().begin(Wait(), ignore)
    kept = {path.stem for path in tmp_path.glob("*.json")}
    assert kept == {job.record.id, *(f"{number:032}" for number in (1, 2, 3))}
    assert len(list(tmp_path.glob("*.lock"))) == 1


def test_the_time_left_follows_from_the_pace_since_the_first_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 110.0, 120.0])
    monkeypatch.setattr("memorag_mcp.jobs.job.time.monotonic", lambda: next(clock))
    job = Job(JobRecord(id="a", server="b", pid=1, what="c"), ignore)
    left = []
    for fraction in (0.0, 0.2, 0.4):
        job.report(Progress("encoding", 0, 1, fraction))
        left.append(job.record.seconds_left)
    assert left == [None, None, pytest.approx(30.0)]


def raw(client: Client, method: str, **params: Any) -> Any:
    """A request of the extension, which the client has no method for."""

    class Reply(types.Result):
        model_config = ConfigDict(extra="allow")

    class Params(types.RequestParams):
        model_config = ConfigDict(extra="allow")

    class Request(types.Request[Params, str]):
        method: str

    return client.session.send_request(Request(method=method, params=Params(**params)), Reply)


async def test_a_client_with_tasks_gets_a_task_that_it_can_watch_and_cancel(
    gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memorag_mcp.jobs.run.SECONDS_TO_A_TASK", 0.0)
    async with Client(build_server(gated), extensions=[advertise(IDENTIFIER)]) as client:
        tasks = [await raw(client, "tools/call", name="memorize_context", arguments={"text": STORY}) for _ in range(2)]
        working = await raw(client, "tasks/get", taskId=tasks[0].taskId)
        await raw(client, "tasks/update", taskId=tasks[0].taskId, inputResponses={"nothing": {}})
        await raw(client, "tasks/cancel", taskId=tasks[1].taskId)
        gated.gate.set()
        ended = [await ended_task(client, task.taskId) for task in tasks]
    assert [(task.resultType, task.status) for task in tasks] == [("task", "working")] * 2
    assert working.status == "working"
    assert [task.status for task in ended] == ["completed", "cancelled"]
    assert ended[0].result["structuredContent"]["context"]["chunks"] > 0


async def ended_task(client: Client, task: str) -> Any:
    with anyio.fail_after(SECONDS):
        while (state := await raw(client, "tasks/get", taskId=task)).status == "working":
            await anyio.lowlevel.checkpoint()
    return state


async def test_tasks_are_refused_to_clients_without_them(gated: Gated, mode: Era) -> None:
    async with Client(build_server(gated), mode=mode) as client:
        with pytest.raises(MCPError) as error:
            await raw(client, "tasks/get", taskId="0" * 32)
    assert error.value.error.code == (-32601 if mode == "legacy" else -32021)
