"""The options that every command has, declared once: as typer reads them, and as another process is given them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from memorag_core.config import Settings
from memorag_core.errors import InputError
from memorag_core.types import Scope


def _engine_option(field: str, kind: type, metavar: str, text: str, variable: str = "") -> inspect.Parameter:
    """An option that every command has; left out, the default of that field of `Settings` holds."""
    option = typer.Option(
        f"--{field.replace('_', '-')}",  # one name: a switch has no opposite
        envvar=variable or f"MEMORAG_{field.upper()}",
        metavar=metavar or None,
        help=text,
        rich_help_panel="Engine options",
    )
    annotation: Any = Annotated[kind | None, option]  # made at run time, which is when typer reads it
    return inspect.Parameter(field, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


ENGINE_OPTIONS = [
    _engine_option("store", Path, "FOLDER", "The folder that holds the contexts."),
    _engine_option(
        "shared", str, "URL", "A bucket for the contexts, which machines share: s3://BUCKET/FOLDER, gs://, az://."
    ),
    _engine_option("profile", str, "NAME", "The set of models: auto, or a name that `memorag models` shows."),
    _engine_option("device", str, "DEVICE", "Where models run: auto, cpu, mps, cuda or cuda:N."),
    _engine_option("models_dir", Path, "FOLDER", "The folder that holds the embedded models.", "MEMORAG_MODELS"),
    _engine_option("memory", str, "KIND", "The kind of memory: lite, lite-api, beacon, latent, long, or none."),
    _engine_option("memory_model", str, "MODEL", "The memory model: a hub id, a folder, or openai:MODEL."),
    _engine_option("embedder", str, "MODEL", "The embedder: a hub id, a folder, or openai:MODEL."),
    _engine_option("retriever", str, "KIND", "How texts are found: hybrid (dense and BM25), dense, bge-m3, bm25."),
    _engine_option("reranker", str, "MODEL", "A cross-encoder to read the best hits again: a hub id or a folder."),
    _engine_option("entailment", str, "MODEL", "A model of entailment that judges answers too: a hub id or a folder."),
    _engine_option("hits", int, "N", "How many passages each query brings before they are fused."),
    _engine_option("evidence_tokens", int, "N", "How many tokens of evidence the generator is shown."),
    _engine_option("max_characters", int, "N", "The largest context to accept, in characters."),
    _engine_option("warm_mib", int, "N", "Memory for contexts that are kept loaded, in MiB."),
    _engine_option("queue", int, "N", "How many questions may wait for the models; more are told that they are busy."),
    _engine_option("patience", float, "SECONDS", "How long a question waits before it is told that they are busy."),
    _engine_option("allow_url", bool, "", "Let documents be fetched from public web servers, by their URL."),
    _engine_option(
        "generator",
        str,
        "MODEL",
        "The generator: a hub id, a folder, memory, or openai:MODEL and the like.",
    ),
    _engine_option("prompts", Path, "FOLDER", "Your own prompt templates: NAME.txt, and NAME.zh.txt for Chinese."),
    _engine_option("recall", str, "HOW", "How clues are recalled: both, or attended (fast: nothing is generated)."),
    _engine_option(
        "compression", int, "RATIO", "The least ratio that long memory compresses by; 1: as the text needs."
    ),
    _engine_option(
        "compression_method",
        str,
        "HOW",
        "What long memory keeps when it compresses: expected_attention (quick), or kvzip (twice the reading).",
    ),
    _engine_option("beacon_ratio", int, "RATIO", "How many tokens a beacon stands for, 2 to 32; 0: no beacons."),
    _engine_option("heads", str, "LAYER:HEAD,…", "The heads of the memory model whose attention finds clues."),
    _engine_option("prefill", str, "HOW", "How long memory reads: dense, or minference (CUDA)."),
    _engine_option("storage", str, "TYPE", "How memory is kept on disk: half (16 bits), int8 or int4."),
    _engine_option("weights", str, "TYPE", "How language models are loaded: full, or 4bit (CUDA)."),
]


def _scope_option(field: str, kind: Any, metavar: str, text: str) -> inspect.Parameter:
    option = typer.Option(f"--{field}", metavar=metavar, help=text, rich_help_panel="A part of the context")
    annotation: Any = Annotated[kind | None, option]
    return inspect.Parameter(field, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


SCOPE_OPTIONS = [
    _scope_option("document", list[str], "NAME", "Search this document: its id, title or file name; repeatable."),
    _scope_option("folder", list[str], "FOLDER", "Search what is in this folder or below; repeatable."),
    _scope_option("kind", list[str], "KIND", "Search files of this kind, such as pdf; repeatable."),
    _scope_option("since", str, "DATE", "Search what is of this date or later: 2024-05-31, 2024-05 or 2024."),
    _scope_option("until", str, "DATE", "Search what is of this date or earlier."),
    _scope_option("pages", str, "FIRST-LAST", "Search these pages: 3, 3-5, 3- or -5."),
]


def scope_of(chosen: Mapping[str, Any]) -> Scope:
    """The scope that these options name.

    Raises:
        InputError: the pages are none.
    """
    named = {f"{field}s": tuple(chosen[field] or ()) for field in ("document", "folder", "kind")}
    first, last = _read_pages(chosen["pages"] or "")
    return Scope(**named, since=chosen["since"] or "", until=chosen["until"] or "", first_page=first, last_page=last)


def _read_pages(pages: str) -> tuple[int, int]:
    if (match := re.fullmatch(r"(\d{0,9})(-?)(\d{0,9})", pages.replace(" ", ""))) is None or pages == "-":
        raise InputError(f"{pages!r} are no pages; write them as 3, 3-5, 3- or -5.")
    first, dash, last = match.groups()
    return int(first or 0), int(last or (0 if dash else first or 0))


def engine_flags(settings: Settings) -> list[str]:
    """The options that give another process these settings."""
    chosen = settings.model_dump(include={option.name for option in ENGINE_OPTIONS}, exclude_none=True)
    flags = [[f"--{field.replace('_', '-')}", *_value(value)] for field, value in chosen.items() if value is not False]
    return [part for flag in flags for part in flag]


def _value(value: object) -> list[str]:
    """A switch has none; a path is told from the root on, since the other process has a current folder of its own."""
    if isinstance(value, Path):
        return [str(value.absolute())]
    return [] if value is True else [str(value)]


Include = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Of a folder, the files that match, such as '*.pdf'; repeatable."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Of a folder, the files and folders to leave out; repeatable."),
]
ContextArgument = Annotated[
    str, typer.Argument(metavar="CONTEXT", help="The id of a context; `memorag list` shows them.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
