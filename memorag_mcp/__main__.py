"""The entry point `memorag-mcp`: attaches a host to the person's server, or with `--alone` is a server of its own."""

from __future__ import annotations

import os
import sys
from functools import partial

from memorag_mcp.attach.choice import Choice


def main() -> None:
    """Serve the host that started us, over standard input and output."""
    choice = Choice.of(sys.argv[1:], os.environ)
    if not choice.alone:
        attach_host(choice)
    from memorag_mcp.cli import serve_stdio

    serve_stdio()


def attach_host(choice: Choice) -> None:
    """Relay between the host and the server of this choice; return only where no server can be shared."""
    from memorag_mcp.attach.relay import relay, say
    from memorag_mcp.attach.start import NotStarted, attach

    try:
        connection = attach(choice)
    except NotStarted as error:
        say(str(error))
        sys.exit(1)
    except OSError as error:
        say(f"This host gets a server of its own, since none can be shared: {error}.")
    else:
        relay(connection, partial(attach, choice))


def serve_hosts() -> None:
    """Be the server: of whoever asks us for it no child, so that it lives on when that one and its children end."""
    from memorag_core.concurrency.processes import leave_parent

    leave_parent()
    from memorag_mcp.cli import app

    app(["serve", "--hosts", *sys.argv[1:]], prog_name="memorag-mcp")


if __name__ == "__main__":
    main()
