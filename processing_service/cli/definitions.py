"""Definitions of workflows: from files, checked here or by the server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import BinaryIO

import typer
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.cli.verbs import Call

_SUFFIXES = (".yaml", ".yml", ".json")


def read(file: BinaryIO) -> str:
    """The text of a definition. Raises typer.BadParameter for a file that is none."""
    try:
        return file.read().decode()
    except UnicodeDecodeError:
        text = f"{file.name} is no text; a definition is YAML or JSON in UTF-8"
    except OSError as error:
        text = f"{file.name} cannot be read: {error.strerror}"
    raise typer.BadParameter(text)


async def check(call: Call, source: str, *, server: bool) -> tuple[pb.Workflow, list[str]]:
    """The normalised workflow with its digest, and what its writer should mend.

    Args:
        server: let the server check, which may know more domains than the contract has.

    Raises:
        CoordinatorError: WORKFLOW_INVALID.
    """
    if server:
        reply = await call.client.put_processing_workflow(source, validate_only=True)
        return reply.workflow, list(reply.warnings)
    return compile_here(source)


def compile_here(source: str) -> tuple[pb.Workflow, list[str]]:
    """As `check`, by the domains of the contract."""
    from instructors.domains import Domains
    from processing_service.engine.definitions import parse_definition

    definition, warnings = parse_definition(source, Domains.of_contract())
    return definition.workflow, warnings


async def find(call: Call, name: str) -> pb.Workflow:
    """The workflow that a file of that name defines, or that the server has."""
    path = Path(name)
    if path.suffix in _SUFFIXES:
        return compile_here(await asyncio.to_thread(_read, path))[0]
    return (await call.client.get_processing_workflow(name)).workflow


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return read(file)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from None
