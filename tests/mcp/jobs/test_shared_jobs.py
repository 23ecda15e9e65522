"""Jobs whose records machines share: any of them tells of a job, cancels it, and resumes what was interrupted."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest
from gated import Wait, ignore, jobs_that_wait
from obstore.store import MemoryStore
from waits import wait_until

from memorag_core.errors import InputError
from memorag_mcp.jobs import shared_records
from memorag_mcp.jobs.manager import UnknownJob


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """An empty bucket, of servers that look for what they are to cancel all the time."""
    monkeypatch.setattr(shared_records, "SECONDS_BETWEEN_BEATS", 0.01)
    return MemoryStore()


def test_every_machine_tells_of_a_job_and_of_its_end(tmp_path: Path, bucket: MemoryStore) -> None:
    gate = Event()
    one, two = (jobs_that_wait(tmp_path / name, gate, bucket) for name in ("one", "two"))
    job = one.begin(Wait(), ignore)
    assert [record.id for record in two.unfinished()] == [job.record.id]
    assert two.record(job.record.id).status == "working"
    with pytest.raises(InputError, match="only what was interrupted can be resumed"):
        two.resume(job.record.id, ignore)
    gate.set()
    wait_until(lambda: two.record(job.record.id).status == "completed" and job.done)
    assert two.record(job.record.id).result == {"text": "wait"}
    one.drop(job)
    with pytest.raises(UnknownJob):
        two.record(job.record.id)
    for jobs in (one, two):
        jobs.close()


def test_a_job_is_cancelled_by_whichever_machine_is_asked_to(tmp_path: Path, bucket: MemoryStore) -> None:
    one, two = (jobs_that_wait(tmp_path / name, Event(), bucket) for name in ("one", "two"))
    job = one.begin(Wait(), ignore)
    job.told = True
    two.cancel(job.record.id)
    wait_until(lambda: two.record(job.record.id).status == "cancelled")
    wait_until(lambda: one.record(job.record.id).status == "cancelled")
    one.close()


@pytest.mark.parametrize("end", ["closed", "killed"])
def test_a_job_of_a_machine_that_is_gone_is_interrupted_and_another_one_resumes_it(
    tmp_path: Path, bucket: MemoryStore, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    gate = Event()
    dead, live = (jobs_that_wait(tmp_path / name, gate, bucket) for name in ("one", "two"))
    job = dead.begin(Wait(), ignore)
    if end == "closed":
        dead.close()
    else:
        monkeypatch.setattr(shared_records, "SECONDS_TO_LIVE", -1.0)
    assert live.record(job.record.id).status == "interrupted"
    assert live.record(job.record.id).resumable
    monkeypatch.setattr(shared_records, "SECONDS_TO_LIVE", 60.0)
    live.resume(job.record.id, ignore)
    gate.set()
    wait_until(lambda: live.record(job.record.id).status == "completed")
    for jobs in (live, dead):
        jobs.close()
