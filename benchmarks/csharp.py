"""The C# client: beside a bare channel, beside its own watches, and over restarts of the coordinator."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from statistics import median
from typing import Any, Final

from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub

from benchmarks import dotnet
from benchmarks.busy import Busy
from benchmarks.calls import put_workflow, session, workflow_of
from benchmarks.options import Options
from benchmarks.rounds import tell
from benchmarks.rows import Row, Spread, Target
from benchmarks.servers import channel_to, free_address, serving

ROWS: Final = ("csharp-unary", "csharp-beside", "csharp-restarts")
_CALLERS: Final = 64
_WATCHES: Final = 300
_RESTARTS: Final = 20
_PROJECT: Final = "Benchmarks"


async def measure(options: Options) -> list[Row]:
    """The rows that are wanted; none where there is no dotnet."""
    if dotnet.is_missing("the rows of the C# client"):
        return []
    await dotnet.build(_PROJECT)
    makers = {"csharp-unary": _unary, "csharp-beside": _beside, "csharp-restarts": _restarts}
    return [await make(options) for name, make in makers.items() if options.wants(name)]


async def _unary(options: Options) -> Row:
    async with serving(options.folder / "unary") as server, channel_to(server) as channel:
        session_id = await _ended_session(channel)
        rates: dict[str, list[float]] = {"client": [], "bare": []}
        for turn in range(options.rounds):
            for kind in ("client", "bare") if turn % 2 == 0 else ("bare", "client"):
                found = await _run("unary", kind, f"http://{server.address}", session_id, options.seconds, _CALLERS)
                rates[kind].append(found["calls"] / found["seconds"])
                tell(f"round {turn + 1}: {kind} {rates[kind][-1]:.0f}/s")
    figure = Spread.of([ours / bare for ours, bare in zip(rates["client"], rates["bare"], strict=True)])
    what = f"GetProcessingSession by the C# client, {_CALLERS} callers, by a bare Grpc.Net.Client"
    ours, peer = (f"{median(rates[kind]):.0f}/s" for kind in ("client", "bare"))
    return Row("csharp-unary", what, figure, Target(">=", 0.9, "x"), ours, peer)


async def _beside(options: Options) -> Row:
    async with serving(options.folder / "beside") as server, channel_to(server) as channel:
        busy = Busy(channel)
        await busy.put()
        await busy.start("busy", 9_000, 60)
        address = f"http://{server.address}"
        found = [await _run("beside", address, "busy", options.seconds, _WATCHES) for _ in range(options.rounds)]
    figure = Spread.of([1e3 * one["p99"] for one in found])
    what = f"p99 of GetProcessingSession while {_WATCHES} watches are open on the same C# client"
    return Row(
        "csharp-beside", what, figure, Target("<", 50, "ms"), f"p50 {1e3 * median(one['p50'] for one in found):.2f} ms"
    )


async def _restarts(options: Options) -> Row:
    address, folder = free_address(), options.folder / "restarts"
    async with serving(folder, address=address) as server, channel_to(server) as channel:
        busy = Busy(channel)
        await busy.put()
        await busy.start("busy", 300, 0.2)
        watching = asyncio.ensure_future(_run("watch", f"http://{address}", "busy"))
        await _grown(channel, 20)
        server.process.kill()
    for number in range(1, _RESTARTS + 1):
        async with serving(folder, address=address) as server, channel_to(server) as channel:
            busy = Busy(channel)
            await _grown(channel, 5)
            if number < _RESTARTS:
                server.process.kill()
                continue
            sequences = (await watching)["sequences"]
            history = [event.sequence for event in await busy.history("busy")]
    faults = abs(len(history) - len(sequences)) + sum(a != b for a, b in zip(sequences, history, strict=False))
    what = f"watch of the C# client over {_RESTARTS} restarts: gaps and duplicates"
    return Row("csharp-restarts", what, Spread.one(faults), Target("<=", 0), f"{len(history)} events")


async def _grown(channel: Any, events: int) -> None:
    """Waits until the history has that many events more: each life of the coordinator adds to it."""
    before = await _last_sequence(channel)
    while await _last_sequence(channel) < before + events:  # noqa: ASYNC110 - another process is awaited
        await asyncio.sleep(0.05)


async def _last_sequence(channel: Any) -> int:
    reply = await ProcessingServiceStub(channel).GetProcessingSession(pb.GetProcessingSessionRequest(session_id="busy"))
    return int(reply.session.last_sequence)


async def _ended_session(channel: Any) -> str:
    """A small session to read."""
    await put_workflow(channel, workflow_of(1))
    await session(channel, 1)()
    reply = await ProcessingServiceStub(channel).GetProcessingSessions(pb.GetProcessingSessionsRequest())
    return str(reply.sessions[0].session_id)


async def _run(*arguments: str | Path | float) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        "dotnet", str(dotnet.program(_PROJECT)), *map(str, arguments), stdout=asyncio.subprocess.PIPE
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:  # the row was broken off
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"the C# program {arguments[0]} ended with {process.returncode}")
    found: dict[str, Any] = json.loads(output)
    return found
