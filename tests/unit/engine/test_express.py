from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.express import is_straight
from processing_service.engine.live import Live
from processing_service.engine.records import Action, Durability, Plan, Record, RetryPlan, SessionState, StepPlan
from processing_service.engine.store.base import SessionRow, SessionStart
from processing_service.wire.errors import Code, CoordinatorError, Unavailable
from tests.engines import CHAIN, Bench, context, now_us, running

ONCE = RetryPlan(max_attempts=1)


class Ends:
    """Follows sessions."""

    def __init__(self) -> None:
        self.moves: list[SessionState] = []
        self.ends: list[SessionState] = []

    def moved(self, live: Live) -> None:
        self.moves.append(live.state.state)

    def over(self, live: Live) -> None:
        assert live.error is None
        self.ends.append(live.state.state)


async def carry_out(bench: Bench, follower: Ends, session_id: str = "x") -> None:
    start = SessionStart(
        session_id, "", "wf", b"d" * 32, b"def", b"", now_us(), 60_000_000, durability=Durability.RESULT
    )
    await bench.engine.carry_out(start, context(session_id), bench.plan, (), follower)


async def over(bench: Bench, follower: Ends) -> None:
    """Returns once the end is durable."""
    while not follower.ends:
        await bench.store.sessions.changed("x")


async def stored(bench: Bench, session_id: str) -> tuple[SessionRow, list[Record]]:
    row, records = await bench.store.sessions.load(session_id, "")
    return row, [record._replace(at=0) for record in records]


async def same_as_submitted(bench: Bench) -> None:
    """The records, and where the session stands, are those of a session that `decide` was asked about at each step."""
    (row, records), (other, others) = await stored(bench, "x"), await stored(bench, "s")
    assert records == others
    facts = ("state", "attempt", "last_sequence", "in_flight", "recoveries", "result")
    assert [getattr(row, name) for name in facts] == [getattr(other, name) for name in facts]


@pytest.mark.parametrize("steps", [(StepPlan("a"),), CHAIN, (*CHAIN[:2], StepPlan("d", (0, 1)))])
async def test_a_session_that_never_suspends_is_recorded_as_decide_would_have(
    tmp_path: Path, steps: Sequence[StepPlan]
) -> None:
    """In one go: its follower hears of its end alone, in the turn in which it began."""
    async with running(tmp_path, *steps) as bench:
        ends = Ends()
        await carry_out(bench, ends)
        assert ends.moves == [SessionState.SUCCEEDED]
        assert await bench.end(await bench.submit()) is SessionState.SUCCEEDED
        await same_as_submitted(bench)
        assert ends.ends == [SessionState.SUCCEEDED]
        assert sorted(bench.heard.sessions) == ["s SUCCEEDED", "x SUCCEEDED"]


@pytest.mark.parametrize("held", ["a", "b", "c"])
async def test_one_that_suspends_goes_on_as_any_other(tmp_path: Path, held: str) -> None:
    """It can be controlled, and what its call comes to is heard by `decide`."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.held = {held}
        ends = Ends()
        going = asyncio.ensure_future(carry_out(bench, ends))
        await bench.runner.until(f"{held}#1")
        await bench.engine.deliver("x", "", bench.command(Action.PAUSE))
        assert ends.moves[-1] is SessionState.PAUSING
        bench.runner.release.set()
        await going
        assert ends.moves[-1] is SessionState.PAUSED or held == "c"
        await bench.engine.deliver("x", "", bench.command(Action.RESUME))
        await over(bench, ends)
        assert ends.ends == [SessionState.SUCCEEDED]
        assert bench.runner.calls == ["a#1", "b#1", "c#1"]


@pytest.mark.parametrize("held", ["a", "b"])
async def test_a_call_that_it_waits_for_is_cancelled_with_it(tmp_path: Path, held: str) -> None:
    """Also one that was begun before the session was known to anybody; its worker is not cancelled."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.held = {held}
        ends = Ends()
        going = asyncio.ensure_future(carry_out(bench, ends))
        await bench.runner.until(f"{held}#1")
        await bench.engine.deliver("x", "", bench.command(Action.CANCEL))
        await going
        await over(bench, ends)
        assert (ends.ends, bench.runner.cancelled) == ([SessionState.CANCELLED], [f"{held}#1"])


@pytest.mark.parametrize("failing", ["a", "b"])
async def test_one_whose_call_fails_is_recorded_as_decide_would_have(tmp_path: Path, failing: str) -> None:
    """A failure for good ends it; the causes stand in its history."""
    steps = [StepPlan(step.step_id, step.needs, retry=ONCE) for step in CHAIN]
    async with running(tmp_path, *steps) as bench:
        ends = Ends()
        error = CoordinatorError(Code.INTERNAL, ErrorReason.ERROR_REASON_INTERNAL, "no")
        bench.runner.failures[failing] = [error, error]
        await carry_out(bench, ends)
        await over(bench, ends)
        assert ends.ends == [SessionState.FAILED]
        _, records = await stored(bench, "x")
        assert [record.kind.name for record in records][-2:] == ["STEP_FAILED", "SESSION_ENDED"]
        assert records[-1].fault is not None
        assert records[-1].fault.cause is not None


async def test_one_whose_call_may_go_out_again_waits_for_that(tmp_path: Path) -> None:
    """The next try is the engine's, as ever."""
    async with running(tmp_path, *CHAIN) as bench:
        ends = Ends()
        bench.runner.failures["b"] = [Unavailable(ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE, "away", retry_delay=0.0)]
        await carry_out(bench, ends)
        await over(bench, ends)
        assert ends.ends == [SessionState.SUCCEEDED]
        assert bench.runner.calls == ["a#1", "b#1", "b#2", "c#1"]


async def test_one_whose_name_is_taken_is_refused_behind(tmp_path: Path) -> None:
    """Its follower hears of it: nothing of it is stored."""

    class Refusals(Ends):
        error: BaseException | None = None

        def over(self, live: Live) -> None:
            self.error = live.refused
            self.ends.append(live.state.state)

    async with running(tmp_path, *CHAIN) as bench:
        await bench.end(await bench.submit("x"))
        ends = Refusals()
        await carry_out(bench, ends)
        while not ends.ends:
            await bench.store.sessions.changed("x")
        assert isinstance(ends.error, CoordinatorError)
        assert ends.error.reason == ErrorReason.ERROR_REASON_SESSION_ALREADY_EXISTS


def test_a_plan_is_straight_if_its_steps_follow_one_another() -> None:
    """And none has a condition or items: these are evaluated first."""
    assert is_straight(Plan.of(CHAIN))
    assert not is_straight(Plan.of((StepPlan("a"), StepPlan("b"))))
    assert not is_straight(Plan.of((StepPlan("a"), StepPlan("b", (0,), conditional=True))))
    assert not is_straight(Plan.of((StepPlan("a"), StepPlan("b", (0,), foreach=True))))
