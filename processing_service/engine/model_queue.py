"""What waits for one model, in the order in which it goes. Pure: standard library only.

The highest rank goes first; within a rank the batches take turns, one waiter each, and within a batch it is first come,
first served. Ranks are few, so each has a lane and one integer has a bit for each lane that is not empty: nothing is
sorted, and who goes next is found in constant time.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

_CLASSES: Final = 4
TIDY: Final = 255
"""Waiters that have gone are looked for as often as a number has none of these bits."""


def rank_of(priority: int, admission_class: int) -> int:
    """The one number by which waiters are compared, highest first: priority, then admission class.

    Args:
        priority: 1 to 10.
        admission_class: 1 INTERACTIVE, 2 BACKGROUND, 3 BATCH; as AdmissionClass of the contract.
    """
    return priority * _CLASSES + _CLASSES - 1 - admission_class


class Waiter:
    """A call that waits for its model.

    Args:
        model: key of the model.
        rank: of `rank_of`.
        flow: what shares fairly: a tenant's batch, or all that a tenant runs beside its batches.
        arrived_us: since when it waits, in microseconds of any clock.
    """

    __slots__ = ("arrived_us", "flow", "model", "number", "parted", "rank", "waiting")

    def __init__(self, model: str, rank: int, flow: str, arrived_us: int) -> None:
        self.model, self.rank, self.flow, self.arrived_us = model, rank, flow, arrived_us
        self.number = 0
        """Given by the planner, in the order of arrival."""
        self.waiting = False
        self.parted: tuple[str, ...] = ()
        """Models that have to be unloaded before it goes: its own ran out of memory beside them."""


Flow = OrderedDict[int, Waiter]
Lane = OrderedDict[str, Flow]


class Ages:
    """Waiters by age. One that has gone stays in it until it is the oldest, or until there are too many of those."""

    __slots__ = ("_line",)

    def __init__(self) -> None:
        self._line: deque[Waiter] = deque()

    def add(self, waiter: Waiter) -> None:
        """A waiter comes; hardly ever one that has waited before, whose place has to be looked for."""
        line = self._line
        if not line or line[-1].arrived_us <= waiter.arrived_us:
            line.append(waiter)
            return
        place = len(line) - 1
        while place and line[place - 1].arrived_us > waiter.arrived_us:
            place -= 1
        line.insert(place, waiter)

    def oldest(self) -> Waiter | None:
        """Who waits longest."""
        line = self._line
        while line and not line[0].waiting:
            line.popleft()
        return line[0] if line else None

    def tidy(self, waiting: int) -> None:
        """Forgets those that have gone, if they are many more than those that wait.

        Args:
            waiting: how many wait.
        """
        if len(self._line) > 2 * waiting + TIDY:
            self._line = deque(waiter for waiter in self._line if waiter.waiting)


class ModelQueue:
    """What waits for one model."""

    __slots__ = ("_ages", "_lanes", "_ranks", "best", "count")

    def __init__(self) -> None:
        self._ages = Ages()
        self._lanes: dict[int, Lane] = {}
        self._ranks = 0
        self.best = -1
        """Rank of who goes next; -1 = nobody waits."""
        self.count = 0

    def add(self, waiter: Waiter) -> None:
        """Puts a waiter behind those of its flow."""
        self._ages.add(waiter)
        self._enter(waiter)

    def _enter(self, waiter: Waiter) -> None:
        lane = self._lanes.get(waiter.rank)
        if lane is None:
            lane = self._lanes[waiter.rank] = OrderedDict()
            self._note(self._ranks | 1 << waiter.rank)
        flow = lane.get(waiter.flow)
        if flow is None:
            flow = lane[waiter.flow] = OrderedDict()
        flow[waiter.number] = waiter
        self.count += 1

    def remove(self, waiter: Waiter) -> None:
        """Takes a waiter out, wherever it stands; its flow keeps its turn."""
        self._leave(waiter)
        if not waiter.number & TIDY:
            self._ages.tidy(self.count)

    def _leave(self, waiter: Waiter) -> None:
        lane = self._lanes[waiter.rank]
        flow = lane[waiter.flow]
        del flow[waiter.number]
        self.count -= 1
        if not flow:
            del lane[waiter.flow]
            if not lane:
                del self._lanes[waiter.rank]
                self._note(self._ranks & ~(1 << waiter.rank))

    def first(self, late_us: int = -1) -> Waiter:
        """Who goes next; somebody has to wait.

        Args:
            late_us: who came by then goes before all others.
        """
        oldest = self._ages.oldest()
        if oldest is not None and oldest.arrived_us <= late_us:
            return oldest
        flow = next(iter(self._lanes[self.best].values()))
        return next(iter(flow.values()))

    def take(self, waiter: Waiter) -> None:
        """Takes out a waiter that goes; the next turn is another flow's."""
        lane = self._lanes[waiter.rank]
        lane.move_to_end(waiter.flow)
        self.remove(waiter)

    def position(self, waiter: Waiter) -> int:
        """Its place, from 1, if nobody else comes; counts those before it."""
        higher = sum(len(flow) for rank, lane in self._lanes.items() if rank > waiter.rank for flow in lane.values())
        lane = self._lanes[waiter.rank]
        own = list(lane[waiter.flow]).index(waiter.number)
        place, turns = higher + own + 1, own + 1  # flows before its own have one turn more
        for name, flow in lane.items():
            if name == waiter.flow:
                turns = own
            else:
                place += min(len(flow), turns)
        return place

    def move(self, flow_name: str, priority: int) -> int:
        """Gives what waits of a flow another priority; how many that are. They keep their order among themselves."""
        moved = [waiter for lane in self._lanes.values() for waiter in lane.get(flow_name, {}).values()]
        for waiter in sorted(moved, key=lambda waiter: waiter.number):
            self._leave(waiter)
            waiter.rank = priority * _CLASSES + waiter.rank % _CLASSES
            self._enter(waiter)
        return len(moved)

    def _note(self, ranks: int) -> None:
        self._ranks = ranks
        self.best = ranks.bit_length() - 1
