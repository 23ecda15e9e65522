"""What all commands share: the application, registration with the engine's options, errors in one line."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from memorag_core.config import Settings
from memorag_core.engine import MemoRAG
from memorag_core.errors import InputError, MemoRAGError
from memorag_mcp.commands import show
from memorag_mcp.commands.options import ENGINE_OPTIONS, SCOPE_OPTIONS, scope_of

INTERRUPTED = 130


app = typer.Typer(
    help="Memorize long documents once, and ask them often, on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def command(name: str, group: typer.Typer = app) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command with the engine's options, which reach it as one `Settings`, its first argument.

    What typer reads is the signature, so the shared options are declared once and added to it here: also those of a
    part of a context, where a command takes a `scope`.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(function, eval_str=True).parameters.values()
        scoped = [parameter for parameter in own if parameter.name == "scope"]
        added = [*(SCOPE_OPTIONS if scoped else ()), *ENGINE_OPTIONS]
        parameters = [*(parameter for parameter in own if parameter not in scoped), *added]

        @functools.wraps(function)
        def run(**options: Any) -> None:
            with _errors_in_one_line():
                settings = Settings.of(**{option.name: options.pop(option.name) for option in ENGINE_OPTIONS})
                if scoped:
                    options["scope"] = scope_of({option.name: options.pop(option.name) for option in SCOPE_OPTIONS})
                function(settings, **options)

        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions take attributes
        return group.command(name)(run)

    return register


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except MemoRAGError as error:
        show.error(str(error))
        raise typer.Exit(2 if isinstance(error, InputError) else 1) from None


def open_engine(settings: Settings) -> MemoRAG:
    """The engine of all commands; what takes long is told on standard error."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # read when transformers is imported, which is later
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    return MemoRAG(settings, show.notice)
