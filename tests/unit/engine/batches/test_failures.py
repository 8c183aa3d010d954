"""No further cell begins while more have failed than may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.batches.cells_out import CellsOut
from processing_service.engine.batches.chores import Chores
from processing_service.engine.batches.cursor import Cursor, Task
from processing_service.engine.batches.failures import Failures
from processing_service.engine.batches.ledger import BatchLedger
from processing_service.engine.batches.rules import FailureLimit
from processing_service.engine.batches.signal import Signal
from processing_service.engine.batches.workers import Workers
from processing_service.engine.records import Fault
from processing_service.wire.errors import Code
from tests.cells import batches, now_us

TAKEN = Fault(Code.ALREADY_EXISTS, ErrorReason.ERROR_REASON_SESSION_ALREADY_EXISTS, "taken")


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[Workers]:
    """Of a batch whose cells nobody begins."""
    async with batches(tmp_path) as bench:
        await bench.create(10)
        row, store, signal, chores = await bench.row(), bench.store.batches, Signal(), Chores("b")
        ledger = BatchLedger(row, store, now_us, signal)
        out = CellsOut(ledger, bench.engine, chores, now_us)
        yield Workers(1, Cursor(store, row), ledger, out, chores, signal, _begin, lambda: False)


async def test_one_too_many_closes_the_batch(workers: Workers) -> None:
    failures = Failures(FailureLimit(cells=2), 10, workers)
    failures.add(2)
    assert not workers.closed
    failures.add(1)

    assert workers.fault is not None
    assert workers.fault.facts == (("failed_count", "3"), ("allowed", "2"))


async def test_it_is_open_again_once_one_of_them_does_not_count(workers: Workers) -> None:
    """Not before they are as few as may be."""
    failures = Failures(FailureLimit(cells=2), 10, workers)
    failures.add(3)
    failures.add(1)
    failures.add(-1)
    assert workers.closed
    failures.add(-1)

    assert (failures.count, workers.closed) == (2, False)


async def test_what_else_closed_it_stays(workers: Workers) -> None:
    """Neither is it taken for a failure, nor taken back as one."""
    failures = Failures(FailureLimit(cells=0), 10, workers)
    workers.fault = TAKEN
    failures.add(1)
    failures.add(-1)

    assert workers.fault is TAKEN


async def _begin(task: Task) -> None:
    raise AssertionError(task)
