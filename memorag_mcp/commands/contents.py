"""The commands that make a context and change what it holds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer

from memorag_core.config import Settings
from memorag_core.engine import MemoRAG, Places
from memorag_core.errors import InputError, UnknownContext
from memorag_core.types import ContextInfo, OnProgress, OnReady
from memorag_mcp.commands import show
from memorag_mcp.commands.common import INTERRUPTED, open_engine
from memorag_mcp.commands.options import AsJson, ContextArgument, Exclude, Include
from memorag_mcp.commands.watch import watch_sources
from memorag_mcp.inputs import read_here, source_here

Encode = Callable[[Places, OnProgress, OnReady], ContextInfo]
WATCH = typer.Option("--watch", help="Go on, and follow each change of the files, until stopped with Ctrl-C.")
Paths = Annotated[list[str], typer.Argument(metavar="PATH", help="Files, folders, URLs, or - for standard input.")]
DocumentId = Annotated[str, typer.Argument(metavar="DOCUMENT", help="The id of a document; `list --json` shows them.")]


def memorize(
    settings: Settings,
    paths: Paths,
    name: Annotated[str | None, typer.Option(help="The id of the context. Default: made from the title.")] = None,
    include: Include = None,
    exclude: Exclude = None,
    as_json: AsJson = False,
) -> None:
    """Read documents once into a context that is kept; of the same paths again, what changed."""
    sources = [source_here(path, include or (), exclude or ()) for path in paths]
    _encode(settings, lambda places, on, ready: places.memorize(sources, name, on, ready), as_json)


def add(
    settings: Settings,
    context: ContextArgument,
    paths: Paths,
    include: Include = None,
    exclude: Exclude = None,
    as_json: AsJson = False,
) -> None:
    """Add documents to a context; what it holds is not read again."""
    sources = [source_here(path, include or (), exclude or ()) for path in paths]
    _encode(settings, lambda places, on, ready: places.add(context, sources, on, ready), as_json)


def sync(
    settings: Settings,
    context: ContextArgument,
    watch: Annotated[bool, WATCH] = False,
    as_json: AsJson = False,
) -> None:
    """Bring a context in step with the files it was read from; what is unchanged is not read again."""
    info = _encode(settings, lambda places, on, ready: places.sync(context, on, ready), as_json)
    if watch:
        follow(settings, info, as_json)


def follow(settings: Settings, info: ContextInfo, as_json: bool) -> None:
    """Bring a context in step whenever its files have changed; what cannot be read now may be next time."""
    engine = open_engine(settings)

    def look() -> None:
        try:
            with show.progress() as on_progress:
                now = _places(engine, settings).sync(info.id, on_progress)
        except UnknownContext:
            raise
        except InputError as error:
            show.error(str(error))
            return
        if not now.cached:
            show.as_json(now) if as_json else show.memorized(now)

    show.notice(f"watching the files of {info.id}; stop with Ctrl-C")
    with suppress(KeyboardInterrupt):
        watch_sources(info.sources, look)


def remove(settings: Settings, context: ContextArgument, document: DocumentId, as_json: AsJson = False) -> None:
    """Remove a document from a context; only what stands behind it is read again."""
    _encode(settings, lambda places, on, ready: places.engine.remove(context, document, on, ready), as_json)


def _places(engine: MemoRAG, settings: Settings) -> Places:
    return Places(engine, lambda source, known: read_here(source, known, settings))


def _encode(settings: Settings, work: Encode, as_json: bool) -> ContextInfo:
    """Do long work on what is at places, with a progress bar, and show the context that comes of it."""
    try:
        with show.progress() as on_progress:
            info = work(_places(open_engine(settings), settings), on_progress, show.ready)
    except KeyboardInterrupt:
        show.notice("stopped; the same command goes on from here")
        raise typer.Exit(INTERRUPTED) from None
    show.as_json(info) if as_json else show.memorized(info)
    return info
