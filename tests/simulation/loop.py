"""An event loop whose time is a number and whose order follows from a seed."""

from __future__ import annotations

import asyncio
import heapq
import inspect
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any

from processing_service.wire.errors import CoordinatorError

EPOCH_US = 1_790_000_000_000_000
"""When every simulation begins, in microseconds since the Unix epoch."""
MOST_TURNS = 50_000
"""Turns of the loop in one simulation: a hundred times what one takes."""


class Process:
    """What dies at once: nothing that it has scheduled happens after `alive` is False."""

    def __init__(self) -> None:
        self.alive, self.died_us = True, 0
        self.context = copy_context()
        self.context.run(PROCESS.set, self)


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
"""Whose code runs; None for those who live outside: clients, domains, the disk."""


class Stalled(AssertionError):
    """Something waits, and nothing is left that could happen."""


class _Handle:
    __slots__ = ("args", "callback", "context", "over", "process")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None) -> None:
        self.callback, self.args = callback, args
        self.context = context if context is not None else copy_context()
        self.process = self.context.get(PROCESS)
        self.over = False

    def cancel(self) -> None:
        self.over = True

    def run(self) -> None:
        if self.process is not None and not self.process.alive:
            self.forget()
        elif not self.over:
            self.context.run(self.callback, *self.args)

    def forget(self) -> None:
        """Nobody runs it any more; a task that had no first turn is told so."""
        task = getattr(self.callback, "__self__", None)
        if isinstance(task, _Task) and inspect.getcoroutinestate(task.get_coro()) == inspect.CORO_CREATED:
            task.get_coro().close()


class _Task(asyncio.Task):  # type: ignore[type-arg]
    """Its place in a set does not depend on where it lies in memory."""

    def __init__(self, number: int, *args: Any, **kwargs: Any) -> None:
        self._number = number
        super().__init__(*args, **kwargs)
        self._log_destroy_pending = False  # tasks of dead processes never end

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs what is ready in order, as every asyncio loop; then time jumps to the next timer.

    Of timers for one moment the seed says which is first, and now and then a turn of the loop takes a while.

    Args:
        lag_us: longest time that a turn of the loop takes, in microseconds.
    """

    def __init__(self, chance: Random, lag_us: int = 0) -> None:
        self.now_us = EPOCH_US
        self.errors: list[str] = []
        """What callbacks and forgotten tasks raised."""
        self.lossy = False
        """True once a process was killed: what it was about to hear of nobody hears."""
        self._chance, self._lag_us = chance, lag_us
        self._ready: deque[_Handle] = deque()
        self._timers: list[tuple[int, float, int, _Handle]] = []
        self._count = self.turns = 0

    def time(self) -> float:
        return self.now_us / 1e6

    def wall_us(self) -> int:
        """Microseconds since the Unix epoch."""
        return self.now_us

    def get_debug(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: object = None, context: Context | None = None
    ) -> Any:
        self._count += 1
        return _Task(self._count, coro, loop=self, context=context)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        handle = _Handle(callback, args, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        return self._at(self.now_us + round(delay * 1e6), callback, args, context)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        return self._at(round(when * 1e6), callback, args, context)

    def _at(
        self, when_us: int, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> _Handle:
        handle = _Handle(callback, args, context)
        self._count += 1
        heapq.heappush(self._timers, (when_us, self._chance.random(), self._count, handle))
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self.lossy and "never retrieved" in str(context.get("message")) and isinstance(error, CoordinatorError):
            return
        self.errors.append(f"{context.get('message')}: {error!r}")

    def run_until(self, done: Callable[[], bool]) -> None:
        """Runs until that is so. Raises Stalled if nothing is left to do before, or far too much is done."""
        with self._running():
            while not done():
                self.turns += 1
                if self.turns > MOST_TURNS:
                    raise Stalled(f"it goes on and on: {self.turns} turns")
                if not self._ready and not self._timers:
                    raise Stalled("nothing is left to do")
                self._turn()

    def close(self) -> None:
        """Forgets what has not happened by now."""
        for handle in (*self._ready, *(timer[3] for timer in self._timers)):
            handle.forget()
        self._ready.clear()
        self._timers.clear()

    def _turn(self) -> None:
        ready, timers = self._ready, self._timers
        if not ready:
            self.now_us = max(self.now_us, timers[0][0])
        while timers and timers[0][0] <= self.now_us:
            ready.append(heapq.heappop(timers)[3])
        for _ in range(len(ready)):
            handle = ready.popleft()
            try:
                handle.run()
            except Exception as error:
                self.errors.append(f"a callback raised {error!r}")
        if self._lag_us and self._chance.random() < 0.02:
            self.now_us += self._chance.randrange(self._lag_us)

    @contextmanager
    def _running(self) -> Iterator[None]:
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)
