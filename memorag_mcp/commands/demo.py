"""The main job, as a client sees it: a real MCP client starts the server over stdio, memorizes the sample, and asks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from memorag_core.concurrency import processes
from memorag_core.config import Settings
from memorag_core.errors import MemoRAGError
from memorag_mcp.commands.options import engine_flags

SAMPLE = "harrow-sound.md"
QUESTION = "How long is the causeway that closes the mill pond from the harbour?"
FOCUS = "the failure of the north gate"
NOTE = "The ferry to Brannay sails at nine on Mondays. In winter there is no ferry at all."


def sample_path() -> Path:
    """The sample document of a checkout, or of an installed package."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "contexts" / "samples" / SAMPLE
    return checkout if checkout.is_file() else package / "samples" / SAMPLE


def run(settings: Settings) -> None:
    """Start the server as its own process, use its tools, and print what comes back.

    Raises:
        MemoRAGError: a tool failed; says what to do.
    """
    try:
        anyio.run(_main, settings)
    except* MemoRAGError as errors:
        failure: BaseException = errors
        while isinstance(failure, BaseExceptionGroup):  # the client's task groups wrap what happens inside them
            failure = failure.exceptions[0]
        raised = failure
    else:
        return
    raise raised


async def _main(settings: Settings) -> None:
    console = Console(highlight=False)
    sample = sample_path()
    started = time.monotonic()
    async with Client(_server(settings, sample.parent)) as client:
        tools = await client.list_tools()
        console.print(
            f"[bold]Server[/] ready in {time.monotonic() - started:.1f} s, protocol {client.protocol_version}"
        )
        console.print(f"tools: {', '.join(tool.name for tool in tools.tools)}\n")
        context_id = await _memorize(client, console, sample)
        await _ask(client, console, context_id)
        await _manage(client, console)
    console.print(f"[bold]Done[/] in {time.monotonic() - started:.0f} s. Ask your own: memorag ask {context_id} '…'")


def _server(settings: Settings, allow: Path) -> StdioServerParameters:
    serve = ["serve", "--allow", str(allow), *engine_flags(settings)]
    launch = processes.launch_ours("memorag_mcp.cli", "main", serve, secrets=True)  # keys of APIs, which it may ask
    return StdioServerParameters(
        command=launch.program, args=launch.arguments, env=launch.environment, cwd=launch.folder
    )


async def _memorize(client: Client, console: Console, sample: Path) -> str:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(f"memorizing {sample.name} (the first time fetches the models)", total=1.0)

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            bar.update(task, completed=progress, total=total, description=message or "memorizing")

        memorized = await _call(client, "memorize_context", {"path": str(sample), "wait_seconds": 3600}, on_progress)
        context = memorized["context"]
        bar.update(task, completed=1.0)
    how = "already memorized" if context["cached"] else "memorized now"
    console.print(
        f"[bold]{context['title']}[/]: {how}; encoding took {context['encode_seconds']:.0f} s; "
        f"{context['documents'][0]['characters']:,} characters, {context['chunks']} chunks, "
        f"{context['memory_tokens']} tokens of memory"
    )
    resources = await client.list_resources()
    console.print("resources: " + ", ".join(resource.uri for resource in resources.resources) + "\n")
    return str(context["context_id"])


async def _ask(client: Client, console: Console, context_id: str) -> None:
    asked = {"context_id": context_id, "question": QUESTION}
    console.print(f"[bold]Question[/] {QUESTION}")
    for clue in (await _call(client, "recall_clues", asked))["clues"]:
        mark = "in the text" if clue["verified"] else "unverified"
        console.print(f"  clue ({clue['kind']}, {mark}): {clue['text']}", style="dim")
    for passage in (await _call(client, "retrieve_evidence", asked))["passages"][:3]:
        where = f"{passage['document_id']} {passage['start']}–{passage['end']}"
        console.print(
            f"  evidence {passage['score']:.4f} {where}: {passage['text'][:90]!r}…", style="dim", markup=False
        )
    _show(console, "Answer", await _call(client, "answer", asked))
    _show(
        console,
        f"Summary of {FOCUS}",
        await _call(client, "summarize", {"context_id": context_id, "focus": FOCUS, "words": 40}),
    )


def _show(console: Console, heading: str, answer: dict[str, Any]) -> None:
    console.print(f"[bold]{heading}[/]")
    console.print(answer["text"], markup=False)
    for number, citation in enumerate(answer["citations"], start=1):
        where = f"{citation['title']} {citation['start']}–{citation['end']}"
        console.print(f"  [{number}] {where}: “{citation['quote']}”", style="green", markup=False)
    console.print()


async def _manage(client: Client, console: Console) -> None:
    """A second context: memorized from a text, listed, forgotten."""
    note = await _call(client, "memorize_context", {"text": NOTE, "name": "ferry-note", "wait_seconds": 600})
    listed = [context["context_id"] for context in (await _call(client, "list_contexts"))["contexts"]]
    await _call(client, "forget_context", {"context_id": note["context_id"]})
    console.print(f"contexts: {', '.join(listed)}; '{note['context_id']}' forgotten again\n")


async def _call(
    client: Client, tool: str, arguments: dict[str, Any] | None = None, on_progress: Any = None
) -> dict[str, Any]:
    """A tool's structured result; its error is raised."""
    result = await client.call_tool(tool, arguments or {}, progress_callback=on_progress)
    if result.is_error or result.structured_content is None:
        raise MemoRAGError(getattr(result.content[0], "text", f"{tool} failed"))
    structured: dict[str, Any] = result.structured_content
    return structured
