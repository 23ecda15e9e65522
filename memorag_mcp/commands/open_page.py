"""`memorag open`: the page in the browser, over a server that is started for it, or over one that is there."""

from __future__ import annotations

import threading
import time
import urllib.request
import webbrowser
from collections.abc import Callable

from memorag_mcp.commands import show

SECONDS_TO_START = 60.0
SECONDS_BETWEEN_LOOKS = 0.1


def open_page(port: int, serve: Callable[[], None]) -> None:
    """Open the page once a server answers at a port of this machine; serve there, if none does yet."""
    address = f"http://127.0.0.1:{port}/"
    if _answers(address):
        _show(address)
        return
    threading.Thread(target=_wait_and_show, args=(address,), daemon=True).start()
    serve()


def _wait_and_show(address: str) -> None:
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until:
        if _answers(address):
            _show(address)
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}healthz", timeout=5) as response:  # noqa: S310  # an address of ours
            return bool(response.read() == b"ok\n")
    except OSError:
        return False


def _show(address: str) -> None:
    """Open it, and tell where it is, as there may be no browser here."""
    show.notice(f"the page is at {address}; Ctrl+C ends the server")
    webbrowser.open(address)
