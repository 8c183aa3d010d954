"""The processes of a run: a nursery with its server, and the domain that counts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
START_S = 60.0


class Server:
    """One server process; `born` has its id, `ended` the code that it ends with."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.born: asyncio.Future[int] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()

    async def kill(self) -> None:
        """kill -9."""
        if not self.ended.done():
            await asyncio.wait([self.born, self.ended], return_when=asyncio.FIRST_COMPLETED)
            if not self.ended.done():
                with suppress(ProcessLookupError):  # it came by its point just now, and nobody has said so yet
                    os.kill(self.born.result(), signal.SIGKILL)
            await self.ended

    def hear(self, line: str) -> None:
        """A line of its nursery, or of the server itself."""
        if line.startswith("born "):
            self.born.set_result(int(line.split()[1]))
        elif line.startswith("ended ") and not self.ended.done():
            self.ended.set_result(int(line.split()[1]))


class Nursery:
    """Starts servers, one at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._server: Server | None = None

    def start(self, arguments: Sequence[str], *, point: str = "", passes: int = 0, fault: str = "") -> Server:
        """Begins to start a server that dies at a point, if one is named."""
        assert self._process.stdin is not None
        order = {"arguments": arguments, "point": point, "passes": passes, "fault": fault}
        self._server = Server()
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return self._server

    async def kill(self) -> None:
        """Kills the server that runs, if there is one."""
        if self._server is not None:
            await self._server.kill()

    async def read(self) -> None:
        """Tells the server what the nursery says of it."""
        assert self._process.stdout is not None
        while line := (await self._process.stdout.readline()).decode():
            if self._server is not None:
                self._server.hear(line)
        if self._server is not None:
            self._server.hear("ended 1")  # with its nursery


@asynccontextmanager
async def nursery(log: Path) -> AsyncIterator[Nursery]:
    """A nursery for as long as the context lasts; its server is killed at the end. Errors of servers go to the log."""
    with log.open("ab") as errors:
        process = await _spawn("tests.crashing.nursery", stdin=asyncio.subprocess.PIPE, stderr=errors)
    assert process.stdin is not None
    made = Nursery(process)
    await _hears(process, b"ready\n")
    reading = asyncio.ensure_future(made.read())
    try:
        yield made
    finally:
        process.stdin.close()
        await process.wait()
        await reading


@asynccontextmanager
async def counting_domain(address: str, descriptor_set: Path, log: Path) -> AsyncIterator[None]:
    """The domain that counts, for as long as the context lasts."""
    process = await _spawn(
        "tests.crashing.domain", address, str(descriptor_set), str(log), stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    await _hears(process, b"serving\n")
    try:
        yield
    finally:
        process.stdin.close()
        await process.wait()


async def _spawn(module: str, *arguments: str, **streams: Any) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", module, *arguments)
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT, **streams)


async def _hears(process: asyncio.subprocess.Process, text: bytes) -> None:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), START_S)
    assert line == text, line
