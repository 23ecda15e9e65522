"""A relay between a host and servers that die, without processes: what each of them is told."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from queue import Queue
from threading import Thread
from typing import Any

import pytest
from mcp_processes import HELLO, META
from waits import SECONDS, wait_until

from memorag_mcp.attach.relay import LOST, Relay
from memorag_mcp.attach.start import Connection

URI = {"uri": "memorag://contexts/mill"}


class Server:
    """The other end of a relay's connection, in the hands of the test."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(SECONDS)
        self._line = ours
        self._reader = ours.makefile("rb")
        self.connection = Connection(theirs, theirs.makefile("rb"), 0)

    def hear(self) -> Any:
        return json.loads(self._reader.readline())

    def say(self, **message: Any) -> None:
        self._line.sendall(json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n")

    def hear_end(self) -> None:
        """Wait until the relay says that nothing more comes."""
        while not self._reader.closed and self._reader.readline():
            pass

    def die(self) -> None:
        self._reader.close()
        self._line.close()


class Host:
    """A host, the relay that it started, and the servers that the relay finds one after the other."""

    def __init__(self) -> None:
        self.servers: Queue[Server] = Queue()
        self._to_relay, asked = socket.socketpair()
        self._from_relay, told = socket.socketpair()
        self._from_relay.settimeout(SECONDS)
        self._heard = self._from_relay.makefile("rb")
        from_host, to_host = asked.makefile("rb"), told.makefile("wb")
        self._relays: list[Any] = [from_host, asked, to_host, told]
        self.now = Server()
        relay = Relay(self.now.connection, lambda: self.servers.get(timeout=SECONDS).connection, to_host)
        self._thread = Thread(target=relay.run, args=(from_host,), daemon=True)
        self._thread.start()

    def say(self, method: str | None, number: Any = None, **more: Any) -> None:
        """Send a request, a notification without a number, or a reply without a method."""
        message = more | ({"method": method} if method else {}) | ({"id": number} if number is not None else {})
        self._to_relay.sendall(json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n")

    def hear(self) -> Any:
        return json.loads(self._heard.readline())

    def lose_server(self) -> Server:
        """Have the server die, and the relay find another."""
        after = Server()
        self.servers.put(after)
        self.now.die()
        self.now = after
        return after

    def leave(self) -> None:
        """Say no more, and hear what the server says until it ends."""
        self._to_relay.shutdown(socket.SHUT_WR)
        self.now.hear_end()
        self.now.die()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        for file in (*self._relays, self._heard, self._to_relay, self._from_relay):
            file.close()


@pytest.fixture
def silent() -> Iterator[Host]:
    """A host that has said nothing yet."""
    host = Host()
    yield host
    host.leave()


@pytest.fixture
def host(silent: Host) -> Host:
    """A host whose session has begun by the older protocol."""
    host = silent
    host.say("initialize", 1, params=HELLO)
    host.say("notifications/initialized")
    assert [host.now.hear()["method"] for _ in range(2)] == ["initialize", "notifications/initialized"]
    host.now.say(id=1, result={"first": True})
    assert host.hear()["result"] == {"first": True}
    return host


def begin_again(server: Server) -> list[str]:
    """What a new server is told first, up to the message that says that it can work."""
    told = [server.hear()["method"]]
    server.say(id=1, result={"first": False})
    while told[-1] != "notifications/initialized":
        told.append(server.hear()["method"])
    return told


def test_what_the_dead_server_had_not_answered_is_refused_and_the_session_goes_on_unnoticed(host: Host) -> None:
    for number in (2, "2", 3):
        host.say("tools/call", number)
        host.now.hear()
    host.now.say(id=2, result={})
    assert host.hear()["id"] == 2
    after = host.lose_server()
    refused = [host.hear() for _ in range(2)]
    host.say("tools/list", 4)
    told = begin_again(after)
    assert after.hear()["id"] == 4
    after.say(id=4, result={"tools": []})
    assert {one["id"]: one["error"] for one in refused} == {key: {"code": -32000, "message": LOST} for key in ("2", 3)}
    assert told == ["initialize", "notifications/initialized"]
    assert host.hear() == {"jsonrpc": "2.0", "id": 4, "result": {"tools": []}}


def test_the_next_server_is_told_what_the_host_had_subscribed_to(host: Host) -> None:
    other = {"uri": "memorag://contexts/other"}
    for number, (method, uri) in enumerate([("", URI), ("", other), ("un", other)], 2):
        host.say(f"resources/{method}subscribe", number, params=uri)
        host.now.hear()
        host.now.say(id=number, result={})
        assert host.hear()["id"] == number
    after = host.lose_server()
    begin_again(after)
    subscribed = after.hear()
    after.say(id=subscribed["id"], result={})
    after.say(method="notifications/resources/updated", params=URI)
    assert subscribed == {"jsonrpc": "2.0", "id": 2, "method": "resources/subscribe", "params": URI}
    assert host.hear()["method"] == "notifications/resources/updated"


def test_a_client_of_2026_goes_on_listening_at_the_next_server(silent: Host) -> None:
    host = silent
    host.say("subscriptions/listen", 7, params={"_meta": META})
    listening = host.now.hear()
    after = host.lose_server()
    assert after.hear() == listening
    after.say(id=7, result={"ended": True})
    assert host.hear()["result"] == {"ended": True}


def test_a_server_that_dies_while_it_greets_is_followed_by_another_that_answers(silent: Host) -> None:
    host = silent
    host.say("initialize", 1, params=HELLO)
    host.now.hear()
    host.lose_server().hear()
    after = host.lose_server()
    assert after.hear()["params"] == HELLO
    after.say(id=1, result={"first": False})
    assert host.hear()["result"] == {"first": False}


def test_what_was_cancelled_is_not_refused_and_an_answer_to_a_dead_servers_question_goes_nowhere(host: Host) -> None:
    host.say("tools/call", 2)
    host.say("notifications/cancelled", params={"requestId": 2})
    host.now.say(id=0, method="ping")
    assert host.hear()["method"] == "ping"
    host.now.hear(), host.now.hear()
    after = host.lose_server()
    begin_again(after)
    host.say(None, 0, result={})
    host.say("ping", 5)
    assert after.hear()["id"] == 5
    after.say(id=5, result={})
    assert host.hear()["id"] == 5


def test_what_is_no_message_is_passed_on_for_the_server_to_refuse(host: Host) -> None:
    wrong = [
        b"{",
        b"[1]",
        b"null",
        b"{}",
        b'{"id": 1}',
        b'{"method": ["x"], "params": [1]}',
        b'{"id": [], "method": 5}',
    ]
    for line in wrong:
        host._to_relay.sendall(line + b"\n")
    assert [host.now._reader.readline().strip() for _ in wrong] == wrong


def test_a_host_that_leaves_hears_the_last_words(host: Host) -> None:
    host._to_relay.shutdown(socket.SHUT_WR)
    assert host.now._reader.readline() == b""
    host.now.say(method="notifications/message")
    host.now.die()
    assert host.hear()["method"] == "notifications/message"


def test_what_did_not_reach_the_dead_server_is_said_to_the_next(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    unheard: list[bytes] = []
    monkeypatch.setattr(host.now.connection, "send", unheard.append)  # which returns None, as if it were False
    host.say("tools/call", 2)
    wait_until(lambda: unheard)
    after = host.lose_server()
    begin_again(after)
    assert after.hear()["id"] == 2
    after.say(id=2, result={})
    assert host.hear() == {"jsonrpc": "2.0", "id": 2, "result": {}}
