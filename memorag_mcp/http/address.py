"""Where a server listens, and what it asks of those who come there."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memorag_core.errors import InputError
from memorag_mcp.http.tokens import Tokens

Transport = Literal["stdio", "sse", "http"]

PORT = 8365
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  # what is refused unless a name is given


@dataclass(frozen=True)
class ListenAddress:
    """Where to listen, which Host and Origin headers to accept besides its own, and the file of tokens.

    Of a server that is one of several behind that address, no client's requests belong together.
    """

    tokens: Path
    host: str = "127.0.0.1"
    port: int = PORT
    allowed_hosts: Sequence[str] = ()
    allowed_origins: Sequence[str] = ()
    one_of_several: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def check_free(self) -> None:
        """See that one can listen there.

        Raises:
            InputError: another program does, or it is no address of this machine.
        """
        try:
            for family, kind, protocol, _, place in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
                with socket.socket(family, kind, protocol) as probe:
                    if os.name == "posix":  # what has just been closed is free
                        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(place)
        except OSError as error:
            raise InputError(
                f"Nothing can listen at {self.host}, port {self.port} ({error.strerror}). Choose another port with "
                "--port, or another address with --host; or end what listens there, perhaps another memorag."
            ) from error

    def require_tokens(self) -> Tokens:
        """Return the tokens of which each request needs one; on this machine alone there need be none.

        Raises:
            InputError: others could reach it, and there are no tokens, or no name by which they reach it.
        """
        tokens = Tokens(self.tokens)
        if self.is_loopback:
            tokens.entries()  # that they can be read
            return tokens
        if not tokens.entries():
            raise InputError(
                f"{self.host} is not an address of this machine alone, and there are no tokens, so nobody could be "
                f"authenticated. Make one with: memorag token add NAME (they are kept in {self.tokens})."
            )
        if not self.allowed_hosts and self.host in EVERY_ADDRESS:
            raise InputError(
                f"{self.host} stands for every address of this machine. Name the one that clients use, as it stands in "
                f"their URLs, with --allowed-host, such as memory.example.org:{self.port}."
            )
        return tokens
