"""Batches on a real engine and store; the one step of each cell does as it is told."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import BatchItem, PostBatchCreateRequest, Session

from processing_service.engine.base import Progress, Resolution, Result, StepCall
from processing_service.engine.batches.control import Order
from processing_service.engine.batches.journal import Entry
from processing_service.engine.batches.records import BatchAction, BatchState
from processing_service.engine.definitions import parse_definition
from processing_service.engine.ids import TimeOrderedIds
from processing_service.engine.local import LocalEngine
from processing_service.engine.managers.batches import BatchProcessingManager
from processing_service.engine.managers.sessions import SessionManager
from processing_service.engine.managers.settings import SessionSettings
from processing_service.engine.managers.workflows import WorkflowManager
from processing_service.engine.observer import Observer
from processing_service.engine.records import Output
from processing_service.engine.store.batch import BatchRow
from processing_service.engine.store.sqlite import SqliteStore, StoreSettings
from processing_service.wire.errors import Code, CoordinatorError, Unavailable, not_found
from processing_service.wire.telemetry.hooks import Telemetry
from tests.unit.engine.definitions.catalog import Catalog

CATALOG = Catalog()
OPERATIONS = {"may-repeat": "model.get_model", "may-not": "model.post_model_load"}
"""By workflow: one whose call may be made again after a crash, and one whose may not."""
EVERY = range(1_000_000)


class CellRunner:
    """Makes the call of each cell, and counts them."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        """The cell of each call, in order."""
        self._failing: Collection[int] = ()
        self._failure = FAILURE
        self.held: Collection[int] = ()
        self.slow: dict[int, float] = {}
        """Seconds that the call of a cell takes."""
        self.out: set[int] = set()
        self.most_out = 0
        self._changed = asyncio.Event()

    async def resolve(self, call: StepCall) -> Resolution:
        return Resolution()

    async def run(self, call: StepCall, report: Callable[[Progress], None]) -> Result:
        assert call.session.cell is not None
        cell = call.session.cell.cell
        self.calls.append(cell)
        self.out.add(cell)
        self.most_out = max(self.most_out, len(self.out))
        self._tell()
        try:
            await asyncio.sleep(self.slow.get(cell, 0))
            while cell in self.held:
                await self._change()
            if cell in self._failing:
                raise self._failure
        finally:
            self.out.discard(cell)
            self._tell()
        return Result(Output("test.Result", b""))

    async def conclude(self, call: StepCall) -> bytes:
        return Session(trace_id="done").SerializeToString()

    def fail(self, cells: Collection[int], error: CoordinatorError | None = None) -> None:
        """Has the calls of those cells fail, and no others."""
        self._failing, self._failure = cells, error or FAILURE

    def release(self, *, but: Collection[int] = ()) -> None:
        """Holds no call any more, but for those of some cells."""
        self.held = but
        self._tell()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once that is true of the calls."""
        while not condition():
            await self._change()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _change(self) -> None:
        await self._changed.wait()


FAILURE = CoordinatorError(Code.INTERNAL, ErrorReason.ERROR_REASON_INTERNAL, "as told")
AWAY = Unavailable(ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE, "as told")


class Bench:
    """Engine, store and manager of one process."""

    def __init__(self, folder: Path, runner: CellRunner | None = None) -> None:
        self.folder, self.runner = folder, runner or CellRunner()
        self.store = SqliteStore(StoreSettings(folder))
        self.workflows = WorkflowManager(self.store.workflows, CATALOG, now_us)
        ids = TimeOrderedIds(now_us, os.urandom)
        sessions = SessionManager(self.workflows, SessionSettings(), ids, now_us, Telemetry())
        self.engine = LocalEngine(
            self.store.sessions,
            self.store.artifacts,
            self.runner,
            sessions.revive,
            now_us,
            Observer(Telemetry()),
            lambda context: None,
        )
        self.manager = BatchProcessingManager(
            self.store.batches, self.workflows, sessions, self.engine, ids, now_us, _pin, _keep
        )
        self.ticker = asyncio.ensure_future(self.engine.run())

    async def start(self) -> None:
        """As a coordinator does."""
        await self.manager.find_unfinished()
        await self.engine.recover()
        self.manager.take_up()

    async def put(self) -> None:
        """Stores the workflows."""
        for workflow_id, operation in OPERATIONS.items():
            step = {
                "step_id": "a",
                "operation": operation,
                "parameters": {"model_id": "m"},
                "retry": {"max_attempts": 1},
            }
            source = json.dumps({"workflow_id": workflow_id, "steps": [step]})
            await self.workflows.put("", parse_definition(source, CATALOG)[0])

    async def create(self, items: int, workflow_id: str = "may-repeat", **fields: Any) -> str:
        """A batch of so many items."""
        request = PostBatchCreateRequest(batch_id="b", workflow_ids=[workflow_id], **fields)
        request.items.extend(BatchItem(item_id=f"i{number}") for number in range(items))
        return await self.manager.create(request, "")

    async def execute(self, items: int, workflow_id: str = "may-repeat", **fields: Any) -> None:
        """Creates it and starts it."""
        await self.manager.execute(await self.create(items, workflow_id, **fields), "", Order(now_us()))

    async def control(self, action: BatchAction, priority: int = 0) -> None:
        """A client's wish."""
        await self.manager.control("b", "", Order(now_us(), action, priority))

    async def row(self) -> BatchRow:
        """The batch as it is stored."""
        return await self.store.batches.read("b", "")

    async def until(self, *states: BatchState) -> BatchRow:
        """The batch once it is in one of these states."""
        while True:
            changed = asyncio.ensure_future(self.store.batches.changed("b"))
            await asyncio.sleep(0)
            if (row := await self.row()).standing.state in states:
                changed.cancel()
                return row
            await changed

    async def ended(self) -> BatchRow:
        """The batch once it has ended; its counts add up at every event."""
        row = await self.until(*(state for state in BatchState if state.terminal))
        check_counts(row, await self.history())
        return row

    async def history(self) -> Sequence[Entry]:
        """All that happened to it."""
        return await self.store.batches.records(await self.row(), 0, 1_000_000)

    async def kinds(self) -> list[str]:
        """What happened to it, without the ends of cells; changes by the state that they led to."""
        return [
            entry.record.state.name if entry.record.kind.name == "BATCH_STATE_CHANGED" else entry.record.kind.name
            for entry in await self.history()
            if entry.record.kind.name != "CELL_ENDED"
        ]

    async def crash(self) -> None:
        """Ends as a killed process does: nothing is recorded of what was under way."""
        self.ticker.cancel()
        await self.manager.drain()
        await self.engine.drain(0)
        await self.store.close()

    async def restarted(self) -> Bench:
        """The next process on the same store, with the same calls."""
        await self.crash()
        again = Bench(self.folder, self.runner)
        await again.start()
        return again


def check_counts(row: BatchRow, history: Sequence[Entry]) -> None:
    """Numbers without a gap; counts of cells that add up to their number at every event."""
    assert [entry.sequence for entry in history] == list(range(1, len(history) + 1))
    for entry in history:
        counts = row.counted(entry.begun, entry.record.state)
        parts = (counts.pending, counts.running, counts.begun.get(6, 0), counts.cancelled)
        failed = sum(count for state, count in counts.begun.items() if state in (7, 9, 10))
        assert min(parts) >= 0, counts
        assert sum(parts) + failed == counts.total
    ends = Counter(entry.record.cell for entry in history if entry.record.kind.name == "CELL_ENDED")
    ended = sum(count for state, count in row.begun.items() if state >= 6)
    assert len(ends) == ended


def now_us() -> int:
    return time.time_ns() // 1000


async def _pin(model_id: str) -> str:
    if model_id.startswith("no-"):
        raise not_found(ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, "model", model_id)
    return f"1@{model_id}"


async def _keep(payloads: Any) -> list[bytes]:
    return []


@asynccontextmanager
async def batches(folder: Path) -> AsyncIterator[Bench]:
    """A process; it may be replaced by the next one with `restarted`."""
    bench = Bench(folder)
    await bench.put()
    try:
        yield bench
    finally:
        bench.runner.release()
        if not bench.ticker.done():
            await bench.crash()
