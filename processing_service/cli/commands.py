"""Operations of domains: listed, and called by name."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.cli.output import Column
from processing_service.cli.tables import content
from processing_service.cli.verbs import Call
from processing_service.client import Outputs
from processing_service.client.values import from_struct

_COLUMNS = (
    Column("operation", lambda operation: operation.operation),
    Column("step", lambda operation: "yes" if operation.callable else "no"),
    Column("request", lambda operation: operation.request_type_name),
    Column("response", lambda operation: operation.response_type_name),
)


async def list_operations(call: Call) -> None:
    """Prints every operation of every domain."""
    domains = (await call.client.get_processing_domains()).domains
    call.output.table([operation for domain in domains for operation in domain.operations], _COLUMNS)


async def call_operation(
    call: Call, operation: str, values: Mapping[str, Any], request_id: str, folder: Path | None
) -> None:
    """Calls one operation; prints its reply, warnings to stderr."""
    reply = await call.client.post_command_execute(operation, values, request_id=request_id)
    for warning in reply.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    call.output.one(reply, _lines(reply))
    if folder is not None:
        await _save(call, reply, folder)


async def _save(call: Call, reply: pb.PostCommandExecuteResponse, folder: Path) -> None:
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    payloads = Outputs(call.client, pb.Session(payloads=reply.payloads))
    for name in reply.payloads:
        path = await payloads.save(name, folder / name)
        print(f"{name} is in {path}", file=sys.stderr)


def _lines(reply: pb.PostCommandExecuteResponse) -> Iterator[str]:
    yield json.dumps(from_struct(reply.result), indent=2, ensure_ascii=False, sort_keys=True)
    for name, datum in sorted(reply.payloads.items()):
        yield f"{name}: {content(datum)}"
