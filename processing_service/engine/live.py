"""A session that runs in this process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from processing_service.engine.base import Progress, SessionContext
from processing_service.engine.records import Durability, Plan, SessionState
from processing_service.engine.state import State

if TYPE_CHECKING:
    from processing_service.engine.express import Passage
    from processing_service.engine.ledger import Entry

SessionKey = tuple[str, str]
"""Tenant and session_id: what a caller names a session, another tenant may name one of its own."""
Flight = tuple[int, int, int]
"""Step, item, attempt of a call that is out."""
TURN_S: Final = 0.002
"""How long calls that never suspend may hold the event loop, one after the other, in seconds."""


class End(NamedTuple):
    """How an attempt ended, once that is durable."""

    state: State
    result: bytes
    """A serialised processing.v1.Session with outputs, payloads and failure."""


class Waiter(NamedTuple):
    """Somebody who waits for the end, but not for ever."""

    until_us: int
    future: asyncio.Future[None]


class Follower(Protocol):
    """Somebody who goes on with what becomes of a session, in the very turn of the loop."""

    def moved(self, live: Live) -> None:
        """Something was recorded of it, or waits for a large result no more; that may not be durable yet."""

    def over(self, live: Live) -> None:
        """Its end is durable, or could not be made so."""


class Live:
    """What the engine keeps of a session while it runs."""

    __slots__ = (
        "_state",
        "behind",
        "cancelled",
        "computed",
        "context",
        "due_us",
        "durability",
        "error",
        "final",
        "follower",
        "key",
        "number",
        "passage",
        "plan",
        "progress",
        "refused",
        "result",
        "tasks",
        "turn_started",
        "waiters",
        "watchers",
    )

    def __init__(self, context: SessionContext, plan: Plan, state: State, durability: Durability) -> None:
        self.context, self.plan, self._state, self.durability = context, plan, state, durability
        self.passage: Passage | None = None
        """What has happened to it that its state does not tell yet; the express lane's own."""
        self.key: SessionKey = (context.tenant, state.session_id)
        self.behind: deque[Entry] | None = None
        """Records that wait for a large result to be stored; the ledger's own."""
        self.number = 0
        """The store's number; 0 = not stored."""
        self.due_us = state.deadline_us
        """When it wants to be woken."""
        self.result = b""
        self.final: End | None = None
        self.error: BaseException | None = None
        """Why its end could not be stored."""
        self.refused: BaseException | None = None
        """Why its start could not be stored, where it did not wait for that."""
        self.follower: Follower | None = None
        self.tasks: dict[Flight, asyncio.Task[None]] = {}
        self.cancelled: set[Flight] = set()
        self.computed: dict[Flight, bytes] = {}
        """Of results that are not written yet and that others may take, or that were taken: their identities."""
        self.waiters: list[Waiter] = []
        self.progress: dict[tuple[int, int], Progress] = {}
        self.watchers: set[Callable[[], None]] = set()
        """Told of progress, which is not stored."""
        self.turn_started = 0.0

    @property
    def state(self) -> State:
        """Where it stands."""
        if self.passage is not None:
            self.passage.settle()
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state

    def settle(self) -> None:
        """Has its state, its history and its followers told what has happened to it."""
        if self.passage is not None:
            self.passage.settle()

    @property
    def over(self) -> bool:
        """True once its end is durable, or could not be made so."""
        return self.final is not None or self.error is not None

    def end(self, final: End | None, error: BaseException | None) -> None:
        """Its end is durable, or cannot be made so."""
        self.final, self.error = final, error
        self.wake_waiters()
        if self.follower is not None:
            self.follower.over(self)

    def wake_waiters(self, now_us: int | None = None) -> None:
        """Wakes those whose time is up; all, if no time is given."""
        if not self.waiters:
            return
        late = [waiter for waiter in self.waiters if now_us is None or waiter.until_us <= now_us]
        for waiter in late:
            self.waiters.remove(waiter)
            if not waiter.future.done():
                waiter.future.set_result(None)

    async def wait(self, until_us: int) -> End | None:
        """Returns when its end is durable, or at that time with None.

        Raises:
            CoordinatorError: its end could not be stored.
        """
        if not self.over:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiters.append(Waiter(until_us, future))
            await future
        if self.error is not None:
            raise self.error
        return self.final

    def report(self, step: int, item: int, progress: Progress) -> None:
        """Notes how far a call is and tells the watchers; nothing is stored. A pause takes back what comes to wait."""
        self.progress[step, item] = progress
        if self.context.paused_us and progress.wait is not None:
            progress.wait.recall()
        for watcher in tuple(self.watchers):
            watcher()

    def said(self, index: int) -> str:
        """What a call of that step says of itself while it is out; empty if nothing."""
        out = (self.progress.get((step, item)) for step, item, _ in self.tasks if step == index)
        return next((progress.message for progress in out if progress is not None and progress.message), "")

    def fraction(self) -> float:
        """Share that is done, 0 to 1: steps and items that ended, and what running calls say of themselves."""
        steps = self.state.steps
        if not steps or self.state.state is SessionState.SUCCEEDED:
            return 1.0
        return sum(self._fraction_of(index) for index in range(len(steps))) / len(steps)

    def _fraction_of(self, index: int) -> float:
        step = self.state.steps[index]
        if step.ended:
            return 1.0
        if step.items is not None:
            return len(step.items.outputs) / step.items.total if step.items.total else 1.0
        said = self.progress.get((index, -1))
        return said.fraction if said else 0.0
