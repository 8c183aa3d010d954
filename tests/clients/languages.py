"""The programs of examples/clients: what each needs, and how it is built and run."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD_S = 900.0
RUN_S = 300.0


@dataclass(frozen=True)
class Program:
    """One client; `build.sh` of its folder generates its stubs and builds it."""

    name: str
    """Of the language, and of the client where it has two."""
    folder: str
    """Under examples/clients."""
    tools: Sequence[str]
    """Commands that have to be on PATH."""
    command: Sequence[str]
    """What runs it, in its folder; address and page come behind it."""

    @property
    def missing(self) -> str:
        """The first tool that is not on PATH; empty if all are."""
        return next((tool for tool in self.tools if shutil.which(tool) is None), "")


PROGRAMS = (
    Program("python", "python", (), (".venv/bin/python", "read_text.py")),
    Program("csharp", "csharp", ("dotnet",), ("dotnet", "bin/ReadText.dll")),
    Program("go", "go", ("go",), ("bin/read-text",)),
    Program("java", "java", ("java", "mvn"), ("java", "-cp", "target/classes:target/lib/*", "readtext.ReadText")),
    Program("typescript-connect", "typescript", ("node", "npm"), ("node", "dist/src/connect.js")),
    Program("typescript-grpc-js", "typescript", ("node", "npm"), ("node", "dist/src/grpc-js.js")),
)


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    code: int
    output: str
    """Standard output."""
    errors: str
    """Standard error."""


async def build(folder: str) -> None:
    """Runs `build.sh` of a folder, with the buf and the Python of the tests."""
    ended = await _run(["./build.sh"], folder, BUILD_S)
    assert ended.code == 0, f"{folder}/build.sh exited with {ended.code}:\n{ended.output[-4000:]}{ended.errors[-4000:]}"


async def run(program: Program, address: str, page: Path) -> Ended:
    """Runs a program that was built."""
    return await _run([*program.command, address, str(page)], program.folder, RUN_S)


async def _run(command: Sequence[str], folder: str, limit: float) -> Ended:
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT / "examples" / "clients" / folder,
        env=os.environ | {"PATH": tools, "PYTHON": sys.executable, "PYTHONPATH": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), limit)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), errors.decode())
