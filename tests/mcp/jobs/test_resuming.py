"""Work that was interrupted because its server ended: told, resumed by one call, by one server, or given up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import anyio
import pytest
from conftest import STORY
from gated import Gated, Wait, ignore, jobs_that_wait, reached
from mcp import Client
from mcp_processes import jobs_folder, ok, over_stdio, recorded
from waits import SECONDS

from memorag_core import MemoRAG, Settings
from memorag_core.errors import InputError
from memorag_mcp.jobs.job import Job
from memorag_mcp.jobs.manager import Jobs
from memorag_mcp.jobs.records import Records
from memorag_mcp.server import build_server
from memorag_mcp.tools.calls import MemorizeContext

pytestmark = pytest.mark.anyio


@pytest.fixture
def gated(settings: Settings) -> Iterator[Gated]:
    engine = Gated(settings)
    yield engine
    engine.gate.set()


@pytest.mark.slow
async def test_a_job_of_a_killed_server_is_told_as_interrupted_by_the_next_and_resumed_there(
    settings: Settings,
) -> None:
    text = STORY * 100
    with anyio.CancelScope() as scope:
        async with over_stdio(settings) as client:
            begun = await ok(client, "memorize_context", text=text, name="long", wait_seconds=0)
            with anyio.fail_after(SECONDS):
                while not (record := recorded(settings, begun["job_id"])).resumable:
                    await anyio.lowlevel.checkpoint()
            os.kill(record.pid, 9)
            scope.cancel()
    async with over_stdio(settings) as client:
        told = await ok(client, "memorize_status", job_id=begun["job_id"])
        listed = await ok(client, "list_contexts")
        resumed = await ok(client, "resume_memorize", job_id=told["job_id"])
        after = await ok(client, "list_contexts")
    assert told["status"] == "interrupted"
    assert "resume_memorize" in told["reason"]
    assert "resume_memorize" in told["next"]
    assert [(job["status"], job["job_id"]) for job in listed["jobs"]] == [("interrupted", begun["job_id"])]
    assert listed["contexts"] == []
    assert (resumed["status"], resumed["context"]["documents"][0]["characters"]) == ("completed", len(text))
    assert ([context["context_id"] for context in after["contexts"]], after["jobs"]) == (["long"], [])
    assert list(jobs_folder(settings).glob("*.call")) == []


async def interrupted(gated: Gated, allow: Path, **arguments: Any) -> str:
    """A job whose server ended while it was at work; its id."""
    server = build_server(gated, [allow])
    async with Client(server) as client:
        begun = await ok(client, "memorize_context", **arguments, wait_seconds=0)
        await reached(gated.reached)
        await anyio.to_thread.run_sync(server.jobs.close)
    return str(begun["job_id"])


async def test_what_is_resumed_is_read_again_within_what_the_new_server_may_read(
    gated: Gated, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mill.md").write_text(STORY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    job = await interrupted(gated, tmp_path, path="mill.md")
    monkeypatch.chdir("/")
    async with Client(build_server(MemoRAG(settings), [tmp_path / "other"])) as client:
        refused = await client.call_tool("resume_memorize", {"job_id": job})
    job = await interrupted(gated, tmp_path, path=str(tmp_path / "mill.md"))
    async with Client(build_server(MemoRAG(settings), [tmp_path])) as client:
        resumed = await ok(client, "resume_memorize", job_id=job)
    assert "outside the folders" in str(refused.content)
    assert resumed["context_id"] == "mill"


async def test_an_interrupted_job_is_given_up_with_what_was_kept_of_it(
    gated: Gated, settings: Settings, tmp_path: Path
) -> None:
    job = await interrupted(gated, tmp_path, text=STORY)
    kept = [path.stem for path in jobs_folder(settings).glob("*.call")]
    async with Client(build_server(MemoRAG(settings))) as client:
        cancelled = await ok(client, "cancel_memorize", job_id=job)
        again = await client.call_tool("resume_memorize", {"job_id": job})
        listed = await ok(client, "list_contexts")
    assert kept == [job]
    assert list(jobs_folder(settings).glob("*.call")) == []
    assert (cancelled["status"], cancelled["job_id"], listed["jobs"]) == ("cancelled", None, [])
    assert "only what was interrupted can be resumed" in str(again.content)


def test_of_two_servers_that_resume_a_job_at_once_one_does(tmp_path: Path) -> None:
    gate = Event()
    dead = jobs_that_wait(tmp_path, gate)
    job = dead.begin(Wait(), ignore)
    dead.close()
    answers: list[Job | InputError] = []

    def resume(jobs: Jobs) -> None:
        try:
            answers.append(jobs.resume(job.record.id, ignore))
        except InputError as error:
            answers.append(error)

    threads = [Thread(target=resume, args=(jobs_that_wait(tmp_path, gate),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    gate.set()
    [resumed] = [answer for answer in answers if isinstance(answer, Job)]
    assert resumed.record.id == job.record.id
    assert {str(answer) for answer in answers if answer is not resumed} == {
        "The job is working; only what was interrupted can be resumed."
    }


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (None, "is not kept"),
        ("{", "cannot be read"),
        ('{"tool": "unknown", "arguments": {}}', "cannot be read"),
        ('{"tool": "wait", "arguments": {"of a later version": 1}}', "cannot be read"),
    ],
)
def test_a_job_whose_call_is_not_kept_or_not_understood_says_so_and_stays_as_it_was(
    tmp_path: Path, kept: str | None, told: str
) -> None:
    dead = jobs_that_wait(tmp_path, Event())
    job = dead.begin(Wait(), ignore)
    dead.close()
    call = tmp_path / f"{job.record.id}.call"
    call.unlink() if kept is None else call.write_text(kept)
    after = jobs_that_wait(tmp_path, Event())
    with pytest.raises(InputError, match=told):
        after.resume(job.record.id, ignore)
    assert after.record(job.record.id).status == "interrupted"


def test_a_job_that_cannot_be_resumed_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wait, "recorded", False)
    dead = jobs_that_wait(tmp_path, Event())
    job = dead.begin(Wait(), ignore)
    dead.close()
    assert "Call the tool again" in (job.record.reason or "")


def test_a_call_is_read_back_as_its_tool_took_it(tmp_path: Path) -> None:
    records = Records(tmp_path)
    call = MemorizeContext(path="/notes", include=["*.md"], name="notes")
    kept = records.keep_call("a", call)
    assert kept
    assert records.call("a", {MemorizeContext.tool: MemorizeContext}) == call


def test_jobs_that_begin_at_once_are_all_recorded(tmp_path: Path) -> None:
    gate, together = Event(), Barrier(8)
    jobs = jobs_that_wait(tmp_path / "new", gate)

    def begin() -> None:
        together.wait(SECONDS)
        jobs.begin(Wait(), ignore)

    threads = [Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    recorded = {record.status for record in Jobs(Records(tmp_path / "new")).unfinished()}
    assert (len(jobs.records.ids()), recorded) == (8, {"working"})
    gate.set()
