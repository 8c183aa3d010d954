"""Programs that are built once, and where they find their server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.acceptance.processes import Server
from tests.clients.languages import PROGRAMS, ROOT, Program, build

Ready = Callable[[Program], Awaitable[None]]
WORKFLOWS = ("read-text", "three-echoes")


@pytest.fixture(params=PROGRAMS, ids=lambda program: program.name)
def program(request: pytest.FixtureRequest) -> Program:
    """Each program; one whose toolchain is not here says so."""
    chosen: Program = request.param
    if chosen.missing:
        pytest.skip(f"NOT RUN: the {chosen.name} client ({chosen.missing} is not on PATH)")
    return chosen


@pytest.fixture(scope="session")
def ready() -> Ready:
    """Builds a program, unless that has been done."""
    built: set[str] = set()

    async def made(program: Program) -> None:
        if program.folder not in built:
            await build(program.folder)
            built.add(program.folder)

    return made


@pytest.fixture
async def coordinator(tmp_path: Path, model_repository: Path) -> AsyncIterator[str]:
    """The address of a coordinator with its domains, the models and both workflows."""
    server = Server("--listen", "localhost:0", "--store", str(tmp_path / "store"), "--models", str(model_repository))
    try:
        address = await server.start()
        async with server.client() as client:
            for name in WORKFLOWS:
                source = (ROOT / "examples" / "workflows" / f"{name}.yaml").read_text(encoding="utf-8")
                await client.put_processing_workflow(source)
        yield address
    finally:
        await server.kill()
