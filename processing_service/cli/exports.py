"""Definitions and services of workflows, as files."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import typer

from processing_service.cli.verbs import Call


@dataclass(frozen=True, slots=True)
class Export:
    """A file that is not written yet."""

    path: str
    """Where it belongs, below a folder."""
    content: str


async def exported(call: Call, workflow_id: str, *, proto: bool) -> Export:
    """The definition of a workflow as YAML, or its service.

    Raises:
        typer.BadParameter: it has no service.
        CoordinatorError: WORKFLOW_NOT_FOUND.
    """
    reply = await call.client.get_processing_workflow(workflow_id)
    if not proto:
        return Export(f"{workflow_id}.yaml", reply.source)
    if not reply.proto_source:
        raise typer.BadParameter(f"{workflow_id} has no typed service; `workflow put` says why")
    return Export(reply.proto_path, reply.proto_source)


async def write(export: Export, folder: Path) -> Path:
    """Writes it below a folder; where it is then. Raises typer.BadParameter."""
    return await asyncio.to_thread(_write, export, folder)


def _write(export: Export, folder: Path) -> Path:
    path = folder / export.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(export.content, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}") from None
    return path
