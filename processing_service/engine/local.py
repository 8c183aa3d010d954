"""The engine of one process: delivers events to `decide`, and has done what it says.

One task a session: a step that runs alone runs in it, parallel ones get a task each, and the last of them to end goes
on with what follows. Of a session on the express lane `decide` hears only where there is a reason. Two commits are
waited for: the start, before the first call goes out, and the end, before anybody is told. docs/design/engine.md has
the figures behind this shape.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol
from weakref import WeakValueDictionary

from processing_service.engine.base import HeardCancel, SessionContext, StepRunner
from processing_service.engine.decide import decide, next_due
from processing_service.engine.events import Cancel, Command, Event, Started, Wake
from processing_service.engine.express import UNTOLD_US, Express, Passage
from processing_service.engine.faults import result_of
from processing_service.engine.ledger import Ledger
from processing_service.engine.live import TURN_S, End, Follower, Live, SessionKey
from processing_service.engine.observer import Observer
from processing_service.engine.openings import OnLeave, Openings
from processing_service.engine.records import Action, Durability, Kind, Plan, Record, SessionState
from processing_service.engine.recovery import Recovery, Revive
from processing_service.engine.refusals import check_legal, draining, not_stored, taken
from processing_service.engine.roster import Roster
from processing_service.engine.state import State, initial
from processing_service.engine.store.base import ArtifactStore, Opened, RequestNote, SessionStart, SessionStore
from processing_service.engine.worker import Job, Worker
from processing_service.wire.errors import CoordinatorError

TICK_S: Final = 0.05
"""How often time-outs, retries and callers that wait are looked at, in seconds."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What the engine promises; the width of a foreach is refused above its limit."""

    event_lag_s: float = UNTOLD_US / 1e6 + TICK_S
    """Longest time from a result to the transaction with its record, in seconds."""
    timer_slack_s: float = 2 * TICK_S
    """How late a time-out or a retry may be, in seconds."""
    widest_foreach: int = 10_000
    """Items of a foreach step, at most."""
    recovery_s: float = 2.0
    """From the start of the process to the first call of the last open session, in seconds, with 1,000 open."""


class SessionEnd(Protocol):
    """Cleans up behind a session: what it opened in the domains; None if there is nothing."""

    def __call__(self, context: SessionContext, /) -> Coroutine[None, None, None] | None:
        """Called once a session has ended, however it ended."""


class LocalEngine:
    """Runs sessions.

    Args:
        store: where they are durable.
        artifacts: where large results are.
        runner: makes their calls.
        revive: context and plan of a stored session, to go on with it.
        now_us: microseconds since the Unix epoch.
        observer: tells telemetry what happened.
        on_end: cleans up behind a session.
        heard_cancel: what receipts of cancelled calls go by; None takes it for granted that a domain hears of it.
    """

    limits = EngineLimits()

    def __init__(
        self,
        store: SessionStore,
        artifacts: ArtifactStore,
        runner: StepRunner,
        revive: Revive,
        now_us: Callable[[], int],
        observer: Observer,
        on_end: SessionEnd,
        heard_cancel: HeardCancel | None = None,
    ) -> None:
        self._store = store
        self._now_us, self._observer, self._on_end = now_us, observer, on_end
        self._worker = Worker(runner, now_us, observer, self.limits.widest_foreach, heard_cancel)
        self._ledger = Ledger(store, artifacts)
        self._express = Express(self._worker, now_us, self.feed)
        self.roster = Roster()
        """The sessions that run in this process."""
        self._openings = Openings(self.roster, self._start_stored)
        self._taking_up: WeakValueDictionary[SessionKey, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._draining = self._letting_go = False
        self._recovery = Recovery(store, revive, now_us, self._begin)

    async def submit(
        self,
        start: SessionStart,
        context: SessionContext,
        plan: Plan,
        holds: Sequence[bytes] = (),
        on_leave: OnLeave | None = None,
        follower: Follower | None = None,
    ) -> tuple[Opened, Live | None]:
        """Begins a session; durable on return, unless its durability says otherwise.

        A request_id that was seen before gives the first session; then there is no new live one. A caller that leaves
        before the start is durable does not hear of the session, but it runs: what is stored is carried out.

        Args:
            holds: digests of the artifacts that it needs.
            on_leave: called with the session of such a caller, once it runs.
            follower: follows the session from its start on.

        Raises:
            CoordinatorError: SERVER_DRAINING, SESSION_ALREADY_EXISTS, REQUEST_ID_REUSED, STORE_*.
        """
        if self._letting_go or (self._draining and not start.parent_session_id):  # a child is part of what runs
            raise draining()
        state = initial(start.session_id, plan, start.created_us, start.budget_us)
        live = Live(context, plan, state, Durability(start.durability))
        live.follower = follower
        self._check_free(live)
        opened = Opened(0, start.session_id, False)
        if live.durability is not Durability.NONE:
            live.number, durable = self._store.open(start, holds)
            if live.durability is Durability.FULL:
                opened = await self._openings.opened(live, durable, on_leave)
                return opened, None if opened.repeated else live
            durable.add_done_callback(partial(_note_refusal, live))
        self._start(live)
        return opened, live

    def _check_free(self, live: Live) -> None:
        """Raises SESSION_ALREADY_EXISTS where the store does not see the clash: one of both sessions is not in it."""
        other = self.roster.live(live.state.session_id, live.context.tenant)
        stored = live.durability is not Durability.NONE
        if (other is not None and not (stored and other.number)) or (not stored and live.key in self._openings):
            raise taken(live.state.session_id)

    async def carry_out(
        self,
        start: SessionStart,
        context: SessionContext,
        plan: Plan,
        holds: Sequence[bytes],
        follower: Follower,
    ) -> None:
        """Runs a session in the task of its caller, as far as it goes without a command or a timer: mostly to its end.

        Its start is not waited for, so it is for sessions whose calls may be repeated, and which somebody begins again
        that a crash has lost.

        Raises:
            CoordinatorError: SERVER_DRAINING, SESSION_ALREADY_EXISTS.
        """
        if self._draining:
            raise draining()
        live = Live(
            context, plan, initial(start.session_id, plan, start.created_us, start.budget_us), Durability.RESULT
        )
        self._check_free(live)
        live.follower = follower
        live.number = self._store.open_behind(start, holds, partial(setattr, live, "refused"))
        self._observer.session_started(live)
        task = _current_task()
        self._tasks.add(task)  # it is let go of with the engine's own
        try:
            await self._start_here(live)
        finally:
            self._tasks.discard(task)

    def _start_stored(self, live: Live) -> None:
        """Starts a session, unless it is too late: then it goes on at the next start of the server."""
        if not self._letting_go:
            self._start(live)

    def _start(self, live: Live) -> None:
        self._observer.session_started(live)
        if (passage := self._express.begin(live)) is None:
            self._begin(live, Started(self._now_us()))
        else:
            self.roster.add(live)
            self._spawn(self._pass(live, passage))

    async def _start_here(self, live: Live) -> None:
        self.roster.add(live)
        if (passage := self._express.begin(live)) is None:
            await self._follow(live, self.feed(live, Started(self._now_us())))
        else:
            await self._pass(live, passage)

    async def _pass(self, live: Live, passage: Passage) -> None:
        """Runs a session as far as its passage goes, and on from there."""
        passed = await self._express.run(passage, _current_task())
        if not isinstance(passed, list):
            await self._follow(live, self.feed(live, passed))
            return
        self._record(live, passed)

    async def _follow(self, live: Live, jobs: Sequence[Job]) -> None:
        """Carries out the first of these jobs here, and others in tasks of their own."""
        self._spawn_all(live, jobs[1:])
        if jobs:
            await self._work(live, jobs[0])

    def _begin(self, live: Live, event: Event) -> None:
        self.roster.add(live)
        self._spawn_all(live, self.feed(live, event))

    async def recover(self) -> int:
        """Takes up every session that had not ended when the process before this one did; how many."""
        return await self._recovery.recover()

    def take_up_stranded(self) -> None:
        """Tries again to take up the sessions whose operations were not known when the process started."""
        if not self._letting_go:
            self._recovery.retry_stranded()

    async def deliver(
        self,
        session_id: str,
        tenant: str,
        command: Command,
        note: RequestNote | None = None,
        follower: Follower | None = None,
    ) -> State:
        """Gives a command to a session, live or ended; its record is durable on return.

        Raises:
            CoordinatorError: SESSION_NOT_FOUND, SESSION_STATE_ILLEGAL, SERVER_DRAINING.
        """
        live = await self._reach(session_id, tenant, command)
        if self._letting_go:
            raise draining()
        check_legal(session_id, live.state.state, command)
        live.follower = follower or live.follower
        self.roster.add(live)
        if command.action is Action.RETRY and live.context.cache:  # of the attempt whose end is not durable yet
            self._clean(live)
        jobs = self._obey(live, command._replace(at=self._now_us()))  # it took a while to reach the session
        if command.action is Action.PAUSE:
            self._worker.recall(live)
        state, durable = live.state, self._ledger.write(live, (), wait=True, note=note)
        self._spawn_all(live, jobs)
        if durable is not None:
            await self._kept(live, durable)
        return state

    async def _kept(self, live: Live, durable: asyncio.Future[None]) -> None:
        """Waits for a command's record; a session that was removed meanwhile has no use for its calls."""
        try:
            await durable
        except CoordinatorError as error:
            live.number, live.refused = 0, error  # what would be written yet could fall to another of its place
            now = self._now_us()
            self.post(live, Command(now, Action.TERMINATE, now))
            raise

    async def _reach(self, session_id: str, tenant: str, command: Command) -> Live:
        """The session that runs, or an ended one taken up from the store; never a second one beside the first."""
        await self._openings.wait((tenant, session_id))
        live = self.roster.live(session_id, tenant)
        if live is not None and not live.number:
            raise not_stored(session_id)
        if live is not None and not live.over:
            return live
        turn = self._taking_up.setdefault((tenant, session_id), asyncio.Lock())
        async with turn:  # else it could be taken up, run and end while this one reads, and what was read be old
            live = self.roster.live(session_id, tenant)
            if live is not None and not live.over:
                return live
            row, records = await self._store.load(session_id, tenant)
            check_legal(session_id, row.state, command)
            return self._recovery.live_of(row, records)

    def post(self, live: Live, command: Command) -> None:
        """Gives a command to a live session, without waiting for anything; one that is not legal is refused there.

        Nothing happens to a session that has ended, which somebody else may be about to take up, and once the engine
        lets go of its sessions: they go on at the next start.
        """
        if not self._letting_go and not live.state.state.terminal:
            self._spawn_all(live, self._obey(live, command))

    def _obey(self, live: Live, command: Command) -> list[Job]:
        """Gives a command to `decide`; calls that wait for their turn see whether their clocks still run."""
        jobs = self.feed(live, command)
        live.context.halt(live.state.paused_us, command.at)
        return jobs

    def feed(self, live: Live, event: Event) -> list[Job]:
        """Gives an event to `decide`, writes its records, cancels what is to be cancelled; what is to be done next."""
        state, actions, records = decide(live.plan, live.state, event)
        if records:
            live.state, live.due_us = state, next_due(live.plan, state)
            self._record(live, records)
        jobs: list[Job] = []
        for action in actions:
            if type(action) is Cancel:
                self._worker.cancel(live, action)
            else:
                jobs.append(action)  # type: ignore[arg-type]  # all others are jobs
        return jobs

    def _record(self, live: Live, records: Sequence[Record]) -> None:
        """Writes records and tells who follows the session; it is over only behind that, stored or not."""
        self._write(live, records)
        if live.follower is not None:
            live.follower.moved(live)
        if not live.number and records[-1].kind is Kind.SESSION_ENDED:
            self._end(live, live.state.attempt, live.refused)

    def _write(self, live: Live, records: Sequence[Record]) -> None:
        state = live.state
        ended = records[-1].kind is Kind.SESSION_ENDED
        if ended and state.fault is not None:
            live.result = result_of(state.fault)
        if live.number and ended:
            self._ledger.write(live, records, result=live.result, told=partial(self._end, live, state.attempt))
        elif live.number:
            self._ledger.write(live, records)

    def _end(self, live: Live, attempt: int, error: BaseException | None) -> None:
        if error is not None and live.refused is not None:  # there is no row to write to, which only looks like a fence
            error = live.refused
        if live.state.attempt != attempt:  # a RETRY came first
            return
        self.roster.remove(live)
        live.end(End(live.state, live.result) if error is None else None, error)
        self._observer.session_ended(live)
        self._clean(live)

    def _clean(self, live: Live) -> None:
        cleanup = self._on_end(live.context)
        if cleanup is not None:
            self._spawn(cleanup)

    def _spawn_all(self, live: Live, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._spawn(self._work(live, job))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, live: Live, job: Job) -> None:
        """Carries out a job and what follows from it."""
        live.turn_started, task = self._loop.time(), _current_task()
        while True:
            jobs = self.feed(live, await self._worker.carry_out(live, job, task))
            if not jobs:
                return
            job = jobs[0]
            if len(jobs) > 1:
                self._spawn_all(live, jobs[1:])
            if self._loop.time() - live.turn_started > TURN_S:
                await asyncio.sleep(0)
                live.turn_started = self._loop.time()

    async def run(self) -> None:
        """Looks after time-outs, retries and waiting callers until it is cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()

    def tick(self) -> None:
        """Tells of every session that has run for a moment, and wakes those whose time has come."""
        now = self._now_us()
        for live in [live for live in self.roster if live.passage is not None and live.passage.is_due(now)]:
            live.settle()
        for live in [live for live in self.roster if 0 < live.due_us <= now]:
            self._spawn_all(live, self.feed(live, Wake(now)))
        for live in [live for live in self.roster if live.waiters]:
            live.wake_waiters(now)
        self._recovery.end_stranded(now)

    def _busy(self) -> bool:
        """True while a session runs; one that is paused waits for a command, which may come after a restart."""
        return any(live.state.state is not SessionState.PAUSED for live in self.roster)

    def abandon(self, error: CoordinatorError) -> None:
        """Lets go of every session at once, since another has them now: calls are cancelled, who waits is told why."""
        self._letting_go = True
        for task in tuple(self._tasks):
            task.cancel()
        for live in self.roster:
            live.end(None, error)
        self.roster.clear()

    async def drain(self, grace_s: float) -> None:
        """Takes no new session, waits for the running ones, then lets go: the store has them for the next start."""
        self._draining = True
        end = self._loop.time() + grace_s
        while self._busy() and self._loop.time() < end:  # noqa: ASYNC110  # they end in many ways
            await asyncio.sleep(TICK_S)
        for live in self.roster:
            live.settle()
        self._letting_go = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._ledger.flush()


def _note_refusal(live: Live, durable: asyncio.Future[Opened]) -> None:
    live.refused = durable.exception()


def _current_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task
