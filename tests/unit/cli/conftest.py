"""The command line as a process."""

import asyncio
import os
import sys
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path):
    """Runs a command in an empty folder."""

    async def run(*arguments, address="127.0.0.1:1", stdin=b"", **environment):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "processing_service.cli",
            *map(str, arguments),
            cwd=tmp_path,
            env=os.environ | {"PROCESSING_SERVICE__CLIENT__ADDRESS": address} | environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(stdin)
        return Ended(process.returncode, out.decode(), err.decode())

    return run


@pytest.fixture
def ask(run, coordinator):
    """Runs a command against the test's coordinator."""

    async def ask(*arguments, **options):
        return await run(*arguments, address=coordinator.address, **options)

    return ask
