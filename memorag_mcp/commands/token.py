"""The command `memorag token`, and the option that names the file of tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from memorag_core.config import Settings
from memorag_core.text.ids import slug
from memorag_mcp.commands import show
from memorag_mcp.http.shared_tokens import open_tokens

TOKENS = typer.Option(
    metavar="FILE",
    envvar="MEMORAG_TOKENS",
    help="The file of tokens, name:hash a line. Default: tokens in the folder .owners of the store.",
)


def token(
    settings: Settings,
    action: Annotated[Literal["add", "list", "remove"], typer.Argument(help="What to do.")],
    name: Annotated[str, typer.Argument(help="Whose token: the owner of what is memorized with it.")] = "",
    tokens: Annotated[Path | None, TOKENS] = None,
) -> None:
    """Give tokens to those who may use a server that listens, or take them away."""
    held = open_tokens(settings, tokens)
    if action == "list":
        for owner in sorted({entry[0] for entry in held.entries()}):
            show.line(owner)
    elif action == "add":
        show.line(held.add(name))
        show.notice(f"the token of {slug(name)}, shown this once; clients send it as: Authorization: Bearer TOKEN")
    else:
        held.remove(name)
        show.notice(f"removed the tokens of {slug(name)}; what it memorized stays")
