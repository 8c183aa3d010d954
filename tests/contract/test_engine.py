"""What every engine does on every store. An engine or a store that is added joins ENGINES or STORES."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine import local
from processing_service.engine.base import Resolution, SessionContext
from processing_service.engine.commands import LEGAL
from processing_service.engine.decide import Decision, decide
from processing_service.engine.events import Command, Event
from processing_service.engine.journal import decode, encode
from processing_service.engine.live import Live
from processing_service.engine.local import LocalEngine
from processing_service.engine.observer import Observer
from processing_service.engine.projection import restore
from processing_service.engine.records import Action, Fault, Kind, Plan, Record, SessionState, StepPlan
from processing_service.engine.state import State, initial
from processing_service.engine.store.base import SessionRow, SessionStart
from processing_service.engine.store.sqlite import SqliteStore, StoreSettings
from processing_service.wire.errors import Code, CoordinatorError
from processing_service.wire.telemetry.hooks import Telemetry
from tests.engines import CHAIN, Runner, context
from tests.simulation.store import Disk, MemoryStore

BUDGET_US = 60_000_000


class OnSqlite:
    """A folder with a store in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, *, by_force: bool = False) -> None:
        """Opens what is there; by force also while another has it."""
        if by_force:
            (self._folder / "lock").unlink()
        self._store = SqliteStore(StoreSettings(self._folder))
        self.sessions, self.artifacts = self._store.sessions, self._store.artifacts
        self.charge_recovery = self._store.charge_recovery

    async def kill(self) -> None:
        """Closes the files with what has not been written; a transaction that is under way ends."""
        self._store._writer.take = lambda: None
        await self._store.close()


class InMemory:
    """A disk that is none."""

    disks: dict[Path, Disk] = {}

    def __init__(self, folder: Path) -> None:
        self._disk = self.disks.setdefault(folder, Disk())

    def open(self, *, by_force: bool = False) -> None:
        """Opens what is there."""
        self._store = self.sessions = MemoryStore(self._disk)
        self.artifacts, self.charge_recovery = self._store.artifacts, self._store.charge_recovery

    async def kill(self) -> None:
        """What has not been written is lost."""
        self._store._changes.clear()
        self._store._begins.clear()
        await self._store.drain()


STORES: dict[str, Callable[[Path], Any]] = {"sqlite": OnSqlite, "memory": InMemory}
ENGINES: dict[str, Callable[..., Any]] = {"local": LocalEngine}


class Clock:
    """Shows what it is told to."""

    def __init__(self) -> None:
        self.now_us = 1_790_000_000_000_000

    def __call__(self) -> int:
        return self.now_us

    def advance(self, seconds: float) -> None:
        """Time goes on."""
        self.now_us += round(seconds * 1e6)


class Stand:
    """One life of an engine on a store; the clock and the domain outlive it."""

    def __init__(self, engine: str, kept: Any, steps: tuple[StepPlan, ...], clock: Clock, runner: Runner) -> None:
        self.plan, self.kept, self.clock, self.runner = Plan.of(steps), kept, clock, runner
        self.engine = ENGINES[engine](
            kept.sessions,
            kept.artifacts,
            runner,
            self._revive,
            clock,
            Observer(Telemetry()),
            lambda context: None,
        )

    def _revive(self, row: SessionRow) -> tuple[SessionContext, Plan]:
        return context(row.start.session_id), self.plan

    async def submit(self, session_id: str = "s") -> Live:
        """Begins a session."""
        start = SessionStart(session_id, "", "wf", b"d" * 32, b"def", b"", self.clock(), BUDGET_US)
        _, live = await self.engine.submit(start, context(session_id), self.plan)
        assert live is not None
        return live

    async def give(self, action: Action, session_id: str = "s") -> State:
        """Gives a command; its record is durable on return."""
        return await self.engine.deliver(session_id, "", Command(self.clock(), action, self.clock()))

    async def ended(self, session_id: str = "s") -> SessionState:
        """How it ended, once that is durable."""
        live = self.engine.roster.live(session_id, "")
        if live is not None:
            await live.wait(1 << 62)
        return (await self.kept.sessions.read(session_id, "")).state

    async def history(self, session_id: str = "s") -> list[Record]:
        """What is stored."""
        return list(await self.kept.sessions.records(session_id, "", 0, 10_000))

    async def later(self, seconds: float) -> None:
        """Time goes on, and the engine looks at the clock."""
        self.clock.advance(seconds)
        self.engine.tick()

    async def die(self) -> None:
        """The engine is no more; its store is there yet."""
        await self.engine.drain(0)

    async def recover(self) -> None:
        """Takes up what another life left."""
        await self.kept.charge_recovery()
        await self.engine.recover()


class Bench:
    """Lives of an engine on one store."""

    def __init__(self, engine: str, store: str, folder: Path) -> None:
        self._engine, self._store, self._folder = engine, store, folder
        self.clock, self.runner = Clock(), Runner()
        self.lives: list[Stand] = []

    def begin(self, *steps: StepPlan, on: Any = None, by_force: bool = False) -> Stand:
        """The next life: on a store that is open, or on the one that is opened now."""
        if on is None:
            on = STORES[self._store](self._folder)
            on.open(by_force=by_force)
        self.lives.append(Stand(self._engine, on, steps or CHAIN, self.clock, self.runner))
        return self.lives[-1]


@asynccontextmanager
async def _bench(engine: str, store: str, folder: Path) -> AsyncIterator[Bench]:
    bench = Bench(engine, store, folder)
    try:
        yield bench
    finally:
        bench.runner.release.set()
        for life in bench.lives:
            await life.die()
        for kept in {id(life.kept): life.kept for life in bench.lives}.values():
            await kept.kill()


@pytest.fixture(params=[(engine, store) for engine in ENGINES for store in STORES], ids="-".join)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    async with _bench(*request.param, tmp_path) as made:
        yield made


def check(stand: Stand, records: list[Record], live: Live | None = None) -> None:
    """Numbered without a gap, one end an attempt, no result twice, and the state is what they fold to."""
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    ends = [record.session_attempt for record in records if record.kind is Kind.SESSION_ENDED]
    assert len(ends) == len(set(ends))
    results = [record[5:8] for record in records if record.kind is Kind.STEP_SUCCEEDED and record.attempt]
    assert len(results) == len(set(results))
    if live is not None:
        start = initial("s", stand.plan, live.state.created_us, BUDGET_US)
        assert _plain(restore(stand.plan, start, records)) == _plain(live.state)


def _plain(state: State) -> State:
    """A fault that was stored says the same in other bytes."""
    state = state.copy()
    state.fault = state.fault and Fault(*state.fault[:3])
    state.steps = [step.copy() for step in state.steps]
    for step in state.steps:
        step.fault = step.fault and Fault(*step.fault[:3])
    return state


@pytest.mark.parametrize("seed", range(8))
async def test_the_log_is_what_decide_said(bench: Bench, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands at any time, legal or not: each record that was decided is stored, in order, and nothing else."""
    said: list[Record] = []

    def hear(plan: Plan, state: State, event: Event) -> Decision:
        decision = decide(plan, state, event)
        said.extend(decision.records)
        return decision

    monkeypatch.setattr(local, "decide", hear)
    chance = random.Random(seed)
    stand = bench.begin(StepPlan("a"), StepPlan("b", foreach=True, max_parallel=2), StepPlan("c", (0, 1)))
    bench.runner.items[1], bench.runner.held = Resolution(items_total=3), {"a", "b[0]", "b[1]"}
    live = await stand.submit()
    for _ in range(12):
        await _meddle(stand, chance, said)
        live = stand.engine.roster.live("s", "") or live  # a RETRY may have taken it up anew
    bench.runner.held.clear()
    bench.runner.release.set()
    live = await _finish(stand, live)

    history = decode(encode(await stand.history()))
    assert history == decode(encode(said))
    check(stand, history, live)


async def _meddle(stand: Stand, chance: random.Random, said: list[Record]) -> None:
    action = chance.choice(list(Action))
    live = stand.engine.roster.live("s", "")
    state = live.state.state if live is not None else (await stand.kept.sessions.read("s", "")).state
    commands = [record for record in said if record.action]
    if state in LEGAL[action]:
        await stand.give(action)
    else:
        with pytest.raises(CoordinatorError) as caught:
            await stand.give(action)
        assert caught.value.code is Code.FAILED_PRECONDITION
        assert [record for record in said if record.action] == commands
    await stand.later(chance.random() * 2)


async def _finish(stand: Stand, live: Live) -> Live:
    """Resumes it, if it is paused, and waits for its end."""
    live = stand.engine.roster.live("s", "") or live
    if live.state.state in (SessionState.PAUSING, SessionState.PAUSED):
        await stand.give(Action.RESUME)
    await stand.later(2.5)
    await stand.ended()
    return live


async def test_another_worker_goes_on_where_one_died(bench: Bench) -> None:
    """Under the same keys, on the same store; what had ended does not run again."""
    stand = bench.begin()
    bench.runner.held = {"b"}
    await stand.submit()
    await bench.runner.until("b#1")
    await stand.die()
    bench.runner.held = set()
    other = bench.begin(on=stand.kept)
    await other.recover()

    assert await other.ended() is SessionState.SUCCEEDED
    assert bench.runner.calls == ["a#1", "b#1", "b#1", "c#1"]
    check(other, await other.history())


async def test_a_server_that_is_killed_loses_nothing_that_was_acknowledged(bench: Bench) -> None:
    """The store is closed with what it had not written yet, and opened again."""
    stand = bench.begin()
    bench.runner.held = {"c"}
    await stand.submit()
    await bench.runner.until("c#1")
    await stand.give(Action.PAUSE)
    killed = [stand.die(), stand.kept.kill()]
    for each in reversed(killed):  # the store first: nobody drains it
        await each
    bench.runner.held = set()
    other = bench.begin()
    await other.recover()

    assert [record.action for record in await other.history() if record.kind is Kind.COMMAND_APPLIED] == [Action.PAUSE]
    while (live := other.engine.roster.live("s", "")) is None or live.state.state is not SessionState.PAUSED:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await other.give(Action.RESUME)
    assert await other.ended() is SessionState.SUCCEEDED
    check(other, await other.history(), live)


async def test_a_stale_write_is_refused_and_forks_nothing(bench: Bench) -> None:
    """History that does not follow on what is stored; whoever wrote it writes nothing more of that session."""
    stand = bench.begin()
    live = await stand.submit()
    await stand.ended()
    stored = await stand.history()
    fork = Record(len(stored), stand.clock(), Kind.COMMAND_REFUSED, 1, SessionState.SUCCEEDED)
    state = live.state.copy()
    state.sequence = fork.sequence
    refused = stand.kept.sessions.commit(live.number, state, [fork], wait=True)

    with pytest.raises(CoordinatorError) as caught:
        await refused
    assert caught.value.reason == ErrorReason.ERROR_REASON_SESSION_FENCED
    assert await stand.history() == stored


async def test_a_session_that_another_hand_moved_on_is_left_to_it(bench: Bench) -> None:
    """The command is refused, its calls are cancelled, and the history stays the other's."""
    stand = bench.begin()
    bench.runner.held = {"a"}
    live = await stand.submit()
    await bench.runner.until("a#1")
    await stand.give(Action.PAUSE)
    moved = Record(live.state.sequence + 1, stand.clock(), Kind.SESSION_RECOVERED, 1, SessionState.PAUSING)
    state = live.state.copy()
    state.sequence = moved.sequence
    await stand.kept.sessions.commit(live.number, state, [moved], wait=True)
    stored = await stand.history()

    with pytest.raises(CoordinatorError) as caught:
        await stand.give(Action.RESUME)
    assert caught.value.reason == ErrorReason.ERROR_REASON_SESSION_FENCED
    with pytest.raises(CoordinatorError):
        await live.wait(1 << 62)
    assert (bench.runner.cancelled, await stand.history()) == (["a#1"], stored)


async def test_an_old_owner_writes_nothing_more(bench: Bench) -> None:
    """Two of one store: the second has it, whatever the first believes."""
    first = bench.begin()
    bench.runner.held = {"a"}
    live = await first.submit()
    await bench.runner.until("a#1")
    await first.give(Action.PAUSE)
    second = bench.begin(by_force=True)
    await second.recover()
    stored = await second.history()

    for late in (first.give(Action.RESUME), first.submit("t")):
        with pytest.raises(CoordinatorError) as caught:
            await late
        assert caught.value.reason == ErrorReason.ERROR_REASON_SESSION_FENCED
    with pytest.raises(CoordinatorError):
        await live.wait(1 << 62)
    bench.runner.release.set()
    await second.give(Action.RESUME)
    assert await second.ended() is SessionState.SUCCEEDED
    assert (await second.history())[: len(stored)] == stored
    check(second, await second.history())


@pytest.mark.parametrize("again", [False, True])
async def test_a_retry_after_the_end_is_the_next_attempt(bench: Bench, again: bool) -> None:
    """In the same session, with numbers that go on and outputs that are kept, also in another life."""
    stand = bench.begin()
    bench.runner.failures["b"] = [CoordinatorError(Code.INTERNAL, ErrorReason.ERROR_REASON_INTERNAL, "no")]
    await stand.submit()
    assert await stand.ended() is SessionState.FAILED
    if again:
        await stand.die()
        await stand.kept.kill()
        stand = bench.begin()
    await stand.give(Action.RETRY)
    live = stand.engine.roster.live("s", "")

    assert await stand.ended() is SessionState.SUCCEEDED
    assert bench.runner.calls == ["a#1", "b#1", "b#2", "c#1"]
    check(stand, await stand.history(), live)


@pytest.mark.parametrize("again", [False, True])
async def test_a_pause_may_last_longer_than_the_budget(bench: Bench, again: bool) -> None:
    """Its clock stands still, whether the server lives through it or not."""
    stand = bench.begin()
    bench.runner.held = {"b"}
    live = await stand.submit()
    await bench.runner.until("b#1")
    stand.clock.advance(1)
    await stand.give(Action.PAUSE)
    bench.runner.release.set()
    while live.state.state is not SessionState.PAUSED:  # noqa: ASYNC110  # it tells nobody
        await asyncio.sleep(0)
    bench.runner.held, bench.runner.release = {"c"}, asyncio.Event()
    await stand.later(100 * BUDGET_US / 1e6)
    if again:
        await stand.die()
        await stand.kept.kill()
        stand = bench.begin()
        await stand.recover()
    await stand.give(Action.RESUME)
    await stand.later(BUDGET_US / 1e6 - 2)
    assert (await stand.history())[-1].session_state is SessionState.RUNNING

    await stand.later(1 + stand.engine.limits.timer_slack_s)
    assert await stand.ended() is SessionState.TIMED_OUT
    check(stand, await stand.history())


async def test_the_limits_are_kept(bench: Bench) -> None:
    """A call is ended no later than its timeout and the slack; what happened is in the log before the next tick."""
    stand = bench.begin(StepPlan("a", timeout_us=1_000_000))
    limits = stand.engine.limits
    assert 0 < local.TICK_S < limits.timer_slack_s
    assert limits.event_lag_s > 0
    assert limits.recovery_s > 0
    bench.runner.held = {"a"}
    await stand.submit()
    await bench.runner.until("a#1")
    await stand.later(1 - local.TICK_S)
    assert bench.runner.cancelled == []

    await stand.later(limits.timer_slack_s)
    assert await stand.ended() is SessionState.FAILED
    assert bench.runner.cancelled == ["a#1"]


async def test_a_foreach_that_is_too_wide_is_refused(bench: Bench) -> None:
    """The limit says how wide."""
    stand = bench.begin(StepPlan("a", foreach=True))
    bench.runner.items[0] = Resolution(items_total=stand.engine.limits.widest_foreach + 1)
    await stand.submit()

    assert await stand.ended() is SessionState.FAILED
    assert bench.runner.calls == []
