"""The memory of an Inference process under a simulated clock: what an order of calls costs in loads and in waiting.

It evicts as Inference does (least recently used, never what a call holds), loads one model after the other, and runs as
many calls at the same time as it has workers. A call holds its model from when it comes until its run has ended.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Final, NamedTuple, Protocol

from processing_service.engine.model_queue import Waiter
from processing_service.engine.planner import Planner

ROOM: Final = 4
"""Models that fit, each of one byte."""
WINDOW: Final = 8
"""Calls that are out at the same time: four a worker, as the gate lets out."""


class Step(NamedTuple):
    """A call that comes."""

    at_us: int
    model: str
    rank: int = 20
    flow: str = ""


class Order(Protocol):
    """Who says which call goes next."""

    def add(self, waiter: Waiter, size_bytes: int) -> None: ...
    def next(self, now_us: int) -> Waiter | None: ...
    def release(self, waiter: Waiter, now_us: int, *, loaded: bool) -> None: ...


class FirstCome:
    """First come, first served."""

    def __init__(self, window: int) -> None:
        self._window, self._out = window, 0
        self._waiting: deque[Waiter] = deque()

    def add(self, waiter: Waiter, size_bytes: int) -> None:
        self._waiting.append(waiter)

    def next(self, now_us: int) -> Waiter | None:
        if self._out >= self._window or not self._waiting:
            return None
        self._out += 1
        return self._waiting.popleft()

    def release(self, waiter: Waiter, now_us: int, *, loaded: bool) -> None:
        self._out -= 1


@dataclass
class Outcome:
    """What came of it."""

    loads: int = 0
    waits: dict[int, int] = field(default_factory=dict)
    """Time at the gate by index of the step, in microseconds."""
    order: list[int] = field(default_factory=list)
    """Indices of the steps in the order in which they went."""
    ended_us: int = 0

    @property
    def longest_us(self) -> int:
        return max(self.waits.values())


class ModelRoom:
    """Runs calls in the order that it is told.

    Args:
        room: models that fit.
        load_us, run_us: how long each takes.
        workers: runs at the same time.
    """

    def __init__(self, room: int = ROOM, load_us: int = 400_000, run_us: int = 50_000, workers: int = 2) -> None:
        self._room, self._load_us, self._run_us = room, load_us, run_us
        self._workers = [0] * workers
        """When each is free."""
        self._memory: OrderedDict[str, int] = OrderedDict()
        """When each model is loaded, least recently used first."""
        self._held: dict[str, int] = {}
        self._loader_us = 0
        self.outcome = Outcome()
        self._blocked: deque[tuple[int, Waiter]] = deque()
        self._ends: list[tuple[int, int, int, Waiter]] = []
        self._ties = count()

    def run(self, steps: Sequence[Step], order: Order) -> Outcome:
        """Runs them all."""
        index_of: dict[Waiter, int] = {}
        coming = deque(enumerate(steps))
        while coming or self._ends or self._blocked:
            now = min(([coming[0][1].at_us] if coming else []) + ([self._ends[0][0]] if self._ends else []))
            while coming and coming[0][1].at_us <= now:
                index, step = coming.popleft()
                waiter = Waiter(step.model, step.rank, step.flow, step.at_us)
                index_of[waiter] = index
                order.add(waiter, 1)
            while self._ends and self._ends[0][0] <= now:
                _, _, _, waiter = heappop(self._ends)
                self._held[waiter.model] -= 1
                self._memory.move_to_end(waiter.model)
                order.release(waiter, now, loaded=True)
            while (going := order.next(now)) is not None:
                index = index_of[going]
                self.outcome.order.append(index)
                self.outcome.waits[index] = now - going.arrived_us
                self._blocked.append((index, going))
            self._admit(now)
            self.outcome.ended_us = now
        return self.outcome

    def _admit(self, now: int) -> None:
        for index, waiter in list(self._blocked):
            if self._enter(waiter.model, now):
                self._blocked.remove((index, waiter))
                self._held[waiter.model] = self._held.get(waiter.model, 0) + 1
                free = self._workers.index(min(self._workers))
                start = max(now, self._memory[waiter.model], self._workers[free])
                self._workers[free] = start + self._run_us
                heappush(self._ends, (start + self._run_us, next(self._ties), index, waiter))

    def _enter(self, model: str, now: int) -> bool:
        """True if the model is in memory or on its way there."""
        if model in self._memory:
            return True
        while len(self._memory) >= self._room:
            victim = next((each for each in self._memory if not self._held.get(each)), None)
            if victim is None:
                return False
            del self._memory[victim]
        self.outcome.loads += 1
        self._loader_us = max(now, self._loader_us) + self._load_us
        self._memory[model] = self._loader_us
        return True


def planned(steps: Iterable[Step], max_wait_us: int = 30_000_000, room: int = ROOM, window: int = WINDOW) -> Outcome:
    """What the planner makes of them."""
    return ModelRoom(room).run(list(steps), Planner(room, window, max_wait_us))


def first_come(steps: Iterable[Step], room: int = ROOM, window: int = WINDOW) -> Outcome:
    """What comes of them first come, first served."""
    return ModelRoom(room).run(list(steps), FirstCome(window))
