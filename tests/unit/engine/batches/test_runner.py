"""A batch runs its cells, no more at a time than it may, and ends as they did, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from coordinator.processing.v1.processing_pb2 import Canary
from google.protobuf.duration_pb2 import Duration

from processing_service.engine.batches.control import Order
from processing_service.engine.batches.records import BatchAction, BatchKind, BatchRecord, BatchState, PausedReason
from processing_service.engine.records import SessionState
from processing_service.engine.store.base import SessionStart
from processing_service.engine.store.batch import BatchRow
from processing_service.wire.errors import CoordinatorError, reason_name_of
from tests.cells import AWAY, EVERY, Bench, batches, check_counts, now_us
from tests.contract.test_store import files_of_at_most

WORKFLOWS = pytest.mark.parametrize("workflow_id", ["may-repeat", "may-not"])


@WORKFLOWS
async def test_every_cell_runs_once(tmp_path: Path, workflow_id: str) -> None:
    """However its start is made durable; and never more at a time than max_parallel."""
    async with batches(tmp_path) as bench:
        await bench.execute(300, workflow_id, max_parallel=7)
        row = await bench.ended()

        assert (row.standing.state, dict(row.begun)) == (BatchState.SUCCEEDED, {SessionState.SUCCEEDED: 300})
        assert sorted(bench.runner.calls) == list(range(300))
        assert 1 < bench.runner.most_out <= 7
        assert await bench.kinds() == ["BATCH_CREATED", "RUNNING", "BATCH_ENDED"]


@WORKFLOWS
async def test_no_more_run_after_a_restart_than_may(tmp_path: Path, workflow_id: str) -> None:
    """The cells that were out count, and each runs under its own name once more."""
    async with batches(tmp_path) as bench:
        bench.runner.held = EVERY
        await bench.execute(60, workflow_id, max_parallel=5)
        await bench.runner.until(lambda: len(bench.runner.out) == 5)
        again = await bench.restarted()
        await again.runner.until(lambda: len(again.runner.out) == 5)
        again.runner.release(but=range(3))
        await again.runner.until(lambda: len(again.runner.calls) > 20)
        again.runner.release()
        row = await again.ended()

        assert row.standing.state is BatchState.SUCCEEDED
        assert set(again.runner.calls) == set(range(60))
        assert again.runner.most_out == 5
        await again.crash()


@pytest.mark.parametrize(
    ("limit", "begun"), [({"max_failures": 3}, 4), ({"max_failure_ratio": 0.1}, 11), ({"max_failures": 0}, 1)]
)
async def test_too_many_failures_fail_the_batch(tmp_path: Path, limit: dict[str, float], begun: int) -> None:
    """As a count or a share; what has not begun never does, and is cancelled."""
    async with batches(tmp_path) as bench:
        bench.runner.fail(EVERY)
        await bench.execute(100, max_parallel=1, **limit)
        row = await bench.ended()

        assert row.standing.state is BatchState.FAILED
        assert reason(row) == "BATCH_FAILURES_EXCEEDED"
        assert dict(row.begun) == {SessionState.FAILED: begun}
        assert row.counts.cancelled == 100 - begun


async def test_a_canary_that_is_tried_again_runs_what_failed_twice_and_nothing_else(tmp_path: Path) -> None:
    """Also where cells end, and others could begin, while the store tells which have begun."""
    async with batches(tmp_path) as bench:
        bench.runner.held = EVERY
        begun = bench.store.batches.begun

        async def late(*asked: Any) -> Any:
            rows = await begun(*asked)
            bench.runner.release()
            await asyncio.sleep(0.1)
            return rows

        await bench.execute(6, max_parallel=2, canary=Canary(cell_count=6))
        await bench.runner.until(lambda: len(bench.runner.out) == 2)
        await bench.control(BatchAction.PAUSE)
        bench.runner.fail(EVERY)
        bench.runner.release()
        await bench.until(BatchState.PAUSED)
        failed = set(bench.runner.calls)
        bench.runner.fail(())
        bench.runner.held = EVERY
        bench.store.batches.begun = late  # type: ignore[method-assign]
        await bench.control(BatchAction.RETRY_FAILED)
        row = await bench.ended()

        assert (row.standing.state, row.standing.canary.passed) == (BatchState.SUCCEEDED, True)
        assert Counter(bench.runner.calls) == Counter(range(6)) + Counter(failed)


async def test_failures_within_the_limit_are_a_partial_success(tmp_path: Path) -> None:
    """Exactly as many as may."""
    async with batches(tmp_path) as bench:
        bench.runner.fail(range(5))
        await bench.execute(50, max_failures=5)

        assert (await bench.ended()).standing.state is BatchState.PARTIALLY_SUCCEEDED


async def test_failures_before_a_restart_count_behind_it(tmp_path: Path) -> None:
    """Those that are durable, and those of cells that are taken up."""
    async with batches(tmp_path) as bench:
        bench.runner.fail(range(4))
        bench.runner.held = range(3, 100)
        await bench.execute(100, max_parallel=1, max_failures=3)
        await bench.runner.until(lambda: bench.runner.out == {3})
        again = await bench.restarted()
        again.runner.release()
        row = await again.ended()

        assert (row.standing.state, row.begun[SessionState.FAILED]) == (BatchState.FAILED, 4)
        await again.crash()


async def test_cancelled_cells_are_no_failures_of_a_cancelled_batch(tmp_path: Path) -> None:
    """An operator ended it, not its limit."""
    async with batches(tmp_path) as bench:
        bench.runner.held = EVERY
        await bench.execute(20, max_parallel=4, max_failures=0)
        await bench.runner.until(lambda: len(bench.runner.out) == 4)
        await bench.control(BatchAction.CANCEL)
        row = await bench.ended()

        assert (row.standing.state, row.standing.fault) == (BatchState.CANCELLED, None)
        assert dict(row.begun) == {SessionState.CANCELLED: 4}
        assert row.counts.cancelled == 20


async def test_cells_that_are_about_to_start_are_cancelled_too(tmp_path: Path) -> None:
    """Where a start is waited for, the CANCEL may come first."""
    async with batches(tmp_path) as bench:
        bench.runner.held = EVERY
        await bench.execute(20, "may-not", max_parallel=10)
        await bench.control(BatchAction.CANCEL)
        row = await bench.ended()

        assert row.standing.state is BatchState.CANCELLED
        assert set(row.begun) <= {SessionState.CANCELLED}
        assert bench.runner.out == set()


CANARY = Canary(cell_count=6, max_failures=1)


@WORKFLOWS
async def test_a_canary_that_passes_lets_the_rest_begin(tmp_path: Path, workflow_id: str) -> None:
    """Nothing else begins before it has."""
    async with batches(tmp_path) as bench:
        early = (await _early(bench, 40, workflow_id))[:6]
        bench.runner.held = early
        await bench.manager.execute("b", "", _order())
        await bench.runner.until(lambda: len(bench.runner.out) == 4)
        await asyncio.sleep(0.05)  # time in which nothing may happen
        assert bench.runner.out <= set(early)
        bench.runner.release()
        row = await bench.ended()

        assert row.standing.state is BatchState.SUCCEEDED
        assert set(bench.runner.calls[:6]) == set(early)
        assert sorted(bench.runner.calls) == list(range(40))
        assert row.standing.canary.passed
        assert await bench.kinds() == ["BATCH_CREATED", "RUNNING", "CANARY_PASSED", "BATCH_ENDED"]


async def test_a_canary_with_too_many_failures_pauses_with_the_evidence(tmp_path: Path) -> None:
    """The results are kept; RESUME goes on all the same, each cell once."""
    async with batches(tmp_path) as bench:
        early = await _early(bench, 40)
        bench.runner.fail(early[:2])
        await bench.manager.execute("b", "", _order())
        row = await bench.until(BatchState.PAUSED)
        verdict = row.standing.canary
        assert row.standing.paused_reason is PausedReason.CANARY
        assert (verdict.decided, verdict.passed, verdict.failed_count) == (True, False, 2)
        assert reason(row) == "CANARY_FAILED"
        assert dict(row.begun) == {SessionState.SUCCEEDED: 4, SessionState.FAILED: 2}

        await bench.control(BatchAction.RESUME)
        row = await bench.ended()
        assert row.standing.state is BatchState.PARTIALLY_SUCCEEDED
        assert sorted(bench.runner.calls) == list(range(40))
        kinds = ["BATCH_CREATED", "RUNNING", "CANARY_FAILED", "PAUSING", "PAUSED", "RUNNING", "BATCH_ENDED"]
        assert await bench.kinds() == kinds


async def test_a_slow_canary_pauses(tmp_path: Path) -> None:
    """One cell that takes longer than it may is enough."""
    async with batches(tmp_path) as bench:
        canary = Canary(cell_count=3, max_cell_duration=Duration(nanos=30_000_000))
        early = await _early(bench, 10, canary=canary)
        bench.runner.slow = {early[1]: 0.05}
        await bench.manager.execute("b", "", _order())
        row = await bench.until(BatchState.PAUSED)

        assert row.standing.paused_reason is PausedReason.CANARY
        assert (row.standing.canary.failed_count, row.standing.canary.longest_us > 50_000) == (0, True)


async def test_a_canary_is_judged_anew_by_retry_failed(tmp_path: Path) -> None:
    """Its failed cells run again, and pass."""
    async with batches(tmp_path) as bench:
        early = await _early(bench, 40)
        bench.runner.fail(early[:3])
        await bench.manager.execute("b", "", _order())
        await bench.until(BatchState.PAUSED)
        calls = len(bench.runner.calls)
        bench.runner.fail(())
        await bench.control(BatchAction.RETRY_FAILED)
        row = await bench.ended()

        assert row.standing.state is BatchState.SUCCEEDED
        assert (row.standing.canary.passed, row.standing.canary.failed_count) == (True, 0)
        assert set(bench.runner.calls[calls : calls + 3]) == set(early[:3])
        assert len(bench.runner.calls) == 43


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_canary_that_runs_again_is_timed_by_its_last_attempts(tmp_path: Path, restarts: bool) -> None:
    """What passed between a failure and RETRY_FAILED is no time of a cell."""
    async with batches(tmp_path) as bench:
        early = await _early(bench, 40)
        bench.runner.fail(early[:3])
        await bench.manager.execute("b", "", _order())
        await bench.until(BatchState.PAUSED)
        again = await bench.restarted() if restarts else bench
        before_us = now_us()
        again.runner.fail(())
        await again.control(BatchAction.RETRY_FAILED)
        row = await again.ended()
        cells = await again.store.batches.begun(row, early)
        if restarts:
            await again.crash()

        assert [cell.attempt for cell in cells] == [2, 2, 2, *[1] * (len(early) - 3)]
        assert all(cell.started_us >= before_us for cell in cells[:3])
        assert row.standing.canary.longest_us == max(cell.ended_us - cell.started_us for cell in cells)


@pytest.mark.parametrize("action", [BatchAction.RESUME, BatchAction.RETRY_FAILED])
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_canary_that_failed_is_known_after_a_restart(
    tmp_path: Path, action: BatchAction, at_once: bool
) -> None:
    """The batch stays paused; whatever is asked then, each cell runs as often as it should."""
    async with batches(tmp_path) as bench:
        early = await _early(bench, 40)
        bench.runner.fail(early[:2])
        await bench.manager.execute("b", "", _order())
        await bench.until(BatchState.PAUSED)
        bench.runner.fail(())
        again = await bench.restarted()
        if not at_once:
            assert (await again.row()).standing.state is BatchState.PAUSED
            await again.until(BatchState.PAUSED)
        await again.control(action)
        row = await again.ended()

        retried = action is BatchAction.RETRY_FAILED
        assert len(again.runner.calls) == 40 + 2 * retried
        assert row.standing.state is (BatchState.SUCCEEDED if retried else BatchState.PARTIALLY_SUCCEEDED)
        await again.crash()


async def test_a_restart_in_the_canary_goes_on_with_it(tmp_path: Path) -> None:
    """Also if its last cell ends while the batch is taken up."""
    for held in (1, 6):
        folder = tmp_path / str(held)
        async with batches(folder) as bench:
            early = (await _early(bench, 40))[:6]
            bench.runner.held = early[-held:]
            await bench.manager.execute("b", "", _order())
            await bench.runner.until(lambda: len(bench.runner.out) == min(held, 4))  # noqa: B023
            await bench.crash()
            bench.runner.release()
            again = Bench(folder, bench.runner)
            await again.start()
            row = await again.ended()

            assert row.standing.state is BatchState.SUCCEEDED
            assert (row.standing.canary.passed, set(again.runner.calls)) == (True, set(range(40)))
            await again.crash()


async def test_a_canary_that_fails_while_paused_is_judged_by_resume(tmp_path: Path) -> None:
    """An operator paused first; nothing hangs."""
    async with batches(tmp_path) as bench:
        early = await _early(bench, 20, max_parallel=6)
        bench.runner.held = early
        bench.runner.fail(early)
        await bench.manager.execute("b", "", _order())
        await bench.runner.until(lambda: len(bench.runner.out) == 6)
        await bench.control(BatchAction.PAUSE)
        bench.runner.release()
        row = await bench.until(BatchState.PAUSED)
        assert row.standing.paused_reason is PausedReason.OPERATOR
        await bench.control(BatchAction.RESUME)
        row = await bench.until(BatchState.PAUSED)

        assert row.standing.paused_reason is PausedReason.CANARY


async def test_retry_in_a_pause_of_the_canary_begins_it_anew(tmp_path: Path) -> None:
    """What failed runs again and counts as it comes to then; what had not begun begins once."""
    async with batches(tmp_path) as bench:
        early = await _early(bench, 20, max_parallel=2)
        bench.runner.fail(early[:2])
        bench.runner.held = early[2:4]
        await bench.manager.execute("b", "", _order())
        await bench.runner.until(lambda: bench.runner.out == set(early[2:4]))
        await bench.control(BatchAction.PAUSE)
        bench.runner.release()
        await bench.until(BatchState.PAUSED)
        bench.runner.fail(())
        await bench.control(BatchAction.RETRY_FAILED)
        row = await bench.ended()

        assert row.standing.state is BatchState.SUCCEEDED
        assert sorted(bench.runner.calls) == sorted([*range(20), *early[:2]])
        assert row.standing.canary.failed_count == 0


async def test_cells_without_a_domain_open_the_breaker(tmp_path: Path) -> None:
    """Ten in a row; RESUME goes on."""
    async with batches(tmp_path) as bench:
        bench.runner.fail(range(10), AWAY)
        await bench.execute(30, max_parallel=1)
        row = await bench.until(BatchState.PAUSED)
        assert row.standing.paused_reason is PausedReason.BREAKER
        assert reason(row) == "BREAKER_OPEN"
        assert row.begun[SessionState.FAILED] == 10

        await bench.control(BatchAction.RESUME)
        row = await bench.ended()
        assert (row.standing.state, len(bench.runner.calls)) == (BatchState.PARTIALLY_SUCCEEDED, 30)


async def test_a_pause_waits_for_the_calls_that_are_out(tmp_path: Path) -> None:
    """PAUSING with calls out, PAUSED with none; the sessions are paused and go on."""
    async with batches(tmp_path) as bench:
        bench.runner.held = EVERY
        await bench.execute(20, max_parallel=4)
        await bench.runner.until(lambda: len(bench.runner.out) == 4)
        await bench.control(BatchAction.PAUSE)
        row = await bench.row()
        assert (row.standing.state, row.standing.paused_reason) == (BatchState.PAUSING, PausedReason.OPERATOR)
        assert dict(row.begun) == {SessionState.PAUSING: 4}
        bench.runner.release()
        row = await bench.until(BatchState.PAUSED)
        assert dict(row.begun) == {SessionState.PAUSED: 4}
        assert len(bench.runner.calls) == 4

        await bench.control(BatchAction.RESUME)
        row = await bench.ended()
        assert (row.standing.state, sorted(bench.runner.calls)) == (BatchState.SUCCEEDED, list(range(20)))
        assert await bench.kinds() == ["BATCH_CREATED", "RUNNING", "PAUSING", "PAUSED", "RUNNING", "BATCH_ENDED"]


@WORKFLOWS
@pytest.mark.parametrize("calls_are_out", [True, False])
async def test_a_pause_lasts_over_a_restart(tmp_path: Path, workflow_id: str, calls_are_out: bool) -> None:
    """Whether it was PAUSING or PAUSED."""
    async with batches(tmp_path) as bench:
        bench.runner.held = EVERY
        await bench.execute(20, workflow_id, max_parallel=4)
        await bench.runner.until(lambda: len(bench.runner.out) == 4)
        await bench.control(BatchAction.PAUSE)
        if not calls_are_out:
            bench.runner.release()
            await bench.until(BatchState.PAUSED)
        again = await bench.restarted()
        again.runner.release()
        await again.until(BatchState.PAUSED)
        calls = len(again.runner.calls)
        await again.control(BatchAction.RESUME)
        row = await again.ended()

        assert (row.standing.state, set(again.runner.calls)) == (BatchState.SUCCEEDED, set(range(20)))
        assert len(again.runner.calls) - calls == 16
        await again.crash()


async def test_a_batch_that_was_resumed_in_its_last_moment_runs(tmp_path: Path) -> None:
    """The process died when the batch ran again and its sessions did not know it yet."""
    async with batches(tmp_path) as bench:
        bench.runner.held = EVERY
        await bench.execute(8, max_parallel=4)
        await bench.runner.until(lambda: len(bench.runner.out) == 4)
        await bench.control(BatchAction.PAUSE)
        bench.runner.release()
        row = await bench.until(BatchState.PAUSED)
        await bench.manager.drain()
        running = row.standing.moved(BatchState.RUNNING, paused_reason=PausedReason.NOBODY)
        await bench.store.batches.record(row.number, running, [_changed(BatchState.RUNNING)])
        again = await bench.restarted()

        assert (await again.ended()).standing.state is BatchState.SUCCEEDED
        await again.crash()


@WORKFLOWS
async def test_a_cancel_goes_on_after_a_restart(tmp_path: Path, workflow_id: str) -> None:
    """CANCELLING is durable before a session is told."""
    async with batches(tmp_path) as bench:
        bench.runner.held = EVERY
        await bench.execute(20, workflow_id, max_parallel=4)
        await bench.runner.until(lambda: len(bench.runner.out) == 4)
        row = await bench.row()
        await bench.manager.drain()
        cancelling = row.standing.moved(BatchState.CANCELLING)
        await bench.store.batches.record(row.number, cancelling, [_changed(BatchState.CANCELLING)])
        again = await bench.restarted()
        row = await again.ended()

        assert (row.standing.state, dict(row.begun)) == (BatchState.CANCELLED, {SessionState.CANCELLED: 4})
        await again.crash()


async def test_retry_failed_touches_failed_cells_alone(tmp_path: Path) -> None:
    """Of 1,000 cells 37 failed, so 37 calls are made."""
    async with batches(tmp_path) as bench:
        failing = range(0, 37 * 27, 27)
        bench.runner.fail(failing)
        await bench.execute(1000, max_parallel=50)
        assert (await bench.ended()).begun[SessionState.FAILED] == 37
        bench.runner.fail(())
        bench.runner.calls.clear()
        await bench.control(BatchAction.RETRY_FAILED)
        row = await bench.ended()

        assert sorted(bench.runner.calls) == list(failing)
        assert (row.standing.state, dict(row.begun)) == (BatchState.SUCCEEDED, {SessionState.SUCCEEDED: 1000})
        attempts = [cell.session.attempt for cell in await bench.store.batches.cells(row, 0, 1000) if cell.session]
        assert sorted(attempts) == [1] * 963 + [2] * 37


async def test_retry_failed_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Those that ran again do not run a third time."""
    async with batches(tmp_path) as bench:
        bench.runner.fail(range(30))
        await bench.execute(100, max_parallel=10)
        await bench.ended()
        bench.runner.fail(range(5))
        bench.runner.held = range(15, 100)
        bench.runner.calls.clear()
        await bench.control(BatchAction.RETRY_FAILED)
        await bench.runner.until(lambda: len(bench.runner.out) == 10)
        again = await bench.restarted()
        again.runner.release()
        row = await again.ended()

        assert (row.standing.state, row.begun[SessionState.FAILED]) == (BatchState.PARTIALLY_SUCCEEDED, 5)
        assert set(again.runner.calls) == set(range(30))
        rows = await again.store.batches.begun(row, range(30))
        assert {session.attempt for session in rows} == {2}
        await again.crash()


async def test_retry_failed_twice_in_a_pause_runs_each_cell_once(tmp_path: Path) -> None:
    """The second has all that is left of the first."""
    async with batches(tmp_path) as bench:
        bench.runner.fail(range(50))
        await bench.execute(50, max_parallel=1)
        await bench.ended()
        bench.runner.fail(())
        bench.runner.calls.clear()
        bench.runner.held = EVERY
        for _ in range(3):
            await bench.control(BatchAction.RETRY_FAILED)
            await bench.runner.until(lambda: len(bench.runner.out) == 1)
            await bench.control(BatchAction.PAUSE)
            bench.runner.release()
            await bench.until(BatchState.PAUSED)
        await bench.control(BatchAction.RESUME)
        row = await bench.ended()

        assert sorted(bench.runner.calls) == list(range(50))
        assert dict(row.begun) == {SessionState.SUCCEEDED: 50}


async def test_nothing_begins_before_retry_failed_is_recorded(tmp_path: Path) -> None:
    """Although a cell is at hand by then: what fails behind it counts, and the third of at most two is the last."""
    async with batches(tmp_path) as bench:
        bench.runner.fail(EVERY)
        await bench.execute(6, max_parallel=1, max_failures=2)
        await bench.ended()
        bench.runner.calls.clear()
        store, asked_for, at_hand = bench.store.batches, asyncio.Event(), asyncio.Event()
        to_retry, record = store.to_retry, store.record

        async def read_late(*asked: Any) -> Any:
            found = await to_retry(*asked)
            asked_for.set()
            await at_hand.wait()
            return found

        async def record_late(*asked: Any) -> None:
            at_hand.set()
            await asyncio.sleep(0.1)  # time in which nothing may happen
            await record(*asked)

        store.to_retry = read_late  # type: ignore[method-assign]
        await bench.control(BatchAction.RETRY_FAILED)
        await asked_for.wait()
        await bench.control(BatchAction.PAUSE)
        await bench.until(BatchState.PAUSED)
        store.record = record_late  # type: ignore[method-assign]
        await bench.control(BatchAction.RETRY_FAILED)
        row = await bench.ended()

        assert (row.standing.state, len(bench.runner.calls)) == (BatchState.FAILED, 3)


async def test_a_new_priority_is_that_of_what_begins(tmp_path: Path) -> None:
    """While it waits for its start, and while it runs."""
    async with batches(tmp_path) as bench:
        await bench.create(3, max_parallel=1)
        await bench.control(BatchAction.REPRIORITIZE, 7)
        assert (await bench.row()).standing.priority == 7
        bench.runner.held = EVERY
        await bench.manager.execute("b", "", _order())
        await bench.runner.until(lambda: len(bench.runner.out) == 1)
        await bench.control(BatchAction.REPRIORITIZE, 9)
        bench.runner.release()
        row = await bench.ended()

        sessions = await bench.store.batches.begun(row, range(3))
        assert [session.start.priority for session in sessions] == [7, 9, 9]
        assert await bench.kinds() == [
            "BATCH_CREATED", "PRIORITY_CHANGED", "RUNNING", "PRIORITY_CHANGED", "BATCH_ENDED",
        ]  # fmt: skip


@WORKFLOWS
async def test_a_batch_waits_for_a_store_that_is_full(tmp_path: Path, workflow_id: str) -> None:
    """And goes on when there is room; no cell is lost, none has two sessions."""
    async with batches(tmp_path) as bench:
        bench.runner.held = range(20, 200)
        await bench.execute(200, workflow_id, max_parallel=10)
        await bench.runner.until(lambda: len(bench.runner.out) == 10)
        with files_of_at_most(1):
            bench.runner.release()
            await asyncio.sleep(1.5)  # a transaction that fails is tried again after a second
        row = await bench.ended()

        assert (row.standing.state, dict(row.begun)) == (BatchState.SUCCEEDED, {SessionState.SUCCEEDED: 200})
        assert set(bench.runner.calls) == set(range(200))


async def test_a_canary_waits_for_a_store_that_is_full(tmp_path: Path) -> None:
    """Its verdict comes once it can be stored."""
    async with batches(tmp_path) as bench:
        early = await _early(bench, 20, max_parallel=6)
        bench.runner.held = early
        await bench.manager.execute("b", "", _order())
        await bench.runner.until(lambda: len(bench.runner.out) == 6)
        with files_of_at_most(1):
            bench.runner.release()
            await asyncio.sleep(1.5)
        row = await bench.ended()

        assert (row.standing.state, row.standing.canary.passed) == (BatchState.SUCCEEDED, True)


async def test_a_drain_leaves_the_rest_to_the_next_start(tmp_path: Path) -> None:
    """Calls that are out may end; nothing begins meanwhile, and nothing may be asked for any more."""
    async with batches(tmp_path) as bench:
        bench.runner.held = EVERY
        await bench.execute(30, max_parallel=3)
        await bench.runner.until(lambda: len(bench.runner.out) == 3)
        await bench.manager.drain()
        bench.runner.release()
        await bench.engine.drain(5)
        assert len(bench.runner.calls) == 3
        with pytest.raises(CoordinatorError, match="shutting down"):
            await bench.control(BatchAction.PAUSE)
        assert dict((await bench.row()).begun) == {SessionState.SUCCEEDED: 3}
        again = await bench.restarted()
        row = await again.ended()

        assert (row.standing.state, sorted(again.runner.calls)) == (BatchState.SUCCEEDED, list(range(30)))
        await again.crash()


async def test_a_session_in_the_way_fails_the_batch(tmp_path: Path) -> None:
    """Somebody else's session has the name of a cell's."""
    for workflow_id in ("may-repeat", "may-not"):
        async with batches(tmp_path / workflow_id) as bench:
            await bench.create(5, workflow_id)
            row = await bench.row()
            _, durable = bench.store.sessions.open(_start(row))
            await durable
            await bench.manager.execute("b", "", _order())
            row = await bench.until(BatchState.FAILED)

            assert reason(row) == "SESSION_ALREADY_EXISTS"
            check_counts(row, await bench.history())


def reason(row: BatchRow) -> str:
    """Why a batch failed, or was paused."""
    assert row.standing.fault is not None
    return reason_name_of(row.standing.fault.reason)  # type: ignore[arg-type]  # the numbers are the contract's


def _changed(state: BatchState) -> BatchRecord:
    return BatchRecord(now_us(), BatchKind.BATCH_STATE_CHANGED, state)


def _start(row: BatchRow) -> SessionStart:
    return SessionStart("b.3", "", "wf", row.start.definitions[0], b"", b"", 1, 1)


def _order() -> Order:
    return Order(now_us())


async def _early(bench: Bench, items: int, workflow_id: str = "may-repeat", **fields: object) -> list[int]:
    """Creates a batch with a canary; the cells of that, in order."""
    fields = {"canary": CANARY, "max_parallel": 4} | fields
    await bench.create(items, workflow_id, **fields)
    return (await bench.row()).matrix.spread(fields["canary"].cell_count)  # type: ignore[attr-defined]
