"""HTTP for a team, and attacks on it: tokens, owners, Host and Origin, sizes and depths, health, metrics, the end."""

from __future__ import annotations

import json
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import httpx2
import pytest
from conftest import STORY, tiny_settings
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp_processes import LOOPBACK, Era, command, free_port, listener, ok, resident, served
from typer.testing import CliRunner
from waits import SECONDS, wait_until

from memorag_core import Settings, from_path
from memorag_core.errors import InputError
from memorag_mcp.cli import app
from memorag_mcp.commands.doctor import examine
from memorag_mcp.http.address import EVERY_ADDRESS, ListenAddress
from memorag_mcp.http.tokens import Tokens, owner_folder, tokens_file
from memorag_mcp.server import run

pytestmark = pytest.mark.anyio
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
EVERYWHERE = "0.0.0.0"
NAME = "memory.example:80"
TRANSPORTS = ["http", pytest.param("sse", marks=pytest.mark.slow)]


class Team:
    """A server with two owners that listens on every address, and how to reach it."""

    def __init__(self, settings: Settings, port: int, tokens: dict[str, str], transport: str = "http") -> None:
        self.settings, self.port, self.tokens, self.transport = settings, port, tokens, transport
        self.where = f"http://{LOOPBACK}:{port}"

    def headers(self, owner: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[owner]}"}

    @asynccontextmanager
    async def client(self, owner: str, era: Era = "auto") -> AsyncIterator[Client]:
        async with httpx2.AsyncClient(headers=self.headers(owner), timeout=60) as http:
            transport: Any = streamable_http_client(f"{self.where}/mcp", http_client=http)
            if self.transport == "sse":
                transport = sse_client(f"{self.where}/sse", self.headers(owner))
            async with Client(transport, mode=era) as client:
                yield client

    @contextmanager
    def endpoint(self, headers: dict[str, str]) -> Iterator[str]:
        """Where messages are sent to; over SSE, that of a session whose stream is open."""
        if self.transport == "http":
            yield "/mcp"
            return
        with httpx.stream("GET", f"{self.where}/sse", headers=headers, timeout=SECONDS) as stream:
            lines = stream.iter_lines()
            yield next(line for line in lines if line.startswith("data: ")).removeprefix("data: ")

    def post(self, path: str = "/mcp", **more: Any) -> httpx.Response:
        return httpx.post(f"{self.where}{path}", **({"json": PING} | more))


def tokens_in(settings: Settings) -> dict[str, str]:
    tokens = Tokens(tokens_file(settings.store, None))
    return {name: tokens.add(name) for name in ("ann", "bob")}


@pytest.fixture(scope="module", params=TRANSPORTS)
def team(request: pytest.FixtureRequest, tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    settings = tiny_settings(tiny_models, tmp_path_factory.mktemp("team"))
    tokens = tokens_in(settings)
    with served(settings, request.param, "--host", EVERYWHERE, "--allowed-host", NAME) as port:
        yield Team(settings, port, tokens, request.param)


@pytest.mark.parametrize("era", ["auto", pytest.param("legacy", marks=pytest.mark.slow)])
async def test_each_owner_sees_and_touches_own_contexts_and_jobs_only(team: Team, era: Era) -> None:
    async with team.client("ann", era) as ann, team.client("bob", era) as bob:
        await ok(ann, "memorize_context", text=f"{STORY} Of Ann, {era}.", name="diary")
        job = await ok(ann, "memorize_context", text=f"{STORY} Long, {era}. " * 60, name=f"long {era}", wait_seconds=0)
        await ok(bob, "memorize_context", text="Snow lay on the hill.", name="hill")
        listed = await ok(bob, "list_contexts")
        assert ("diary" in str(listed), job["job_id"] in str(listed)) == (False, False)
        for tool in ("answer", "retrieve_evidence", "recall_clues"):
            assert "no context 'diary'" in await refused(bob, tool, context_id="diary", question="What?")
            for also, meant in (("diary", "diary"), ("../of=ann/diary", "of-ann-diary")):
                own = {"context_id": "hill", "question": "Whose?", "more_contexts": [also]}
                assert f"no context '{meant}'" in await refused(bob, tool, **own)
        for tool in ("summarize", "forget_context"):
            assert "no context 'diary'" in await refused(bob, tool, context_id="diary")
        for tool in ("memorize_status", "cancel_memorize", "resume_memorize"):
            assert "no job" in await refused(bob, tool, job_id=job["job_id"])
        assert "memorag://contexts/diary" not in {str(one.uri) for one in (await bob.list_resources()).resources}
        for uri in ("memorag://contexts/diary", "memorag://contexts/diary/documents/diary"):
            with pytest.raises(MCPError, match="no context 'diary'"):
                await bob.read_resource(uri)
        assert (await ok(ann, "memorize_status", job_id=job["job_id"]))["status"] in {"working", "completed"}
        await ok(bob, "memorize_context", text=f"{STORY} Of Bob.", name="diary")
        found = await ok(bob, "retrieve_evidence", context_id="diary", question="Whose?")
        assert "Of Bob" in str(found)
        assert "Ann" not in str(found)
        await ok(bob, "forget_context", context_id="diary")
        assert "diary" in str(await ok(ann, "list_contexts"))
        await ok(ann, "cancel_memorize", job_id=job["job_id"])
        await ok(ann, "forget_context", context_id="diary")


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content)


async def test_a_session_of_one_owner_is_none_to_another(team: Team) -> None:
    if team.transport == "sse":
        with team.endpoint(team.headers("ann")) as path:
            assert [team.post(path, headers=team.headers(who)).status_code for who in ("ann", "bob")] == [202, 404]
        return
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"},
        },
    }
    accepted = {"Accept": "application/json, text/event-stream"}
    opened = team.post(json=hello, headers=team.headers("ann") | accepted)
    session = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "Mcp-Protocol-Version": "2025-11-25"}
    own, others = (team.post(headers=team.headers(who) | accepted | session).status_code for who in ("ann", "bob"))
    assert (own, others) == (200, 404)


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", "Basic YW5uOmFubg==", "Bearer é"])
@pytest.mark.parametrize("path", ["/mcp", "/metrics", "/nothing", "/messages/"])
def test_without_a_token_of_its_own_nobody_comes_in(team: Team, authorization: str | None, path: str) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    reply = team.post(path, headers=headers)
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token")
    assert reply.headers["www-authenticate"].startswith("Bearer")


def test_numbers_have_a_token_of_their_own_that_is_for_nothing_else(team: Team) -> None:
    tokens = Tokens(tokens_file(team.settings.store, None))
    scraper = {"Authorization": f"Bearer {tokens.add('metrics')}"}
    try:
        assert httpx.get(f"{team.where}/metrics", headers=scraper).status_code == 200
        assert httpx.get(f"{team.where}/metrics", headers=team.headers("ann")).status_code == 403
        assert team.post(headers=scraper).status_code == 403
    finally:
        tokens.remove("metrics")
    assert httpx.get(f"{team.where}/metrics", headers=team.headers("ann")).status_code == 200


def test_a_token_is_taken_away_and_given_while_the_server_runs(team: Team) -> None:
    tokens = Tokens(tokens_file(team.settings.store, None))
    fresh = {"Authorization": f"Bearer {tokens.add('carl')}"}
    assert httpx.get(f"{team.where}/metrics", headers=fresh).status_code == 200
    tokens.remove("carl")
    assert httpx.get(f"{team.where}/metrics", headers=fresh).status_code == 401
    written = tokens.path.read_text()
    tokens.path.write_text(f"{written}nonsense\n")
    assert httpx.get(f"{team.where}/metrics", headers=team.headers("ann")).status_code == 401
    tokens.path.write_text(written)
    assert httpx.get(f"{team.where}/metrics", headers=team.headers("ann")).status_code == 200


def test_an_open_stream_ends_when_its_token_is_taken_away(team: Team) -> None:
    tokens = Tokens(tokens_file(team.settings.store, None))
    fresh = {"Authorization": f"Bearer {tokens.add('dora')}"}
    if team.transport == "http":
        tokens.remove("dora")
        assert team.post(headers=fresh).status_code == 401
        return
    with httpx.stream("GET", f"{team.where}/sse", headers=fresh, timeout=SECONDS) as stream:
        lines = stream.iter_lines()
        next(lines)
        tokens.remove("dora")
        assert not [line for line in lines if line.startswith("event")]  # it ends


FORGED = [
    {"Host": "evil.example"},
    {"Host": "127.0.0.1.evil.example:80"},
    {"Host": ""},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
]


@pytest.mark.parametrize("header", FORGED, ids=str)
@pytest.mark.parametrize("path", ["/mcp", "/metrics", "/sse"])
def test_a_forged_host_or_origin_is_refused_though_the_token_is_right(
    team: Team, header: dict[str, str], path: str
) -> None:
    assert team.post(path, headers=team.headers("ann") | header).status_code in {400, 403, 421}


def test_the_name_that_was_allowed_is_accepted(team: Team) -> None:
    reply = httpx.get(f"{team.where}/metrics", headers=team.headers("ann") | {"Host": NAME})
    assert reply.status_code == 200


@pytest.mark.parametrize("host", [LOOPBACK, "localhost", "::1", EVERYWHERE, "::"])
@pytest.mark.parametrize("transport", ["http", "sse"])
@pytest.mark.parametrize("header", FORGED, ids=str)
def test_a_forged_host_or_origin_is_refused_on_every_bind(
    bound: Callable[[str, str], str], host: str, transport: str, header: dict[str, str]
) -> None:
    for path in ("/mcp", "/sse", "/messages/?session_id=" + "0" * 32, "/metrics"):
        reply = httpx.post(
            f"{bound(transport, host)}{path}", json=PING, headers=header
        )  # before any token is asked for
        assert reply.status_code in {400, 403, 421}


@pytest.fixture(scope="module")
def bound(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], str]]:
    """Where a server listens, by transport and host; each started once, in this process, without a model."""
    import threading

    import uvicorn

    from memorag_core.runtime import Runtime
    from memorag_mcp.http.app import application

    running: dict[tuple[str, str], tuple[uvicorn.Server, threading.Thread, str]] = {}
    settings = tiny_settings(tiny_models, tmp_path_factory.mktemp("bound"))
    shared = Runtime(settings, print)
    tokens_in(settings)

    def at(transport: Any, host: str) -> str:
        if (transport, host) not in running:
            port = free_port()
            tokens = tokens_file(settings.store, None if host in EVERY_ADDRESS else Path("none"))
            app = application(no_server, shared, ListenAddress(tokens, host, port, [NAME]), transport)
            server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="error", ws="none"))
            thread = threading.Thread(target=server.run)
            thread.start()
            wait_until(lambda: server.started)
            reached = {EVERYWHERE: LOOPBACK, "::": "[::1]", "::1": "[::1]"}.get(host, host)
            running[transport, host] = (server, thread, f"http://{reached}:{port}")
        return running[transport, host][2]

    yield at
    for server, thread, _ in running.values():
        server.should_exit = True
        thread.join(SECONDS)


def no_server(owner: str) -> Any:
    raise AssertionError("a refused request reaches no server")


@pytest.mark.parametrize("told", [True, False])
def test_a_gigabyte_is_refused_early_and_without_memory(team: Team, told: bool) -> None:
    """Sent as fast as it is taken, its length told or not; the reply comes long before the end."""
    before, sent = resident(team.port), 0
    length = f"Content-Length: {1 << 30}" if told else "Transfer-Encoding: chunked"
    authorization = f"Authorization: {team.headers('ann')['Authorization']}"
    kind = "Content-Type: application/json\r\nAccept: application/json, text/event-stream"
    piece = b"a" * (1 << 20)
    framed = piece if told else b"%x\r\n%s\r\n" % (len(piece), piece)
    with (
        team.endpoint(team.headers("ann")) as path,
        socket.create_connection((LOOPBACK, team.port)) as wire,
    ):
        head = f"POST {path} HTTP/1.1\r\nHost: {LOOPBACK}:{team.port}\r\n{authorization}\r\n{kind}\r\n{length}\r\n\r\n"
        wire.sendall(head.encode())
        while sent < 1 << 30 and not select.select([wire], [], [], 0)[0]:
            wire.sendall(framed)
            sent += len(piece)
        reply = wire.recv(64)
    assert sent < 1 << 28
    assert b"413" in reply
    assert resident(team.port) - before < 200 << 20
    assert httpx.get(f"{team.where}/healthz").text == "ok\n"


@pytest.mark.parametrize("depth", [1000, 1_000_000])
@pytest.mark.parametrize("where", ["body", "arguments"])
def test_deeply_nested_json_harms_nobody(team: Team, depth: int, where: str) -> None:
    nest = b'{"a":' * depth + b"1" + b"}" * depth
    call = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"answer","arguments":%s}}' % nest
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    body = nest if where == "body" else call
    with team.endpoint(team.headers("ann")) as path:
        reply = team.post(path, json=None, content=body, headers=team.headers("ann") | headers, timeout=60)
    assert 400 <= reply.status_code < 500 or (team.transport, reply.status_code) == ("sse", 202)
    assert httpx.get(f"{team.where}/healthz").text == "ok\n"


@pytest.mark.parametrize("body", [b'{"a":1' + b"0" * 1_000_000 + b"}", b'["' + b"\\u0000" * 500_000 + b'"]', b"[" * 9])
def test_huge_json_of_other_shapes_harms_nobody(team: Team, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    with team.endpoint(team.headers("ann")) as path:
        reply = team.post(path, json=None, content=body, headers=team.headers("ann") | headers, timeout=60)
    assert 400 <= reply.status_code < 500 or (team.transport, reply.status_code) == ("sse", 202)
    assert httpx.get(f"{team.where}/healthz").text == "ok\n"


def test_nested_json_over_stdio_harms_nobody(settings: Settings) -> None:
    nest = '{"a":' * 100_000 + "1" + "}" * 100_000
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        nest,
        json.dumps({"jsonrpc": "2.0", "id": 2, "method": "ping"}),
    ]
    with subprocess.Popen(
        [sys.executable, *command(settings)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin
        assert server.stdout
        server.stdin.write("\n".join(lines) + "\n")
        server.stdin.flush()
        while (message := json.loads(server.stdout.readline())).get("id") != 2:
            pass
        server.stdin.close()
    assert message["result"] == {}


def test_health_is_told_to_all_and_numbers_to_those_with_a_token(team: Team) -> None:
    assert httpx.get(f"{team.where}/healthz", headers={"Host": "10.0.0.7:80"}).text == "ok\n"
    assert httpx.get(f"{team.where}/metrics").status_code == 401
    told = httpx.get(f"{team.where}/metrics", headers=team.headers("bob")).text
    numbers = dict(line.split(" ") for line in told.splitlines() if not line.startswith("#"))
    assert float(numbers['memorag_requests_total{status="401"}']) > 0
    assert float(numbers["memorag_resident_bytes"]) > 1 << 20
    assert numbers.keys() >= {"memorag_jobs_at_work", "memorag_queue_waiting", "memorag_warm_contexts"}
    assert not [name for name in (*team.tokens, *team.tokens.values()) if name in told]


@pytest.mark.slow
async def test_told_to_end_it_stops_its_jobs_and_tells_them_as_interrupted(settings: Settings) -> None:
    tokens = tokens_in(settings)
    with served(settings, "http") as port:
        async with Team(settings, port, tokens).client("ann") as client:
            job = await ok(client, "memorize_context", text=STORY * 300, name="long", wait_seconds=0)
        listener(port).send_signal(signal.SIGTERM)
    record = json.loads((owner_folder(settings.store, "ann") / f".work/jobs/{job['job_id']}.json").read_text())
    assert (record["status"], record["result"]) == ("interrupted", None)


def test_tokens_are_kept_as_hashes_in_a_file_of_its_owner(settings: Settings) -> None:
    invoke = CliRunner().invoke
    store = ["--store", str(settings.store)]
    added = invoke(app, ["token", "add", "Ann Lee", *store])
    token, path = added.stdout.strip(), tokens_file(settings.store, None)
    assert path.read_text().startswith("ann-lee:")
    assert token not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert Tokens(path).owner(token) == "ann-lee"
    assert Tokens(path).owner(f"{token}x") is None
    again = invoke(app, ["token", "add", "ann lee", *store]).stdout.strip()
    assert {Tokens(path).owner(one) for one in (token, again)} == {"ann-lee"}
    assert invoke(app, ["token", "list", *store]).stdout == "ann-lee\n"
    assert invoke(app, ["token", "remove", "ann-lee", *store]).exit_code == 0
    assert Tokens(path).owner(token) is None
    assert "has no token" in invoke(app, ["token", "remove", "ann-lee", *store]).stderr
    assert "no letter or digit" in invoke(app, ["token", "add", "../..", *store]).stderr


def test_what_a_killed_change_of_tokens_leaves_is_no_document_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = Tokens(tmp_path / "team")
    (tmp_path / "notes.md").write_text("My own notes.")
    with monkeypatch.context() as killed:
        killed.setattr("os.replace", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tokens.add("ann")
    left = {path.name for path in tmp_path.iterdir()} - {"notes.md"}
    assert left
    assert left <= {path.name for path in tokens.files}
    assert [document.title for document in from_path(tmp_path, 10_000, ["*"], tokens.files)] == ["notes"]
    assert tokens.owner(tokens.add("bob")) == "bob"


@pytest.mark.parametrize(
    ("host", "tokens", "names", "message"),
    [
        (EVERYWHERE, False, (), "authenticated.*memorag token add"),
        ("192.0.2.7", False, (), "authenticated"),
        ("some.name", False, (), "authenticated"),
        (EVERYWHERE, True, (), "--allowed-host"),
        ("::", True, (), "--allowed-host"),
    ],
)
def test_an_address_that_others_reach_needs_tokens_and_a_name(
    settings: Settings, host: str, tokens: bool, names: tuple[str, ...], message: str
) -> None:
    if tokens:
        tokens_in(settings)
    with pytest.raises(InputError, match=message):
        ListenAddress(tokens_file(settings.store, None), host, 80, names).require_tokens()


def test_a_port_that_is_taken_is_told_before_anything_starts_and_by_the_doctor(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr("memorag_mcp.commands.doctor.ListenAddress", partial(ListenAddress, port=port))
        with pytest.raises(InputError, match=f"{LOOPBACK}, port {port}.*--port"):
            run(settings, "http", ListenAddress(tokens_file(settings.store, None), port=port))
        before = {check.what: check for check in examine(settings)}[f"port {port}"]
    after = {check.what: check for check in examine(settings)}[f"port {port}"]
    assert (before.state, "--port" in before.todo, after.state) == ("note", True, "ok")
    with pytest.raises(InputError, match="--host"):
        ListenAddress(tokens_file(settings.store, None), "192.0.2.7").check_free()


@pytest.mark.parametrize("line", ["ann", "ann:abc", f"../ann:{'0' * 64}", f"Ann:{'0' * 64}", f":{'0' * 64}"])
def test_a_line_that_is_no_token_is_told(tmp_path: Path, line: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"ok:{'0' * 64}\n{line}\n")
    with pytest.raises(InputError, match="memorag token add NAME"):
        Tokens(path).entries()


def test_where_there_can_be_no_file_of_tokens_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Tokens(tmp_path / "file" / "store" / "tokens").entries() == []


def test_the_folder_of_owners_is_no_context_even_of_an_owner_of_such_a_name(settings: Settings) -> None:
    from memorag_core.context.store import ContextStore

    (settings.store / ".owners" / "documents").mkdir(parents=True)
    assert ContextStore(settings.store).ids() == []


def test_the_doctor_looks_at_tokens_and_at_what_owners_memorized(settings: Settings) -> None:
    tokens = tokens_in(settings)
    path = tokens_file(settings.store, None)
    damaged = owner_folder(settings.store, "ann") / "diary" / "documents"
    damaged.mkdir(parents=True)
    found = {check.what: check for check in examine(settings)}
    assert (found["tokens"].state, found["context diary"].state) == ("ok", "note")
    path.chmod(0o644)
    assert "chmod 600" in {check.what: check for check in examine(settings)}["tokens"].todo
    path.write_text("nonsense\n")
    found = {check.what: check for check in examine(settings)}
    assert (found["tokens"].state, list(tokens)) == ("problem", ["ann", "bob"])
