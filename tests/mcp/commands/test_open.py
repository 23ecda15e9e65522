"""`memorag open` shows the page of a server that is there, or starts one."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from mcp_processes import free_port
from waits import SECONDS

from memorag_mcp.commands import open_page as opening


class Healthy(BaseHTTPRequestHandler):
    """A server as far as its health goes."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("is_there", [True, False])
def test_the_page_opens_once_its_server_answers_and_no_second_one_is_started(
    is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, opened, served, port = [], threading.Event(), [], free_port()

    def show(address: str) -> None:
        shown.append(address)
        opened.set()

    monkeypatch.setattr("webbrowser.open", show)
    if is_there:
        with HTTPServer(("127.0.0.1", port), Healthy) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            opening.open_page(port, lambda: served.append(1))
            server.shutdown()
    else:

        def serve() -> None:
            with HTTPServer(("127.0.0.1", port), Healthy) as server:
                served.append(1)
                threading.Thread(target=server.serve_forever, daemon=True).start()
                assert opened.wait(SECONDS)
                server.shutdown()

        opening.open_page(port, serve)
    assert shown == [f"http://127.0.0.1:{port}/"]
    assert bool(served) is not is_there
