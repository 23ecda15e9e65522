"""Stores of each kind to test: a folder, and a bucket that machines share, in memory or at a real S3 server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest
from obstore.store import MemoryStore, from_url

from memorag_core.config import MANIFEST
from memorag_core.context.manifest import Manifest
from memorag_core.context.shared import SharedStore
from memorag_core.context.store import ContextStore
from memorag_core.context.versions import Versions

KINDS = ["folder", "bucket", pytest.param("s3", marks=pytest.mark.slow)]
only_folders = pytest.mark.parametrize("store", ["folder"], indirect=True)
only_buckets = pytest.mark.parametrize("store", KINDS[1:], indirect=True)


@cache
def s3_address() -> str:
    """The address of a server that speaks S3, one for all tests of the process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


def new_bucket() -> tuple[str, dict[str, str]]:
    """Make an empty bucket there; returns its URL, and the variables that lead to it."""
    import boto3

    keys = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_REGION": "us-east-1"}
    bucket, address = f"memories-{uuid4().hex}", s3_address()
    user = boto3.Session("tests", "tests", region_name="us-east-1")
    user.client("s3", endpoint_url=address).create_bucket(Bucket=bucket)
    return f"s3://{bucket}/of/tests", keys | {"AWS_ENDPOINT": address, "AWS_ALLOW_HTTP": "true"}


@contextmanager
def open_kind(kind: str, root: Path) -> Iterator[ContextStore]:
    """An empty store of a kind."""
    if kind == "folder":
        yield ContextStore(root)
    elif kind == "bucket":
        yield SharedStore(root, Versions(MemoryStore(), "memory"))
    else:
        url, variables = new_bucket()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            yield SharedStore(root, Versions(from_url(url), url))


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ContextStore]:
    """An empty store, of each kind in turn."""
    with open_kind(request.param, tmp_path / "store") as opened:
        yield opened


def elsewhere(store: ContextStore, machine: str = "elsewhere") -> ContextStore:
    """The same store from another machine, which has no copies yet; of a folder, the folder from another process."""
    if not isinstance(store, SharedStore):
        return ContextStore(store.root)
    return SharedStore(store.root.with_name(machine), Versions(store.versions.bucket, machine))


def do_damage(store: ContextStore, context_id: str, damage: Callable[[Path], None]) -> None:
    """Damage what is stored of a context as `damage` does it to its folder."""
    if not isinstance(store, SharedStore):
        damage(store.root / context_id)
        return
    files = Manifest.read(store.folder(context_id)).files
    folder = store.root.with_name("damaged")
    shutil.copytree(store.root / context_id, folder)
    damage(folder)
    bucket = store.versions.bucket
    manifest = folder / MANIFEST
    bucket.put(f"heads/{context_id}.json", manifest.read_bytes() if manifest.exists() else b"")
    for name, entry in files.items():
        if (folder / name).exists():
            bucket.put(f"blobs/{entry.sha256}", (folder / name).read_bytes())
        else:
            bucket.delete(f"blobs/{entry.sha256}")
