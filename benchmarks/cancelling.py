"""From a CANCEL that is sent to the handler of a domain in another process that learns of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub

from benchmarks.calls import put_workflow, session, workflow_of
from benchmarks.options import Options
from benchmarks.rounds import Foreign, closed_loop, tell
from benchmarks.rows import Row, Spread, Target
from benchmarks.servers import channel_to, running, serving

ROWS: Final = ("cancel", "cancel-long", "cancel-loaded")
_CALLS: Final = 32
"""Calls that are out at once, half of what may be to one domain; they are cancelled one after the other."""
_CALLERS: Final = 8
"""Of other sessions, meanwhile, where the row says so; more would have every call wait its turn, a cancel, too."""
_BATCHES: Final = 8
"""Times that so many are begun and cancelled in a round."""
_ITEMS: Final = 3_000
"""Calls before the one that is cancelled, where the history is long; each makes two events."""
_TIMEOUT_S: Final = 60.0
_LONG: Final = """
workflow_id: long
parameters: {text: {value_type: STRING}, texts: {value_type: STRING, is_list: true}}
steps:
- step_id: say
  operation: postprocessing.post_postprocessing_execute
  foreach: {items: "${parameters.texts}", max_parallel: 8}
  parameters: {echo: {text: "${item}"}}
- step_id: wait
  operation: postprocessing.post_postprocessing_execute
  depends_on: [say]
  parameters: {echo: {text: "${parameters.text}"}}
"""


async def measure(options: Options) -> list[Row]:
    """The rows that are wanted."""
    rows = []
    async with _places(options.folder) as cancels:
        await cancels.some()  # warm
        idle = [await _round("cancel", cancels) for _ in range(options.rounds)]
        long = [await _long(cancels) for _ in range(options.rounds)] if options.wants("cancel-long") else []
        loaded = [await _loaded(cancels) for _ in range(options.rounds)] if options.wants("cancel-loaded") else []
    what = "cancel sent to the handler in another process cancelled, p99 of 256"
    if options.wants("cancel"):
        rows.append(_row("cancel", what, idle))
    if long:
        rows.append(_row("cancel-long", f"the same of a session of {2 * _ITEMS:,} events, once a round", long))
    if loaded:
        rows.append(_row("cancel-loaded", f"the same while {_CALLERS} callers run sessions", loaded))
    return rows


class _Round:
    """What a round measured."""

    def __init__(self, name: str, seconds: Sequence[float], foreign: float) -> None:
        ordered = sorted(seconds)
        self.p50_ms, self.p99_ms = (1e3 * ordered[int(share * len(ordered))] for share in (0.5, 0.99))
        self.foreign = foreign
        tell(f"{name}: p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms, foreign {foreign:.2f}")


class _Cancels:
    """Sessions whose calls are out at a domain that says when they are cancelled."""

    def __init__(self, channel: grpc.aio.Channel, log: Path, processes: Sequence[Any]) -> None:
        self.channel, self.processes = channel, processes
        self._stub: Any = ProcessingServiceStub(channel)
        self._log, self._number = log, 0

    async def some(self, workflow_id: str = "echoes1", calls: int = _CALLS, **more: Any) -> list[float]:
        """Seconds from each cancel to its arrival."""
        self._number += 1
        names = [f"c{self._number}-{number}" for number in range(calls)]
        for name in names:
            request = pb.PostWorkflowExecuteRequest(workflow_id=workflow_id, session_id=name, background=True)
            request.parameters.update({"text": "silent", **more})
            await self._stub.PostWorkflowExecute(request, timeout=_TIMEOUT_S)
        await self._told("asked", names)
        sent = {}
        for name in names:
            action = pb.CONTROL_ACTION_CANCEL
            sent[name] = time.monotonic()
            await self._stub.PostSessionControl(
                pb.PostSessionControlRequest(session_id=name, control_action=action), timeout=_TIMEOUT_S
            )
        heard = await self._told("cancelled", names)
        return [heard[name] - sent[name] for name in names]

    async def _told(self, what: str, names: Sequence[str]) -> dict[str, float]:
        """When the domain said that of each of them."""
        async with asyncio.timeout(_TIMEOUT_S):
            while True:
                lines = [line.split() for line in self._log.read_text("utf-8").splitlines()]
                found = {line[1]: float(line[2]) for line in lines if len(line) == 3 and line[0] == what}
                if found.keys() >= set(names):
                    return found
                await asyncio.sleep(0.05)


@asynccontextmanager
async def _places(folder: Path) -> AsyncIterator[_Cancels]:
    async with AsyncExitStack() as stack:
        domain = await stack.enter_async_context(running("benchmarks.silent_domain", (), folder / "domain", ""))
        flags = ("--postprocessing-address", domain.address)
        server = await stack.enter_async_context(serving(folder / "coordinator", *flags))
        channel = await stack.enter_async_context(channel_to(server))
        await put_workflow(channel, workflow_of(1))
        await put_workflow(channel, workflow_of(3))
        await put_workflow(channel, _LONG)
        yield _Cancels(channel, folder / "domain" / "log", (domain.process, server.process))


async def _round(name: str, cancels: _Cancels) -> _Round:
    others = Foreign(cancels.processes)
    seconds = [one for _ in range(_BATCHES) for one in await cancels.some()]
    return _Round(name, seconds, others.cores())


async def _long(cancels: _Cancels) -> _Round:
    """One at a time: its history takes a while to be made."""
    others = Foreign(cancels.processes)
    seconds = await cancels.some("long", 1, texts=[str(number) for number in range(_ITEMS)])
    return _Round("cancel-long", seconds, others.cores())


async def _loaded(cancels: _Cancels) -> _Round:
    """While the coordinator and the domain are busy with others."""
    load = asyncio.ensure_future(closed_loop(_CALLERS, session(cancels.channel, 3), seconds=3600))
    try:
        return await _round("cancel-loaded", cancels)
    finally:
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)


def _row(name: str, what: str, rounds: Sequence[_Round]) -> Row:
    p50 = Spread.of([one.p50_ms for one in rounds])
    figure, foreign = Spread.of([one.p99_ms for one in rounds]), max(one.foreign for one in rounds)
    return Row(name, what, figure, Target("<", 50, "ms"), f"p50 {p50} ms", foreign=foreign)
