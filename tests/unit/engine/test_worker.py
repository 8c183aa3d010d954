from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import Session

from processing_service.engine.base import Resolution
from processing_service.engine.records import Action, Outcome, SessionState, StepPlan
from processing_service.wire.errors import Code, CoordinatorError
from tests.engines import CHAIN, running


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CoordinatorError(Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_TENSOR_INVALID, "wrong"), "TENSOR_INVALID"),
        (ValueError("/secret/path"), "INTERNAL"),
    ],
)
async def test_a_failed_step_is_the_cause_of_the_sessions_failure(
    tmp_path: Path, error: Exception, reason: str
) -> None:
    """An error that nobody expected does not show its text."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.failures["b"] = [error]
        live = await bench.submit()

        assert await bench.end(live) is SessionState.FAILED
        failure = Session.FromString((await bench.store.sessions.read("s", "")).result).failure
        assert (failure.reason_name, failure.cause.reason_name) == ("STEP_FAILED", reason)
        assert failure.cause.step_key == "s/b#1"
        assert "/secret" not in str(failure)


async def test_a_step_that_takes_too_long_is_cancelled(tmp_path: Path) -> None:
    """Its call ends, and the step counts as failed."""
    async with running(tmp_path, StepPlan("a", timeout_us=1000)) as bench:
        bench.runner.held = {"a"}
        live = await bench.submit()

        assert await bench.end(live) is SessionState.FAILED
        assert bench.runner.cancelled == ["a#1"]


async def test_cancel_reaches_a_call_that_runs_in_the_sessions_own_task(tmp_path: Path) -> None:
    """The receipt says ACKNOWLEDGED, and the task lives on to write the end."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.held = {"b"}
        live = await bench.submit()
        await bench.runner.until("b#1")
        await bench.engine.deliver("s", "", bench.command(Action.CANCEL))

        assert await bench.end(live) is SessionState.CANCELLED
        assert bench.runner.cancelled == ["b#1"]
        ending = ["COMMAND_APPLIED", "CALL_RECEIPT", "STEP_CANCELLED", "SESSION_ENDED"]
        assert (await bench.history())[-4:] == ending


@pytest.mark.parametrize("action", [Action.CANCEL, Action.TERMINATE])
async def test_a_call_that_is_about_to_go_out_is_cancelled_too(tmp_path: Path, action: Action) -> None:
    """A command that comes in the very turn of the one that starts it finds no task yet; the call never goes out."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.held = {"a", "b"}
        live = await bench.submit()
        await bench.runner.until("a#1")
        await bench.engine.deliver("s", "", bench.command(Action.PAUSE))
        bench.runner.release.set()
        while live.state.state is not SessionState.PAUSED:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0)
        bench.runner.release.clear()
        both = (Action.RESUME, action)
        await asyncio.gather(*(bench.engine.deliver("s", "", bench.command(each)) for each in both))

        assert await bench.end(live) in (SessionState.CANCELLED, SessionState.TERMINATED)
        assert bench.runner.calls == ["a#1"]
        receipts = [each.outcome for each in await bench.store.sessions.records("s", "", 0, 100) if each.outcome]
        assert receipts == ([Outcome.ACKNOWLEDGED] if action is Action.CANCEL else [])


async def test_a_call_that_ignores_cancel_is_left_behind(tmp_path: Path) -> None:
    """TERMINATE ends the session now; the late result changes nothing."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.held, bench.runner.stubborn = {"a"}, True
        live = await bench.submit()
        await bench.runner.until("a#1")
        await bench.engine.deliver("s", "", bench.command(Action.TERMINATE))
        before = await bench.history()
        bench.runner.release.set()
        await asyncio.sleep(0)

        assert await bench.end(live) is SessionState.TERMINATED
        assert await bench.history() == before


async def test_a_foreach_runs_its_items(tmp_path: Path) -> None:
    """At most max_parallel at a time; one too wide fails the step."""
    async with running(tmp_path, StepPlan("a", foreach=True, max_parallel=2)) as bench:
        bench.runner.items = {0: Resolution(items_total=5)}
        assert await bench.end(await bench.submit()) is SessionState.SUCCEEDED
        assert sorted(bench.runner.calls) == [f"a[{item}]#1" for item in range(5)]

        bench.runner.items = {0: Resolution(items_total=10_001)}
        assert await bench.end(await bench.submit("t")) is SessionState.FAILED
