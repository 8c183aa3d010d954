"""Server processes for acceptance: started as a user starts them, killed as a machine kills them."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from processing_service.client import CoordinatorClient

START_S = 30.0


SERVE = ("processing_service.cli", "serve")


class Server:
    """One `processing-service serve`, or another module that serves; `kill` is kill -9, `stop` is SIGTERM."""

    def __init__(self, *arguments: str, module: Sequence[str] = SERVE) -> None:
        self._arguments = (*module, *arguments)
        self._process: asyncio.subprocess.Process | None = None
        self.address = ""
        self.output: list[str] = []
        self._reader: asyncio.Future[None] | None = None

    async def start(self) -> str:
        """Starts it and returns its address once it serves."""
        command = (sys.executable, "-m", *self._arguments)
        self._process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        await asyncio.wait_for(self._until_serving(), START_S)
        return self.address

    def client(self) -> CoordinatorClient:
        """A client of it."""
        return CoordinatorClient(self.address)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    async def _until_serving(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := (await self._process.stdout.readline()).decode():
            self.output.append(line)
            if line.startswith("serving on "):
                self.address = line.split()[-1]
                self._reader = asyncio.ensure_future(self._read(self._process.stdout))
                return
        raise AssertionError("the server ended: " + "".join(self.output))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := (await stream.readline()).decode():
            self.output.append(line)

    async def kill(self) -> None:
        """kill -9."""
        await self.end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        return await self.end(signal.SIGTERM)

    def tell(self, number: signal.Signals) -> None:
        """A signal that it may take its time for."""
        assert self._process is not None
        self._process.send_signal(number)

    async def says(self, text: str) -> None:
        """Waits until a line of its output has the text."""
        async with asyncio.timeout(START_S):
            while not any(text in line for line in self.output):  # noqa: ASYNC110 - another process is awaited
                await asyncio.sleep(0.01)

    async def end(self, number: signal.Signals) -> int:
        """A signal, and the exit code that the process ends with."""
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(number)
        code = await process.wait()
        if self._reader is not None:
            await self._reader
        return code


class Topology:
    """Where the coordinator and its domains are."""

    def __init__(self, coordinator: Server, domains: Sequence[Server]) -> None:
        self.coordinator, self.domains = coordinator, domains

    async def kill(self) -> None:
        """kill -9 to every process."""
        for server in (self.coordinator, *self.domains):
            await server.kill()

    async def start(self) -> None:
        """Starts every process that does not run."""
        for server in (*self.domains, self.coordinator):
            await server.start()

    def client(self) -> CoordinatorClient:
        """A client of the coordinator."""
        return self.coordinator.client()


DOMAINS = ("inference", "model", "postprocessing")


@asynccontextmanager
async def topology(kind: str, folder: Path, models: Path) -> AsyncIterator[Topology]:
    """`embedded`, `unix` or `tcp`; the processes run for as long as the context lasts."""
    made = _embedded(folder, models) if kind == "embedded" else await _apart(kind, folder, models)
    async with AsyncExitStack() as stack:
        for server in (made.coordinator, *made.domains):
            stack.push_async_callback(server.kill)
        await made.start()
        yield made


def _embedded(folder: Path, models: Path) -> Topology:
    address = f"unix:{folder}/coordinator.sock"
    return Topology(Server("--store", str(folder / "store"), "--models", str(models), "--listen", address), ())


async def _apart(kind: str, folder: Path, models: Path) -> Topology:
    addresses = {name: await address_for(kind, name, folder) for name in (*DOMAINS, "processing")}
    flags = {name: (f"--{name}-address", addresses[name]) for name in DOMAINS}
    domains = [
        Server("--only", "inference", "--listen", addresses["inference"], "--models", str(models)),
        Server("--only", "model", "--listen", addresses["model"], "--models", str(models), *flags["inference"]),
        Server("--only", "postprocessing", "--listen", addresses["postprocessing"]),
    ]
    reached = [part for name in DOMAINS for part in flags[name]]
    coordinator = Server(
        "--only", "processing", "--listen", addresses["processing"], "--store", str(folder / "store"), *reached
    )
    return Topology(coordinator, domains)


async def address_for(kind: str, name: str, folder: Path) -> str:
    """Fixed, so that a process that is started again is found where it was."""
    if kind == "unix":
        return f"unix:{folder}/{name}.sock"
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    return f"127.0.0.1:{port}"
