"""One schedule: clients and operators, a server that dies and comes back, a domain and a disk, all from one seed."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter
from contextvars import copy_context
from dataclasses import dataclass, field
from random import Random
from typing import Any

from processing_service.engine.base import StepCall
from processing_service.engine.local import EngineLimits
from processing_service.engine.records import Action, Durability, Kind, Plan, Record, SessionState, StepState
from processing_service.engine.store.base import SessionStart
from processing_service.wire.errors import CoordinatorError
from tests.simulation.domain import Domain
from tests.simulation.loop import EPOCH_US, VirtualLoop
from tests.simulation.model import LEGAL
from tests.simulation.server import Lost, Server
from tests.simulation.shapes import BUDGETS_US, plan_of, straightened
from tests.simulation.store import Disk, MemoryStore, Session

LAG_US = 10_000
"""Longest time that a turn of the loop takes, in microseconds."""
SLACK_US = round(EngineLimits().timer_slack_s * 1e6) + LAG_US
"""How late anything may be that waits for the clock."""
PAUSES_S = (0.0, 0.001, 0.005, 0.02, 0.06, 0.2, 0.5)
DELAYS_S = (0.0, 0.0002, 0.001, 0.001, 0.004, 0.03)
ACTIONS = tuple(Action)
LIKED = (Action.PAUSE, Action.PAUSE, Action.PAUSE, Action.RESUME, Action.RESUME, *Action)
"""What operators do, as often as they do it."""
END_S = 120
"""Nothing may take longer than that once the trouble is over, in seconds."""


@dataclass
class Asked:
    """A session that a client asked for, and what it heard."""

    start: SessionStart
    plan: Plan
    acknowledged: bool = False
    refused: str = ""
    left: bool = False
    removed: bool = False
    """Deleted, or perhaps."""
    ends: list[SessionState] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)


@dataclass
class Control:
    """A command that an operator gave, and what it heard."""

    action: Action
    request_id: str
    sent_us: int
    heard_us: int = 0
    answer: str = ""
    """`given`, `again`, the reason of a refusal, or empty if nobody knows."""


class World:
    """One schedule, run by `run`; then everything that happened stands in its attributes.

    Args:
        seed: all that is chance follows from it.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.told = seed, Counter[str]()
        shapes, loop, store, domain, self._chance = (Random(seed * 8 + part) for part in range(5))
        self._shapes, self._store_chance = shapes, store
        self.loop = VirtualLoop(loop, LAG_US if loop.random() < 0.3 else 0)
        self.disk = Disk()
        self.violations: list[str] = []
        """Promises that were seen to be broken as it happened."""
        self.domain = Domain(self.loop, domain, self._begin_child, self._see_call, self.told)
        self.asked: dict[str, Asked] = {}
        self.watched: dict[tuple[str, int], dict[int, Record]] = {}
        self._plans: dict[str, Plan] = {}
        self.starts_us: list[int] = []
        self.deaths_us: list[int] = []
        self._deadly = self._chance.random() < 0.5
        self._faulty_disk = self._chance.random() < 0.2
        self._up = asyncio.Event()
        self._outside = copy_context()
        self.healed = False
        self.server: Server | None = None

    def run(self) -> None:
        """Runs the schedule to its end. Raises Stalled if something never ends."""
        done = False

        async def main() -> None:
            nonlocal done
            try:
                await self._main()
            finally:
                done = True

        with self.loop._running():
            task = self.loop.create_task(main())
        try:
            self.loop.run_until(lambda: done)
            self.loop.run_until(task.done)
        finally:
            self.loop.close()
        task.result()

    async def _main(self) -> None:
        self._start_server()
        jobs = [self._customer(number) for number in range(self._chance.choice((1, 1, 2, 3)))]
        jobs += [self._nemesis()] if self._deadly else []
        jobs += [self._trouble()] if self._faulty_disk else []
        await asyncio.gather(*jobs)
        await self._heal()
        assert self.server is not None
        self.last = self.server
        await self.server.stop(1.0)

    def story(self) -> str:
        """What happened, record by record and call by call; times in milliseconds since the beginning."""
        lines = [f"seed {self.seed}; server began {self._ms(*self.starts_us)}, died {self._ms(*self.deaths_us)}"]
        for session in self.disk.sessions.values():
            asked = self.asked[session.start.session_id]
            lines.append(f"{session.start.session_id}, budget {session.start.budget_us / 1000:g} ms:")
            lines += [f"    {step}" for step in asked.plan.steps]
            lines += [f"  {self._line(record)}" for record in session.records]
            lines += [f"  {control.action.name} {control}" for control in asked.controls]
        for call in self.domain.calls:
            times = self._ms(call.begun_us, call.deadline_us, call.cancelled_us, call.ended_us)
            lines.append(f"{call.key} {call.kind}: begun, due, cancelled, ended {times}")
        return "\n".join(lines)

    def _line(self, record: Record) -> str:
        facts = f"step {record.step}[{record.item}]#{record.attempt} {record.request_id}"
        fault = f": {record.fault.message}" if record.fault else ""
        return f"{record.sequence} {self._ms(record.at)} {record.kind.name} {record.session_state.name} {facts}{fault}"

    def _ms(self, *times_us: int) -> str:
        return " ".join(f"{(time - EPOCH_US) / 1000:.3f}" if time else "-" for time in times_us)

    def _start_server(self) -> None:
        self.server = server = Server(self.loop, self._open, self._plans, self.domain)
        self.starts_us.append(self.loop.now_us)

        def served(task: asyncio.Task[None]) -> None:
            if task.exception() is not None:
                self.told["start of the server refused"] += 1
                self._die()
            elif self.server is server and server.serving:
                self._up.set()

        server.starting.add_done_callback(served)

    def _open(self) -> MemoryStore:
        return MemoryStore(self.disk, lambda: self._store_chance.choice(DELAYS_S), self._point)

    def _point(self, point: str) -> None:
        """A group of the store is at that point: now and then the process dies there."""
        if self._deadly and not self.healed and self._store_chance.random() < 0.02:
            self.told[f"crash {point}"] += 1
            self._die()

    def _die(self) -> None:
        server = self.server
        if server is not None and server.process.alive:
            self._up.clear()
            server.kill()
            self.server = None
            self.deaths_us.append(self.loop.now_us)
            self.loop.call_later(self._chance.choice(PAUSES_S), self._start_server, context=self._outside)

    def was_up(self, since_us: int, until_us: int) -> bool:
        """True if one server ran and served all that time, and a while before."""
        starts = bisect_right(self.starts_us, since_us)
        if not starts or bisect_right(self.starts_us, until_us) != starts:
            return False
        return not any(self.starts_us[starts - 1] <= death <= until_us for death in self.deaths_us)

    async def _nemesis(self) -> None:
        for _ in range(self._chance.choice((1, 1, 2, 3))):
            await asyncio.sleep(self._chance.choice(PAUSES_S) * self._chance.random() * 2)
            if self._chance.random() < 0.75:
                self.told["crash"] += 1
                self._die()
            elif self.server is not None and self.server.serving:
                self.told["restart"] += 1
                self._up.clear()
                server = self.server
                await server.stop(self._chance.choice((0.0, 0.1)))
                if self.server is server:  # it did not die meanwhile
                    self.deaths_us.append(self.loop.now_us)
                    self._start_server()

    async def _trouble(self) -> None:
        await asyncio.sleep(self._chance.choice(PAUSES_S))
        self.told["disk full"] += 1
        self.disk.full = True
        await asyncio.sleep(self._chance.choice((0.01, 0.3, 1.5)))
        self.disk.full = False

    async def _customer(self, number: int) -> None:
        await asyncio.sleep(self._chance.choice(PAUSES_S))
        asked = self._ask(f"s{number}", "")
        jobs = [self._submit(asked)]
        jobs += [self._operator(asked) for _ in range(self._chance.choice((0, 1, 1, 2)))]
        jobs += [self._watcher(asked)] if self._chance.random() < 0.3 else []
        await asyncio.gather(*jobs)

    def _ask(self, session_id: str, parent: str) -> Asked:
        plan, budget_us = plan_of(self._shapes), self._shapes.choice(BUDGETS_US)
        if self.seed % 5 == 2:  # else few are, and none of the seeds that are kept
            plan = straightened(plan)
        durability = Durability.RESULT if not parent and self._shapes.random() < 0.1 else Durability.FULL
        now_us = self.loop.now_us
        start = SessionStart(
            session_id,
            "",
            "wf",
            b"d" * 32,
            b"def",
            b"",
            now_us,
            budget_us,
            f"start-{session_id}" if durability is Durability.FULL else "",
            b"r" * 32 if durability is Durability.FULL else b"",
            durability=durability,
            parent_session_id=parent,
            depth=int(bool(parent)),
        )
        asked = self.asked[session_id] = Asked(start, plan)
        self._plans[session_id] = plan
        return asked

    async def _begin_child(self, call: StepCall) -> bytes:
        session_id = call.key.translate(_ID)
        asked = self.asked.get(session_id) or self._ask(session_id, call.session.session_id)
        self.told["child"] += 1
        budget_us = max(1, min(asked.start.budget_us, call.deadline_us - asked.start.created_us))
        asked.start = asked.start._replace(budget_us=budget_us)
        assert self.server is not None
        return await self.server.child(call, asked.start, asked.plan)

    def _see_call(self, call: StepCall, doubled: bool) -> None:
        """Every call is one that is out by its session's account, and its session is durable."""
        step = call.steps[call.step]
        if step.items is None:
            out = step.state is StepState.RUNNING and call.item < 0 and step.attempt == call.attempt
        else:
            out = (call.item, call.attempt) in [flight[:2] for flight in step.items.running]
        self._expect(out, f"{call.key} runs and is not out")
        self._expect(not doubled, f"{call.key} runs twice at a time")
        session_id = call.session.session_id
        asked = self.asked[session_id]
        if asked.start.durability is Durability.FULL and not asked.removed:
            self._expect(self._stored(session_id) is not None, f"{call.key} runs before its session is durable")

    def _expect(self, true: bool, what: str) -> None:
        if not true:
            self.violations.append(what)

    def _stored(self, session_id: str) -> Session | None:
        found = (each for each in self.disk.sessions.values() if each.start.session_id == session_id)
        return next(found, None)

    async def _call(self, work: Any) -> Any:
        """What the server of the moment answers. Raises Lost, CoordinatorError."""
        if self.server is None:
            raise Lost
        return await self.server.call(work(self.server))

    async def _submit(self, asked: Asked) -> None:
        while not asked.acknowledged:
            await self._up.wait()
            patience = asyncio.ensure_future(self._call(lambda server: server.submit(asked.start, asked.plan)))
            if self._chance.random() < 0.1:
                await asyncio.wait([patience], timeout=self._chance.choice(DELAYS_S))
                if not patience.done():
                    self.told["caller left"] += 1
                    asked.left = True
                    patience.cancel()
            try:
                session_id, repeated = await patience
            except Lost:
                self.told["start unanswered"] += 1
                if not asked.start.request_id:  # a repeat could clash with the first
                    return
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                return
            except CoordinatorError as error:
                self.told[f"start refused {error.reason_name}"] += 1
                if error.reason_name != "SERVER_DRAINING":
                    asked.refused = error.reason_name
                    return
                await asyncio.sleep(0.02)
            else:
                self.told["repeated start"] += repeated
                asked.acknowledged = True
                durable = asked.start.durability != Durability.FULL or self._stored(session_id) is not None
                self._expect(durable or asked.removed, f"{session_id} was acknowledged and is not durable")
        await self._until_end(asked)

    async def _until_end(self, asked: Asked) -> None:
        session_id = asked.start.session_id
        until_us = self.loop.now_us + 500_000
        while self.loop.now_us < until_us:
            await self._up.wait()
            try:
                state = await self._call(lambda server: server.wait(session_id, until_us))
            except Lost:
                await asyncio.sleep(0.001)
            except CoordinatorError as error:
                self.told[f"wait refused {error.reason_name}"] += 1
                return
            else:
                if state is not None:
                    asked.ends.append(state)
                    told = asked.removed or self._has_ended(session_id, state)
                    self._expect(told, f"{session_id} {state.name} was told too early")
                return

    def _has_ended(self, session_id: str, state: SessionState) -> bool:
        session = self._stored(session_id)
        records = session.records if session is not None else []
        return any(record.kind is Kind.SESSION_ENDED and record.session_state is state for record in records)

    async def _operator(self, asked: Asked) -> None:
        for _ in range(self._chance.choice((1, 2, 3))):
            await asyncio.sleep(self._chance.choice(PAUSES_S) * self._chance.random())
            target = self._chance.choice(list(self.asked.values())) if self._chance.random() < 0.2 else asked
            if self._chance.random() < 0.04:
                await self._remove(target)
            await self._control(target, self._next_action(target))

    async def _remove(self, asked: Asked) -> None:
        """Deletes a session, if it has ended."""
        await self._up.wait()
        before, asked.removed = asked.removed, True
        try:
            removed = await self._call(lambda server: server.store.delete_session(asked.start.session_id, ""))
        except Lost:
            return
        except CoordinatorError:
            removed = False
        asked.removed = before or removed
        self.told["removed"] += removed

    def _next_action(self, asked: Asked) -> Action:
        """Mostly one that would be legal now; others may come first."""
        session = self._stored(asked.start.session_id)
        state = session.state.state if session is not None and session.state is not None else SessionState.PENDING
        legal = [action for action in LIKED if state in LEGAL[action]]
        return self._chance.choice(legal if legal and self._chance.random() < 0.7 else ACTIONS)

    async def _control(self, asked: Asked, action: Action) -> None:
        control = Control(action, f"{action.name}-{len(self.told)}-{self._chance.random():.9f}", self.loop.now_us)
        asked.controls.append(control)
        budget_us = self._chance.choice(BUDGETS_US) if action is Action.RETRY and self._chance.random() < 0.5 else 0
        for _ in range(3):
            await self._up.wait()
            try:
                given = await self._call(
                    lambda server: server.control(asked.start.session_id, action, control.request_id, budget_us)
                )
            except Lost:
                self.told["command unanswered"] += 1
                await asyncio.sleep(0.001)
            except CoordinatorError as error:
                control.answer = error.reason_name
                break
            else:
                control.answer = "given" if given else "again"
                session = self._stored(asked.start.session_id)
                told = session is not None and any(r.request_id == control.request_id for r in session.records)
                self._expect(told or asked.removed, f"{control} was acknowledged and is not durable")
                break
        control.heard_us = self.loop.now_us
        self.told[f"{action.name} {control.answer or 'unanswered'}"] += 1

    async def _watcher(self, asked: Asked) -> None:
        seen: dict[int, Record] = {}
        session_id = asked.start.session_id
        self.watched[session_id, len(self.watched)] = seen
        until_us = self.loop.now_us + 1_000_000
        while self.loop.now_us < until_us:
            await self._up.wait()
            work = asyncio.ensure_future(self._call(lambda server: server.watch(session_id, len(seen))))
            await asyncio.wait([work], timeout=0.3)
            if not work.done():
                work.cancel()
            try:
                records = await work
            except (Lost, CoordinatorError, asyncio.CancelledError):
                await asyncio.sleep(0.02)
                continue
            for record in records:
                assert record.sequence == len(seen) + 1, "Watch has a gap"
                seen[record.sequence] = record

    async def _heal(self) -> None:
        """No more trouble: from here on everything has to come to its end."""
        self.healed = self.domain.quiet = True
        await self._up.wait()
        while not (self.server and self.server.serving):  # noqa: ASYNC110  # time is a number here
            await asyncio.sleep(0.01)
        end_us = self.loop.now_us + END_S * 1_000_000
        while open_ids := self._open_ids():
            assert self.loop.now_us < end_us, f"{open_ids} never end"
            for session_id in open_ids:
                await self._nudge(session_id)
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.2)

    def _open_ids(self) -> list[str]:
        assert self.server is not None
        stored = [s.start.session_id for n, s in self.disk.sessions.items() if not s.row(n).state.terminal]
        stored += [session_id for _, session_id in self.server.engine._openings._durable]
        return stored or [live.state.session_id for live in self.server.engine.roster]

    async def _nudge(self, session_id: str) -> None:
        """Who paused a session resumes it, and in the end loses patience."""
        assert self.server is not None
        live = self.server.engine.roster.live(session_id, "")
        if live is not None and live.state.state is SessionState.PAUSED:
            action = self._chance.choice((Action.RESUME, Action.RESUME, Action.TERMINATE))
            await self._control(self.asked[session_id], action)


_ID = {ord(c): "_" for c in "/[]#"}
