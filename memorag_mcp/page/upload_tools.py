"""The tools by which the page hands over dropped files, piece by piece, and has them memorized. No model sees them."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from memorag_core.engine import MemoRAG
from memorag_core.errors import InputError
from memorag_mcp.jobs.call import Call
from memorag_mcp.jobs.job import Job
from memorag_mcp.jobs.run import Ctx, run
from memorag_mcp.page.uploads import ID_BYTES, Uploads
from memorag_mcp.protocol.apps import FOR_PAGE_ALONE
from memorag_mcp.protocol.sdk_server import ContextServer
from memorag_mcp.schemas.contexts import ContextResult, JobResult
from memorag_mcp.tools.fields import LONGEST_NAME, LONGEST_PATH, WRITES, NameField, Wait

MOST_BASE64 = 2 << 20
AddTo = Annotated[str, Field(max_length=LONGEST_NAME, description="The context to add to; else a new one is made")]
UploadId = Annotated[str, Field(max_length=2 * ID_BYTES, description="From upload_part")]


class MemorizeUpload(Call):
    """Arguments of memorize_upload, and a name for people."""

    tool: ClassVar[str] = "memorize_upload"
    upload_id: str
    name: str = ""
    add_to: str = ""
    label: str = ""

    @property
    def what(self) -> str:
        return f"add {self.label} to {self.add_to}" if self.add_to else f"memorize {self.label}"


class UploadResult(BaseModel):
    """How much of a file is here."""

    upload_id: str
    name: str
    bytes: int


def add_upload_tools(server: ContextServer, engine: MemoRAG) -> None:
    """upload_part and memorize_upload."""
    uploads = Uploads(engine.store.root)

    @server.tool(title="Hand over a part of a file", annotations=WRITES, meta=FOR_PAGE_ALONE)
    async def upload_part(
        name: Annotated[str, Field(max_length=LONGEST_PATH, description="Of the file, with the folders it came with")],
        data: Annotated[str, Field(max_length=MOST_BASE64, description="The next bytes of it, base64")] = "",
        upload_id: UploadId = "",
    ) -> UploadResult:
        """Append to a file that is to be memorized; the first part of the first file makes the upload_id."""

        def add() -> UploadResult:
            drop = upload_id or uploads.begin()
            return UploadResult(upload_id=drop, name=name, bytes=uploads.add(drop, name, _decode(data)))

        return await run(add)

    @server.tool(title="Memorize what was handed over", annotations=WRITES, meta=FOR_PAGE_ALONE)
    async def memorize_upload(
        ctx: Ctx,
        upload_id: UploadId,
        name: NameField = "",
        add_to: AddTo = "",
        wait_seconds: Wait = None,
    ) -> JobResult:
        """Memorize the files of an upload, or add them to a context."""
        names = await run(lambda: uploads.names(upload_id))
        label = names[0] if len(names) == 1 else f"{len(names)} files"
        call = MemorizeUpload(upload_id=upload_id, name=name, add_to=add_to, label=label)
        return await server.long_work(ctx, call, wait_seconds)

    @server.jobs.register(MemorizeUpload)
    def memorize(job: Job, call: MemorizeUpload) -> ContextResult:
        try:
            reading = uploads.read(call.upload_id, engine.settings.max_characters)
            if call.add_to:
                info = engine.add(call.add_to, reading.documents, job.report)
            else:
                info = engine.memorize(reading.documents, call.name or None, job.report)
        finally:
            if job.stopped_as != "interrupted":  # then it is resumed, maybe
                uploads.forget(call.upload_id)
        return ContextResult.of(replace(info, left_out=reading.left_out))


def _decode(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("The data is no base64.") from error
