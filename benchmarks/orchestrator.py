"""The web API: what it costs beside direct gRPC, how many event streams it holds, how it starts and whether it grows.

Needs a .NET SDK on PATH; without one the rows are left out, with a line that says so.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, Final

import psutil

from benchmarks import dotnet
from benchmarks.busy import Busy
from benchmarks.calls import put_workflow, workflow_of
from benchmarks.options import Options
from benchmarks.rounds import Foreign, tell
from benchmarks.rows import Row, Spread, Target
from benchmarks.servers import Server, channel_to, free_address, serving

ROWS: Final = ("rest-rate", "rest-added", "rest-streams", "rest-memory", "rest-start", "rest-idle", "rest-growth")
_CALLERS: Final = 64
_STREAMS: Final = 1_000
_REQUESTS: Final = 100_000
_PATIENCE_S: Final = 30.0
_LOOK_S: Final = 0.5


async def measure(options: Options) -> list[Row]:
    """The rows that are wanted."""
    if dotnet.is_missing("the rows of the web API"):
        return []
    for project in ("Coordinator.Orchestrator", "Orchestrator.Benchmarks"):
        await dotnet.build(project)
    rows: list[Row] = []
    async with serving(options.folder / "orchestrator") as server, channel_to(server) as channel:
        await put_workflow(channel, workflow_of(1))
        if any(map(options.wants, ("rest-rate", "rest-added"))):
            rows += await _compared(options, server)
        if any(map(options.wants, ("rest-start", "rest-idle", "rest-growth"))):
            rows += await _aged(options, server)
        if any(map(options.wants, ("rest-streams", "rest-memory"))):
            busy = Busy(channel)
            await busy.put()
            rows += await _streamed(options, server, busy)
    return [row for row in rows if options.wants(row.name)]


@dataclass(frozen=True, slots=True)
class _Api:
    url: str
    process: psutil.Process
    startup: float

    @property
    def resident_mb(self) -> float:
        return float(self.process.memory_info().rss / 1e6)


@asynccontextmanager
async def _api(server: Server) -> AsyncIterator[_Api]:
    """The web API, from its first `ready` on."""
    address = free_address()
    settings = {"Urls": f"http://{address}", "Coordinator__Address": f"http://{server.address}"}
    started = perf_counter()
    process = await _spawn("Coordinator.Orchestrator", [], settings | {"Logging__LogLevel__Default": "Warning"})
    try:
        await asyncio.wait_for(_ready(address), _PATIENCE_S)
        yield _Api(f"http://{address}", psutil.Process(process.pid), perf_counter() - started)
    finally:
        process.kill()
        await process.wait()


async def _spawn(project: str, arguments: Sequence[str], settings: dict[str, str]) -> asyncio.subprocess.Process:
    program = dotnet.program(project)
    pipe = asyncio.subprocess.PIPE
    command = ["dotnet", str(program), *arguments]
    return await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe if arguments else asyncio.subprocess.DEVNULL, cwd=program.parent,
        env=os.environ | settings,
    )  # fmt: skip


async def _ready(address: str) -> None:
    host, _, port = address.rpartition(":")
    while b" 200 " not in await _head(host, int(port)):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)


async def _head(host: str, port: int) -> bytes:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return b""
    writer.write(b"GET /health/ready HTTP/1.1\r\nHost: benchmarks\r\nConnection: close\r\n\r\n")
    first = await reader.readline()
    writer.close()
    return first


class _Load:
    """The program that makes the load."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.process = psutil.Process(process.pid)

    async def do(self, order: str) -> dict[str, Any]:
        """Its answer to an order."""
        await self.say(order)
        answer: dict[str, Any] = json.loads(await self.hear())
        return answer

    async def say(self, order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n".encode())
        await self._process.stdin.drain()

    async def hear(self) -> str:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise ChildProcessError("the program that makes the load ended")
        return line.decode().strip()


@asynccontextmanager
async def _load(server: Server, api: _Api) -> AsyncIterator[_Load]:
    process = await _spawn("Orchestrator.Benchmarks", [f"http://{server.address}", api.url], {})
    try:
        yield _Load(process)
    finally:
        process.kill()
        await process.wait()


async def _compared(options: Options, server: Server) -> list[Row]:
    """REST beside direct gRPC, in turns."""
    ways: dict[str, list[dict[str, Any]]] = {
        f"{way} {callers}": [] for callers in (_CALLERS, 1) for way in ("grpc", "rest")
    }
    async with _api(server) as api, _load(server, api) as load:
        others = Foreign((server.process, api.process, load.process))
        for way in ways:
            await load.do(f"{way} {options.seconds / 2}")  # warms up
        for turn in range(options.rounds):
            for way in list(ways)[:: 1 if turn % 2 == 0 else -1]:
                ways[way].append(await load.do(f"{way} {options.seconds}"))
                tell(f"round {turn + 1}: {way} {ways[way][-1]}")
        foreign = others.cores()
    rates = {way: [load["operations"] / load["seconds"] for load in loads] for way, loads in ways.items()}
    ratios = [rest / grpc for rest, grpc in zip(rates[f"rest {_CALLERS}"], rates[f"grpc {_CALLERS}"], strict=True)]
    return [
        Row(
            "rest-rate",
            f"echo workflow over REST by direct gRPC from C#, {_CALLERS} callers",
            Spread.of(ratios),
            Target(">=", 0.6, "x"),
            f"{median(rates[f'rest {_CALLERS}']):.0f}/s",
            f"{median(rates[f'grpc {_CALLERS}']):.0f}/s",
            foreign,
        ),
        Row(
            "rest-added",
            "p50 that REST adds to a call, one caller",
            Spread.of(_added(ways["rest 1"], ways["grpc 1"])),
            Target("<=", 2, "ms"),
            f"with {_CALLERS} callers {median(_added(ways[f'rest {_CALLERS}'], ways[f'grpc {_CALLERS}'])):.1f} ms",
            foreign=foreign,
        ),
    ]


def _added(rest: Sequence[dict[str, Any]], grpc: Sequence[dict[str, Any]]) -> list[float]:
    return [1e3 * (one["p50"] - other["p50"]) for one, other in zip(rest, grpc, strict=True)]


async def _aged(options: Options, server: Server) -> list[Row]:
    """Its start, its idle memory, and its memory after many requests."""
    async with _api(server) as api, _load(server, api) as load:
        idle, startup = api.resident_mb, api.startup
        await load.do(f"rest 1 {min(1.0, options.seconds)}")
        session_id = await _some_session(api)
        count = min(_REQUESTS, options.sessions)
        sizes = []
        for _ in range(4):
            await load.do(f"get {_CALLERS} {count // 4} {session_id}")
            sizes.append(api.resident_mb)
    grown = Spread.one(sizes[3] - sizes[1])
    growth = f"{count} requests: " + ", ".join(f"{size:.0f}" for size in sizes)
    return [
        Row("rest-start", "start of the web API to ready", Spread.one(startup), Target("<", 2, "s")),
        Row("rest-idle", "memory of the web API that was just started", Spread.one(idle), Target("<", 120, "MB")),
        Row("rest-growth", "memory that the second half of them added", grown, Target("<=", 5, "MB"), growth),
    ]  # fmt: skip


async def _some_session(api: _Api) -> str:
    host, _, port = api.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    path = "/api/processing/sessions?pageSize=1"
    writer.write(f"GET {path} HTTP/1.0\r\nHost: benchmarks\r\nConnection: close\r\n\r\n".encode())
    text = (await reader.read()).decode()
    writer.close()
    return text.split('"sessionId": "')[1].split('"')[0]


async def _streamed(options: Options, server: Server, busy: Busy) -> list[Row]:
    """Many event streams of one busy session."""
    count = _STREAMS if options.seconds > 1 else 100
    async with _api(server) as api, _load(server, api) as load:
        await load.do(f"rest 1 {min(1.0, options.seconds)}")
        before = api.resident_mb
        await busy.start("streamed", 600, 0.1)
        await load.say(f"streams {count} streamed")
        assert await load.hear() == "open"
        reading = asyncio.ensure_future(load.hear())
        most = api.resident_mb
        while not reading.done():
            await asyncio.wait((reading,), timeout=_LOOK_S)
            most = max(most, api.resident_mb)
        seen = json.loads(reading.result())
        history = await busy.history("streamed")
    lost = count - seen["complete"] if seen["events"] == len(history) else count
    ours = f"{len(history)} events each"
    return [
        Row(
            "rest-streams",
            f"of {count} event streams those that missed an event",
            Spread.one(lost),
            Target("<=", 0),
            ours,
        ),
        Row(
            "rest-memory",
            f"memory of the web API by stream, {count} open, at its highest",
            Spread.one(1e3 * (most - before) / count),
            Target("<", 120, "KB"),
        ),
    ]
