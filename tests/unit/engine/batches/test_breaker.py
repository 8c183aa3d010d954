"""The breaker opens at the tenth cell in a row that fails for want of a domain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.batches.breaker import Breaker
from processing_service.engine.batches.chores import Chores
from processing_service.engine.batches.ledger import BatchLedger
from processing_service.engine.batches.records import BatchState, PausedReason, Standing
from processing_service.engine.batches.signal import Signal
from processing_service.engine.records import Fault
from processing_service.wire.errors import Code
from tests.cells import batches, now_us

AWAY = Fault(Code.UNAVAILABLE, ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE, "away")
WRAPPED = Fault(Code.ABORTED, ErrorReason.ERROR_REASON_INTERNAL, "a step failed", cause=AWAY)
OTHER = Fault(Code.INTERNAL, ErrorReason.ERROR_REASON_INTERNAL, "other")


class Bench:
    """A breaker of a batch that runs, and the pauses that it asks for."""

    def __init__(self, ledger: BatchLedger) -> None:
        self.ledger, self.pauses = ledger, list[Fault]()
        self.breaker = Breaker(ledger, Chores("b"), self._pause)

    async def _pause(self, standing: Standing, reason: PausedReason, fault: Fault) -> None:
        assert reason is PausedReason.BREAKER
        self.pauses.append(fault)
        self.ledger.standing = standing.moved(BatchState.PAUSED)

    def ends(self, count: int, fault: Fault | None = AWAY, *, may_open: bool = True) -> None:
        """So many cells end so."""
        for _ in range(count):
            self.breaker.note(fault, may_open=may_open)

    async def opened(self) -> int:
        """How often it has opened, once all has been done that it asked for."""
        async with self.ledger.turn:
            await asyncio.sleep(0)
        async with self.ledger.turn:  # who waited for the turn had it before this
            return len(self.pauses)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with batches(tmp_path) as stored:
        await stored.create(1)
        row = (await stored.row())._replace(standing=Standing(BatchState.RUNNING))
        yield Bench(BatchLedger(row, stored.store.batches, now_us, Signal()))


@pytest.mark.parametrize("fault", [AWAY, WRAPPED])
async def test_the_tenth_in_a_row_opens_it_once(bench: Bench, fault: Fault) -> None:
    bench.ends(9, fault)
    assert await bench.opened() == 0
    bench.ends(3, fault)

    assert await bench.opened() == 1
    assert (bench.pauses[0].cause, bench.pauses[0].facts) == (fault, (("failed_in_a_row", "10"),))


@pytest.mark.parametrize("fault", [None, OTHER])
async def test_another_end_in_between_begins_the_row_anew(bench: Bench, fault: Fault | None) -> None:
    bench.ends(9)
    bench.ends(1, fault)
    bench.ends(9)

    assert await bench.opened() == 0


async def test_a_canary_does_not_open_it_but_counts(bench: Bench) -> None:
    bench.ends(10, may_open=False)
    assert await bench.opened() == 0
    bench.ends(1)

    assert await bench.opened() == 1


async def test_it_does_not_open_once_it_was_closed(bench: Bench) -> None:
    """Although it had asked for the turn by then."""
    async with bench.ledger.turn:
        bench.ends(10)
        await asyncio.sleep(0)
        bench.breaker.close()
    assert await bench.opened() == 0
    bench.ends(9)
    assert await bench.opened() == 0
    bench.ends(1)

    assert await bench.opened() == 1


async def test_a_batch_that_stands_still_is_left_as_it_is(bench: Bench) -> None:
    bench.ends(9)
    bench.ledger.standing = bench.ledger.standing.moved(BatchState.PAUSING)
    bench.ends(5)

    assert await bench.opened() == 0
