"""Fixtures that return contents of every kind: tools, resources, prompts."""

from __future__ import annotations

import base64
import json
import struct
import wave
import zlib
from io import BytesIO
from typing import Annotated, Any

from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)
from pydantic import Field

from memorag_mcp.protocol.sdk_server import ContextServer

NAMED = "json_schema_2020_12_tool"
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def png() -> bytes:
    """One red pixel."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\0\xff\0\0")
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", pixel) + part(b"IEND", b"")


def wav() -> bytes:
    """A moment of silence."""
    buffer = BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(b"\x80" * 80)
    return buffer.getvalue()


def image() -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(png()).decode(), mime_type="image/png")


def words(text: str) -> CallToolResult:
    """A result of text alone."""
    return CallToolResult(content=[TextContent(type="text", text=text)])


def embedded(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, text=text, mime_type=mime_type))


def contents(*blocks: ContentBlock) -> CallToolResult:
    return CallToolResult(content=list(blocks))


def add_contents(server: ContextServer) -> None:
    """All of them."""
    _add_tools(server)
    _add_resources(server)
    _add_prompts(server)


def _add_tools(server: ContextServer) -> None:
    @server.tool()
    def test_simple_text() -> CallToolResult:
        """Text."""
        return words("This is a simple text response for testing.")

    @server.tool()
    def test_image_content() -> CallToolResult:
        """An image."""
        return contents(image())

    @server.tool()
    def test_audio_content() -> CallToolResult:
        """A sound."""
        data = base64.b64encode(wav()).decode()
        return contents(AudioContent(type="audio", data=data, mime_type="audio/wav"))

    @server.tool()
    def test_embedded_resource() -> CallToolResult:
        """A resource."""
        return contents(embedded("test://embedded-resource", "This is an embedded resource content."))

    @server.tool()
    def test_multiple_content_types() -> CallToolResult:
        """One of each."""
        record = json.dumps({"test": "data", "value": 123})
        text = TextContent(type="text", text="Multiple content types test:")
        return contents(text, image(), embedded("test://mixed-content-resource", record, "application/json"))

    @server.tool()
    def test_error_handling() -> CallToolResult:
        """An error."""
        raise ToolError("This tool intentionally returns an error for testing")

    @server.tool()
    def test_header_tool(
        region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})],
    ) -> CallToolResult:
        """A parameter that is a header too."""
        return words(region)

    @server.tool(name=NAMED)
    def with_schema(name: str = "") -> CallToolResult:
        """Its schema is given, not made."""
        return words(name)

    named = server._tool_manager.get_tool(NAMED)
    assert named is not None
    named.parameters = SCHEMA


def _add_resources(server: ContextServer) -> None:
    @server.resource("test://static-text", mime_type="text/plain", description="Text.")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png", description="An image.")
    def static_binary() -> bytes:
        return png()

    @server.resource("test://watched-resource", mime_type="text/plain", description="It may change.")
    def watched() -> str:
        return "Watched."

    @server.resource("test://template/{id}/data", mime_type="application/json", description="By its id.")
    def data(id: str) -> str:  # noqa: A002 - the template's name for it
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def _add_prompts(server: ContextServer) -> None:
    @server.prompt()
    def test_simple_prompt() -> str:
        """No arguments."""
        return "This is a simple prompt for testing."

    @server.prompt()
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        """Two arguments."""
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt()
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's name
        """A resource."""
        resource = embedded(resourceUri, "Embedded resource content for testing.")
        return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]

    @server.prompt()
    def test_prompt_with_image() -> list[UserMessage]:
        """An image."""
        return [UserMessage(image()), UserMessage("Please analyze the image above.")]
