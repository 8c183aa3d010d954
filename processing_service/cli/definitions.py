"""Definitions of workflows: from files, checked here or by the server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.cli.verbs import Call

_SUFFIXES = (".yaml", ".yml", ".json")


async def check(call: Call, source: str, *, server: bool) -> tuple[pb.Workflow, list[str]]:
    """The normalised workflow with its digest, and warnings. Raises CoordinatorError WORKFLOW_INVALID."""
    reply = await call.client.put_processing_workflow(source, validate_only=True)
    return reply.workflow, [f"warning: {warning}" for warning in reply.warnings]


async def find(call: Call, name: str) -> pb.Workflow:
    """The workflow of that name, or the one that a file of that name defines."""
    path = Path(name)
    if path.suffix in _SUFFIXES:
        source = await asyncio.to_thread(path.read_text, encoding="utf-8")
        return (await check(call, source, server=False))[0]
    return (await call.client.get_processing_workflow(name)).workflow
