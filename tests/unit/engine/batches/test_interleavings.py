"""What a batch promises holds in whatever order wishes, ends of cells and answers of the store come."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from coordinator.processing.v1.processing_pb2 import Canary

from processing_service.engine.batches.control import Order
from processing_service.engine.batches.records import BatchAction, BatchState
from processing_service.engine.records import SessionState
from tests.cells import EVERY, Bench, batches, now_us


async def test_a_verdict_leaves_a_new_priority_as_it_is(tmp_path: Path) -> None:
    """REPRIORITIZE waits for its turn while the canary is judged."""
    async with batches(tmp_path) as bench:
        await _held(bench, 2, canary=Canary(cell_count=2))
        store, asked_for, go_on = bench.store.batches, asyncio.Event(), asyncio.Event()
        record = store.record

        async def record_late(*asked: Any) -> None:
            asked_for.set()
            await go_on.wait()
            await record(*asked)

        store.record = record_late  # type: ignore[method-assign]
        wishes = [asyncio.ensure_future(bench.control(BatchAction.REPRIORITIZE, 7))]
        await asked_for.wait()
        bench.runner.fail(EVERY)
        bench.runner.release()
        await _stored(bench, 2)
        wishes.append(asyncio.ensure_future(bench.control(BatchAction.REPRIORITIZE, 9)))
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(*wishes)
        row = await bench.until(BatchState.PAUSED)

        assert (row.standing.canary.decided, row.standing.priority) == (True, 9)


async def _held(bench: Bench, out: int, items: int = 20, **fields: Any) -> None:
    """A batch of which as many cells are out as may be, and held."""
    bench.runner.held = EVERY
    await bench.create(items, max_parallel=out, **fields)
    await bench.manager.execute("b", "", Order(now_us()))
    await bench.runner.until(lambda: len(bench.runner.out) == out)


async def _stored(bench: Bench, ends: int) -> None:
    """Returns once so many cells have ended for the store."""
    while sum(count for state, count in (await bench.row()).begun.items() if state >= SessionState.SUCCEEDED) < ends:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
