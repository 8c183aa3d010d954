"""An engine on a real store, and a runner of steps that does as it is told."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest, Session, WaitReason, Workflow

from processing_service.engine.base import (
    NotSent,
    OperationType,
    Progress,
    Resolution,
    Result,
    SessionContext,
    StepCall,
)
from processing_service.engine.events import Command
from processing_service.engine.live import Live
from processing_service.engine.local import LocalEngine
from processing_service.engine.observer import Observer
from processing_service.engine.records import Action, Durability, Output, Plan, SessionState, StepPlan
from processing_service.engine.store.base import SessionRow, SessionStart
from processing_service.engine.store.sqlite import SqliteStore, StoreSettings
from processing_service.wire.telemetry.hooks import Receive, SessionEnded, StepEnded, StepReused, Telemetry


class Turn:
    """A wait for a turn that never comes."""

    def __init__(self) -> None:
        self.since_us = now_us()
        self.taken_back = asyncio.Event()

    def reason(self) -> int:
        return 0 if self.taken_back.is_set() else WaitReason.WAIT_REASON_LIMIT

    def position(self) -> int:
        return 1

    def text(self) -> str:
        return "waits for its turn"

    def recall(self) -> None:
        self.taken_back.set()


class Runner:
    """Makes calls that do as they are told: succeed at once, wait for `release`, or fail."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.cancelled: list[str] = []
        self.failures: dict[str, list[Exception]] = {}
        self.held: set[str] = set()
        self.release = asyncio.Event()
        self.queued: set[str] = set()
        """Steps whose calls wait for their turn, behind `release` if they are held, too."""
        self._reached: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.items: dict[int, Resolution] = {}
        self.stubborn = False
        self.padding = b""
        self.identities: dict[str, bytes] = {}
        """What others may take the results of these steps by."""
        self.taken: dict[str, Result] = {}
        """Results of steps that make no call."""

    async def resolve(self, call: StepCall) -> Resolution:
        return self.items[call.step]

    async def run(self, call: StepCall, report: Callable[[Progress], None]) -> Result:
        step = call.key.split("/")[1]
        step_id = step.split("#")[0]
        if step_id in self.taken:
            return self.taken[step_id]
        self.calls.append(step)
        self._reached[step].set()
        if failures := self.failures.get(step.split("#")[0]):
            raise failures.pop(0)
        if step.split("#")[0] in self.held:
            await self._hold(step)
        if step_id in self.queued:
            report(Progress(0.0, wait=(turn := Turn())))
            await turn.taken_back.wait()
            raise NotSent
        report(Progress(1.0))
        output = Output("test.Result", step.encode() + self.padding)
        return Result(output, identity=self.identities.get(step_id, b""))

    async def until(self, step: str) -> None:
        """Returns once that call has come; "outputs": once these are evaluated."""
        await self._reached[step].wait()

    async def _hold(self, step: str) -> None:
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.append(step)
            if not self.stubborn:
                raise
            await self.release.wait()

    async def conclude(self, call: StepCall) -> bytes:
        self._reached["outputs"].set()
        if "outputs" in self.held:
            await self._hold("outputs")
        return Session(trace_id="done").SerializeToString()


class Heard:
    """A sink that keeps the ends it was told of."""

    def __init__(self) -> None:
        self.sessions: list[str] = []
        self.steps: list[str] = []

    def receivers(self) -> Mapping[type, Receive]:
        return {
            SessionEnded: lambda record: self.sessions.append(f"{record.session_id} {record.state}"),
            StepEnded: lambda record: self.steps.append(f"{record.step_key} {record.state}"),
            StepReused: lambda record: self.steps.append(f"{record.operation} reused"),
        }


class Bench:
    """An engine on a real store, and what it is asked to run."""

    def __init__(self, folder: Path, *steps: StepPlan) -> None:
        self.plan = Plan.of(steps)
        self.runner, self.heard = Runner(), Heard()
        self.store = SqliteStore(StoreSettings(folder))
        self.engine = LocalEngine(
            self.store.sessions,
            self.store.artifacts,
            self.runner,
            self._revive,
            now_us,
            Observer(Telemetry([self.heard])),
            lambda context: None,
        )
        self.ticker = asyncio.ensure_future(self.engine.run())

    def _revive(self, row: SessionRow) -> tuple[SessionContext, Plan]:
        return context(row.start.session_id), self.plan

    async def submit(
        self, session_id: str = "s", *, durability: Durability = Durability.FULL, **changes: object
    ) -> Live:
        start = SessionStart(session_id, "", "wf", b"d" * 32, b"def", b"", now_us(), 60_000_000, durability=durability)
        _, live = await self.engine.submit(start._replace(**changes), context(session_id), self.plan)
        assert live is not None
        return live

    async def end(self, live: Live) -> SessionState:
        final = await live.wait(now_us() + 10_000_000)
        assert final is not None
        return final.state.state

    async def history(self, session_id: str = "s") -> list[str]:
        return [record.kind.name for record in await self.store.sessions.records(session_id, "", 0, 1000)]

    def command(self, action: Action) -> Command:
        return Command(now_us(), action, now_us(), "r", "me")

    async def crash(self) -> None:
        """Ends as a killed process does: nothing is recorded of what was under way."""
        self.ticker.cancel()
        await self.engine.drain(0)
        await self.store.close()


class Names:
    """All that the engine reads of a definition."""

    workflow = Workflow(workflow_id="wf")
    operation = OperationType("test.call", Workflow.DESCRIPTOR, Workflow.DESCRIPTOR, True, True)

    @property
    def steps(self) -> tuple[Names, ...]:
        return (self,) * 3


def now_us() -> int:
    return time.time_ns() // 1000


def context(session_id: str) -> SessionContext:
    return SessionContext(session_id, "", Names(), PostWorkflowExecuteRequest(), {})  # type: ignore[arg-type]


@asynccontextmanager
async def running(folder: Path, *steps: StepPlan) -> AsyncIterator[Bench]:
    bench = Bench(folder, *steps)
    try:
        yield bench
    finally:
        bench.runner.release.set()
        await bench.crash()


CHAIN = (StepPlan("a"), StepPlan("b", (0,)), StepPlan("c", (1,)))
