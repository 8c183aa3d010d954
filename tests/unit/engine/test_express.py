from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.live import Live
from processing_service.engine.records import Action, Durability, Plan, Record, RetryPlan, SessionState, StepPlan
from processing_service.engine.store.base import SessionRow, SessionStart
from processing_service.wire.errors import Code, CoordinatorError, Unavailable
from tests.engines import CHAIN, Bench, context, now_us, running

ONCE = RetryPlan(max_attempts=1)


def again(*steps: StepPlan) -> list[StepPlan]:
    """The same steps, of calls that may go out again."""
    return [replace(step, idempotent=True) for step in steps]


STRAIGHT = again(*CHAIN)


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


async def told(bench: Bench, expected: list[str]) -> None:
    """Returns once that is its history."""
    while True:
        changed = asyncio.ensure_future(bench.store.sessions.changed("x"))
        await asyncio.sleep(0)  # it listens before we read, so nothing falls between
        if await bench.history("x") == expected:
            changed.cancel()
            return
        await changed


async def stored(bench: Bench, session_id: str) -> tuple[SessionRow, list[Record]]:
    row, records = await bench.store.sessions.load(session_id, "")
    return row, [record._replace(at=0) for record in records]


async def same_as_decided(bench: Bench) -> None:
    """The records, and where the session stands, are those of a session that `decide` was asked about at each step."""
    (row, records), (other, others) = await stored(bench, "x"), await stored(bench, "s")
    assert records == others
    facts = ("state", "attempt", "last_sequence", "in_flight", "recoveries", "result")
    assert [getattr(row, name) for name in facts] == [getattr(other, name) for name in facts]


SHAPES = [(StepPlan("a"),), CHAIN, (*CHAIN[:2], StepPlan("d", (0, 1)))]


@pytest.mark.parametrize("steps", SHAPES)
async def test_a_session_that_never_suspends_is_recorded_as_decide_would_have(
    tmp_path: Path, steps: Sequence[StepPlan]
) -> None:
    """In one go: its follower hears of its end alone, in the turn in which it began."""
    async with running(tmp_path, *again(*steps)) as bench:
        ends = Ends()
        await carry_out(bench, ends)
        assert ends.moves == [SessionState.SUCCEEDED]
        bench.plan = Plan.of(tuple(steps))
        assert await bench.end(await bench.submit()) is SessionState.SUCCEEDED
        await same_as_decided(bench)
        assert ends.ends == [SessionState.SUCCEEDED]
        assert sorted(bench.heard.sessions) == ["s SUCCEEDED", "x SUCCEEDED"]


@pytest.mark.parametrize("steps", SHAPES)
@pytest.mark.parametrize("looked_at", ["", "a", "b", "d", "after"])
async def test_one_that_is_submitted_is_recorded_the_same_whoever_looks_when(
    tmp_path: Path, steps: Sequence[StepPlan], looked_at: str
) -> None:
    """Before its first call, in one of its calls, or never: a look tells where it stands, and changes no record."""
    async with running(tmp_path, *again(*steps)) as bench:
        bench.runner.held = {looked_at}
        live = await bench.submit("x", durability=Durability.FULL if looked_at else Durability.RESULT)
        if not looked_at:
            assert live.state.state is SessionState.RUNNING
        elif any(step.step_id == looked_at for step in steps):
            await bench.runner.until(f"{looked_at}#1")
            assert live.state.in_flight == 1
        bench.runner.release.set()
        assert await bench.end(live) is SessionState.SUCCEEDED
        bench.plan, bench.runner.held = Plan.of(tuple(steps)), set()
        assert await bench.end(await bench.submit()) is SessionState.SUCCEEDED
        await same_as_decided(bench)


@pytest.mark.parametrize("late", ["a", "b"])
async def test_a_call_that_is_late_is_cancelled_at_the_next_tick(tmp_path: Path, late: str) -> None:
    """A timeout may be shorter than the moment after which a session is told of."""
    steps = [replace(step, timeout_us=1000, retry=ONCE) if step.step_id == late else step for step in STRAIGHT]
    async with running(tmp_path, *steps) as bench:
        bench.ticker.cancel()
        bench.runner.held = {late}
        live = await bench.submit("x")
        await bench.runner.until(f"{late}#1")
        assert live.passage is not None
        while now_us() < live.due_us:  # noqa: ASYNC110  # time passes by itself
            await asyncio.sleep(0)
        bench.engine.tick()
        assert live.state.state is SessionState.FAILED


TOLD = ["SESSION_STARTED", "STEP_STARTED", "STEP_SUCCEEDED", "STEP_STARTED"]


async def test_one_that_still_runs_after_a_moment_is_told_of(tmp_path: Path) -> None:
    """Its history tells what it does, without anybody's look."""
    async with running(tmp_path, *STRAIGHT) as bench:
        bench.runner.held = {"b"}
        live = await bench.submit("x")
        await bench.runner.until("b#1")
        await told(bench, TOLD)
        bench.runner.release.set()
        assert await bench.end(live) is SessionState.SUCCEEDED


async def test_what_has_happened_is_kept_when_the_server_ends(tmp_path: Path) -> None:
    """A drain that does not wait loses no result: the next process goes on behind it."""
    async with running(tmp_path, *STRAIGHT) as bench:
        bench.runner.held = {"b"}
        await bench.submit("x")
        await bench.runner.until("b#1")
        await bench.engine.drain(0)
        await told(bench, TOLD)


async def test_a_large_result_is_stored_beside_the_next_steps(tmp_path: Path) -> None:
    """From there on the session goes on as any other."""
    async with running(tmp_path, *STRAIGHT) as bench:
        bench.runner.padding = b"." * 5000
        assert await bench.end(await bench.submit("x")) is SessionState.SUCCEEDED
        bench.plan = Plan.of(CHAIN)
        assert await bench.end(await bench.submit()) is SessionState.SUCCEEDED
        (_, records), (_, others) = await stored(bench, "x"), await stored(bench, "s")
        assert records == others
        assert all(record.output.digest for record in records if record.output is not None)


@pytest.mark.parametrize("held", ["a", "b", "c"])
async def test_one_that_is_given_a_command_goes_on_as_any_other(tmp_path: Path, held: str) -> None:
    """What had happened by then is told first, and what its call comes to is heard by `decide`."""
    async with running(tmp_path, *STRAIGHT) as bench:
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


@pytest.mark.parametrize("steps", [CHAIN, STRAIGHT])
@pytest.mark.parametrize("on_its_way", [True, False])
async def test_a_pause_takes_back_what_waits_for_its_turn(
    tmp_path: Path, steps: Sequence[StepPlan], *, on_its_way: bool
) -> None:
    """Also a call that comes to wait only after it: else the session would be PAUSING until its model is there."""
    async with running(tmp_path, *steps) as bench:
        bench.runner.queued = {"b"}
        bench.runner.held = {"b"} if on_its_way else set()
        live = await bench.submit("x")
        await bench.runner.until("b#1")
        await bench.engine.deliver("x", "", bench.command(Action.PAUSE))
        bench.runner.release.set()
        paused = ["SESSION_STARTED", "STEP_STARTED", "STEP_SUCCEEDED", "STEP_STARTED", "COMMAND_APPLIED"]
        await told(bench, [*paused, "STEP_RETRY_SCHEDULED", "SESSION_STATE_CHANGED"])
        bench.runner.queued = set()
        await bench.engine.deliver("x", "", bench.command(Action.RESUME))
        assert await bench.end(live) is SessionState.SUCCEEDED
        assert bench.runner.calls == ["a#1", "b#1", "b#2", "c#1"]


@pytest.mark.parametrize("held", ["a", "b"])
async def test_a_call_that_it_waits_for_is_cancelled_with_it(tmp_path: Path, held: str) -> None:
    """Its worker is not."""
    async with running(tmp_path, *STRAIGHT) as bench:
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
    steps = [replace(step, retry=ONCE) for step in STRAIGHT]
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
    async with running(tmp_path, *STRAIGHT) as bench:
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

    async with running(tmp_path, *STRAIGHT) as bench:
        await bench.end(await bench.submit("x"))
        ends = Refusals()
        await carry_out(bench, ends)
        while not ends.ends:
            await bench.store.sessions.changed("x")
        assert isinstance(ends.error, CoordinatorError)
        assert ends.error.reason == ErrorReason.ERROR_REASON_SESSION_ALREADY_EXISTS


@pytest.mark.parametrize(
    ("steps", "straight"),
    [
        (STRAIGHT, True),
        (CHAIN, False),
        (again(StepPlan("a"), StepPlan("b")), False),
        (again(StepPlan("a"), StepPlan("b", (0,), conditional=True)), False),
        (again(StepPlan("a"), StepPlan("b", (0,), foreach=True)), False),
    ],
)
def test_a_plan_is_straight_if_its_steps_follow_one_another(steps: Sequence[StepPlan], straight: bool) -> None:
    """None has a condition or items, which are evaluated first, and what a crash loses may be called again."""
    assert Plan.of(tuple(steps)).straight is straight
