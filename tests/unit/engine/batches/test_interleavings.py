"""What a batch promises holds in whatever order wishes, ends of cells and answers of the store come."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import Canary

from processing_service.engine.base import Result
from processing_service.engine.batches.control import Order
from processing_service.engine.batches.records import BatchAction, BatchRecord, BatchState, PausedReason, Standing
from processing_service.engine.events import Command
from processing_service.engine.records import Action, Output, SessionState
from processing_service.engine.state import State
from processing_service.engine.store.base import SessionStart
from processing_service.wire.errors import Code, CoordinatorError
from tests.cells import AWAY, EVERY, Bench, batches, now_us
from tests.contract.test_store import files_of_at_most

FULL = CoordinatorError(Code.RESOURCE_EXHAUSTED, ErrorReason.ERROR_REASON_STORE_FULL, "as told")


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


async def test_the_breaker_counts_anew_behind_a_resume(tmp_path: Path) -> None:
    """What was out when it opened fails while the batch is PAUSING; one more behind RESUME is none of ten in a row."""
    async with batches(tmp_path) as bench:
        bench.runner.fail(EVERY, AWAY)
        await _held(bench, 11, 40)
        bench.runner.release(but=range(10, 40))
        await bench.until(BatchState.PAUSING)
        bench.runner.release()
        await bench.until(BatchState.PAUSED)
        bench.runner.fail({len(bench.runner.calls)}, AWAY)
        await bench.control(BatchAction.RESUME)
        row = await bench.until(BatchState.PAUSED, BatchState.PARTIALLY_SUCCEEDED)

        assert row.standing.state is BatchState.PARTIALLY_SUCCEEDED


async def test_a_breaker_that_the_store_did_not_take_does_not_open_behind_a_resume(tmp_path: Path) -> None:
    """It would be tried again a second later; a client has seen to the batch by then."""
    async with batches(tmp_path) as bench:
        bench.runner.fail(range(10), AWAY)
        bench.runner.held = {20}
        store, refused = bench.store.batches, asyncio.Event()
        record = store.record

        async def refuse_once(number: int, standing: Standing, *asked: Any) -> None:
            if standing.paused_reason is PausedReason.BREAKER and not refused.is_set():
                refused.set()
                raise FULL
            await record(number, standing, *asked)

        store.record = refuse_once  # type: ignore[method-assign]
        await bench.execute(30, max_parallel=1)
        await refused.wait()
        await bench.runner.until(lambda: bench.runner.out == {20})
        await bench.control(BatchAction.PAUSE)
        await bench.control(BatchAction.RESUME)
        await asyncio.sleep(1.5)  # time in which nothing may happen
        bench.runner.release()
        await bench.until(BatchState.PAUSED, BatchState.PARTIALLY_SUCCEEDED)

        assert await bench.kinds() == ["BATCH_CREATED", "RUNNING", "PAUSING", "RUNNING", "BATCH_ENDED"]


@pytest.mark.parametrize("action", [BatchAction.PAUSE, BatchAction.CANCEL])
async def test_no_cell_hears_of_a_wish_that_is_refused(tmp_path: Path, action: BatchAction) -> None:
    """Also one of which the batch hears for the first time while the store is asked; else nobody would resume it."""
    async with batches(tmp_path) as bench:
        await _held(bench, 2, 4)
        number = (await bench.row()).number

        async def cells_are_heard_of() -> None:
            for live in bench.engine.roster.cells(number):
                live.settle()
            await asyncio.sleep(0.05)  # time in which nothing may happen

        await _refused(bench, action, cells_are_heard_of)
        bench.runner.release()
        row = await bench.until(BatchState.SUCCEEDED, BatchState.PARTIALLY_SUCCEEDED)

        assert (row.standing.state, dict(row.begun)) == (BatchState.SUCCEEDED, {SessionState.SUCCEEDED: 4})


async def test_a_canary_that_ends_while_a_cancel_is_refused_is_judged(tmp_path: Path) -> None:
    """It goes on as if nothing had been asked."""
    async with batches(tmp_path) as bench:
        await _held(bench, 2, 4, canary=Canary(cell_count=2))

        async def canary_ends() -> None:
            bench.runner.release()
            await _stored(bench, 2)

        await _refused(bench, BatchAction.CANCEL, canary_ends)
        row = await bench.ended()

        assert (row.standing.state, row.standing.canary.passed) == (BatchState.SUCCEEDED, True)


async def test_as_many_run_behind_a_refused_cancel_as_before(tmp_path: Path) -> None:
    """Although a cell ends while the store is asked, and the next may not begin."""
    async with batches(tmp_path) as bench:
        await _held(bench, 2)

        async def one_ends() -> None:
            bench.runner.release(but=range(1, 20))
            await _stored(bench, 1)

        await _refused(bench, BatchAction.CANCEL, one_ends)
        await bench.runner.until(lambda: len(bench.runner.out) == 2)


async def test_as_many_run_again_as_may_where_one_is_left(tmp_path: Path) -> None:
    """RETRY_FAILED comes when all but one have ended, and nobody was left to begin others."""
    async with batches(tmp_path) as bench:
        bench.runner.fail(range(4))
        await _held(bench, 5, 5)
        bench.runner.release(but={4})
        await _stored(bench, 4)
        await bench.control(BatchAction.PAUSE)
        bench.runner.release()
        await bench.until(BatchState.PAUSED)
        bench.runner.held = EVERY
        await bench.control(BatchAction.RETRY_FAILED)
        await bench.runner.until(lambda: len(bench.runner.out) == 4)


async def test_what_the_store_refused_does_not_wait_for_a_long_cell(tmp_path: Path) -> None:
    """All others have ended by then, and nobody was left to begin it again."""
    async with batches(tmp_path) as bench:
        await _held(bench, 2, 3)
        await _begun(bench, 2)
        bench.store.sessions.held_s = 3600  # the start of the last is written with its end
        bench.runner.release(but={0, 2})
        await _stored(bench, 1)
        await _full_while(bench, lambda: bench.runner.release(but={0}))
        await bench.runner.until(lambda: bench.runner.calls == [0, 1, 2, 2])

        assert 0 in bench.runner.out


async def test_a_failure_that_the_store_refused_is_none_of_those_that_may_be(tmp_path: Path) -> None:
    """Nothing of it is stored; the cell runs again, and that counts."""
    async with batches(tmp_path) as bench:
        bench.runner.fail(EVERY)
        bench.store.sessions.held_s = 3600  # a start is written with its end
        await _held(bench, 2, 4, max_failures=0)
        await _full_while(bench, bench.runner.release)
        bench.runner.fail(())
        row = await bench.ended()

        assert (row.standing.state, dict(row.begun)) == (BatchState.SUCCEEDED, {SessionState.SUCCEEDED: 4})


@pytest.mark.parametrize("fails", [True, False])
async def test_a_canary_is_not_judged_by_what_the_store_refused(tmp_path: Path, fails: bool) -> None:
    """Its cells run again before it is, and nothing else begins meanwhile."""
    async with batches(tmp_path) as bench:
        bench.runner.fail(EVERY if fails else ())
        bench.store.sessions.held_s = 3600  # a start is written with its end
        await _held(bench, 2, canary=Canary(cell_count=2))
        early = bench.runner.calls.copy()
        await _full_while(bench, bench.runner.release)
        bench.runner.fail(())
        row = await bench.until(BatchState.SUCCEEDED, BatchState.PAUSED)

        assert (row.standing.state, row.standing.canary.failed_count) == (BatchState.SUCCEEDED, 0)
        assert sorted(bench.runner.calls[:4]) == sorted(2 * early)


async def test_a_canary_is_not_judged_by_a_cell_that_a_pause_ended(tmp_path: Path) -> None:
    """The store had refused its start, so there was nothing to pause; it runs again behind RESUME."""
    async with batches(tmp_path) as bench:
        bench.store.sessions.held_s = 3600
        await _held(bench, 2, canary=Canary(cell_count=2))
        await _full_while(bench, bench.store.sessions.flush)
        while bench.store.error is not None:  # noqa: ASYNC110  # nobody is told
            await asyncio.sleep(0.01)
        await bench.control(BatchAction.PAUSE)
        await bench.until(BatchState.PAUSED)
        bench.runner.release()
        await bench.control(BatchAction.RESUME)
        row = await bench.until(BatchState.SUCCEEDED, BatchState.PAUSED)

        assert (row.standing.state, row.standing.canary.failed_count) == (BatchState.SUCCEEDED, 0)


@pytest.mark.parametrize("workflow_id", ["may-repeat", "may-not"])
async def test_retry_failed_comes_back_to_a_cell_whose_name_is_taken(tmp_path: Path, workflow_id: str) -> None:
    """The batch fails for that once more, and does not succeed without it."""
    async with batches(tmp_path) as bench:
        bench.runner.held = {1}
        await bench.create(5, workflow_id, max_parallel=2)
        start = SessionStart("b.3", "", "wf", (await bench.row()).start.definitions[0], b"", b"", 1, 1)
        await bench.store.sessions.open(start).durable
        await bench.manager.execute("b", "", Order(now_us()))
        await _stored(bench, 2)
        await bench.control(BatchAction.REPRIORITIZE, 7)  # durable behind the start of the next, which was refused
        await bench.control(BatchAction.PAUSE)
        bench.runner.release()
        await bench.until(BatchState.PAUSED)
        await bench.control(BatchAction.RETRY_FAILED)
        row = await bench.until(BatchState.FAILED, BatchState.SUCCEEDED)

        assert row.standing.state is BatchState.FAILED
        assert row.standing.fault is not None
        assert row.standing.fault.reason == ErrorReason.ERROR_REASON_SESSION_ALREADY_EXISTS


@pytest.mark.parametrize("step", ["definitions", "record"])
async def test_nothing_is_run_again_behind_a_drain(tmp_path: Path, step: str) -> None:
    """It came while the store was asked; what is durable by then goes on at the next start."""
    async with batches(tmp_path) as bench:
        bench.runner.fail(EVERY)
        await bench.execute(6)
        await bench.ended()
        bench.runner.fail(())
        bench.runner.calls.clear()
        asked_for, go_on = asyncio.Event(), asyncio.Event()
        ask = getattr(bench.store.batches, step)

        async def answer_late(*asked: Any) -> Any:
            answer = await ask(*asked)
            asked_for.set()
            await go_on.wait()
            return answer

        setattr(bench.store.batches, step, answer_late)
        wish = asyncio.ensure_future(bench.control(BatchAction.RETRY_FAILED))
        await asked_for.wait()
        await bench.manager.drain()
        go_on.set()
        (refused,) = await asyncio.gather(wish, return_exceptions=True)
        await asyncio.sleep(0.1)  # time in which nothing may happen
        assert bench.runner.calls == []
        again = await bench.restarted()
        if refused is None:
            await again.until(BatchState.SUCCEEDED)

        assert (refused is None, len(again.runner.calls)) == ((True, 6) if step == "record" else (False, 0))
        await again.crash()


async def test_a_wish_gets_its_turn_behind_retry_failed(tmp_path: Path) -> None:
    """Although a cell has ended since, and the next as well, whose large result is yet to be stored."""
    async with batches(tmp_path) as bench:
        room, cancels = _large(bench), list[Future[State]]()
        room.set()
        await _held(bench, 1, 3)
        await bench.control(BatchAction.PAUSE)
        bench.runner.release()
        await bench.until(BatchState.PAUSED)
        room.clear()
        record = bench.store.batches.record

        async def cancel_behind(*asked: Any) -> None:
            await record(*asked)
            cancel = Command(now_us(), Action.CANCEL, now_us())
            cancels.append(asyncio.ensure_future(bench.engine.deliver("b.0", "", cancel)))
            await asyncio.sleep(0)

        bench.store.batches.record = cancel_behind  # type: ignore[method-assign]
        await bench.control(BatchAction.RETRY_FAILED)
        bench.store.batches.record = record  # type: ignore[method-assign]
        await bench.control(BatchAction.PAUSE)
        room.set()
        await asyncio.gather(*cancels)

        assert (await bench.until(BatchState.PAUSED)).begun[SessionState.CANCELLED] == 1


async def test_a_batch_is_not_paused_before_its_large_results_are_stored(tmp_path: Path) -> None:
    """Until then a crash would have the call made again."""
    async with batches(tmp_path) as bench:
        room = _large(bench)
        await _held(bench, 1, 3)
        await bench.control(BatchAction.PAUSE)
        bench.runner.release()
        await bench.runner.until(lambda: not bench.runner.out)
        for priority in (7, 8):
            await bench.control(BatchAction.REPRIORITIZE, priority)
        assert (await bench.row()).standing.state is BatchState.PAUSING
        room.set()
        row = await bench.until(BatchState.PAUSED)

        assert dict(row.begun) == {SessionState.PAUSED: 1}


async def test_a_cell_that_a_client_runs_again_is_one_of_those_that_run(tmp_path: Path) -> None:
    """Although its failure was not durable yet: that does not count, and the cell follows a pause of its batch."""
    async with batches(tmp_path) as bench:
        bench.runner.fail({0})
        await _held(bench, 2, 4, max_failures=0)
        await _begun(bench, 2)
        await _full_while(bench, lambda: bench.runner.release(but=EVERY[1:]))
        bench.runner.fail(())
        bench.runner.held = EVERY
        await bench.engine.deliver("b.0", "", Command(now_us(), Action.RETRY, now_us()))
        await bench.control(BatchAction.PAUSE)
        bench.runner.release()
        paused = await bench.until(BatchState.PAUSED)
        await bench.control(BatchAction.RESUME)

        assert SessionState.FAILED not in paused.begun
        assert dict((await bench.ended()).begun) == {SessionState.SUCCEEDED: 4}


def _large(bench: Bench) -> asyncio.Event:
    """Has results be large; there is room for them once that is set."""
    run, put, room = bench.runner.run, bench.store.artifacts.put, asyncio.Event()

    async def run_large(*asked: Any) -> Result:
        return (await run(*asked))._replace(output=Output("test.Result", b"x" * 5000))

    async def put_late(*asked: Any, **named: Any) -> Any:
        await room.wait()
        return await put(*asked, **named)

    bench.runner.run = run_large  # type: ignore[method-assign]
    bench.store.artifacts.put = put_late  # type: ignore[method-assign]
    return room


async def _refused(bench: Bench, action: BatchAction, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """A wish that the store does not take, and what happens while it is asked."""
    store = bench.store.batches
    record = store.record

    async def refuse(number: int, standing: Standing, records: Sequence[BatchRecord], note: Any = None) -> None:
        if standing.state not in (BatchState.PAUSING, BatchState.CANCELLING):
            await record(number, standing, records, note)
            return
        await meanwhile()
        raise FULL

    store.record = refuse  # type: ignore[method-assign]
    with pytest.raises(CoordinatorError, match="as told"):
        await bench.control(action)
    store.record = record  # type: ignore[method-assign]


async def _full_while(bench: Bench, happens: Callable[[], None]) -> None:
    """The store has no room for what happens."""
    with files_of_at_most(1):
        happens()
        while bench.store.error is None:  # noqa: ASYNC110  # nobody is told
            await asyncio.sleep(0.01)


async def _begun(bench: Bench, cells: int) -> None:
    """Returns once so many cells have begun for the store."""
    while sum((await bench.row()).begun.values()) < cells:  # noqa: ASYNC110  # nobody is told
        await asyncio.sleep(0.01)


async def _held(bench: Bench, out: int, items: int = 20, **fields: Any) -> None:
    """A batch of which as many cells are out as may be, and held."""
    bench.runner.held = EVERY
    await bench.create(items, max_parallel=out, **fields)
    await bench.manager.execute("b", "", Order(now_us()))
    await bench.runner.until(lambda: len(bench.runner.out) == out)


async def _stored(bench: Bench, ends: int) -> None:
    """Returns once so many cells have ended for the store."""
    while sum(count for state, count in (await bench.row()).begun.items() if state >= SessionState.SUCCEEDED) < ends:  # noqa: ASYNC110  # nobody is told
        await asyncio.sleep(0.01)
