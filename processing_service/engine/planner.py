"""Which waiting call goes next to the models of one device. Pure: standard library only, integers, no clock.

Loads are dear, so calls of models that are in memory go first. Three things override that: a higher rank, room that is
free, and `max_wait`. Whoever waits for a model that is not in memory and has one of the first and the last on its side
*claims* room: calls of as many models as have to go are held back until theirs that are out have ended.

It serves the models in visits, as a polling server does, with a limit on the length of a visit (Takagi, "Queueing
analysis of polling models", ACM Computing Surveys 20(1), 1988): a model that was loaded keeps its room for some times
of what that took, so that loads do not eat up the time when everything is late.

Nothing is sorted: models are indexed by key, those outside of memory by rank, waiters by age. A step costs some
microseconds, however many wait.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from enum import IntEnum
from heapq import heappop, heappush
from typing import Final, NamedTuple

from processing_service.engine.model_queue import TIDY, Ages, ModelQueue, Waiter

_KEPT_LOADS: Final = 8
"""A model that was loaded keeps its room for so many times of what that took, at most for a quarter of `max_wait`: so a
ninth of the time goes into loads where everything is late. From 4 to 12 the loads of `benchmarks/model_room.py` fall,
with more the waits grow."""


class Cause(IntEnum):
    """Why a call waits; the numbers are those of WaitReason of the contract."""

    LIMIT = 2
    LEASE = 4


class _Model:
    """A model: who waits for it, and how it stands in memory."""

    __slots__ = ("bytes", "foes", "inside", "kept_us", "key", "listed", "load_us", "loaded", "out", "queue", "touched")

    def __init__(self, key: str, size_bytes: int) -> None:
        self.key, self.bytes = key, size_bytes
        self.queue = ModelQueue()
        self.inside = False
        """True if it is in memory or on its way there."""
        self.loaded = False
        self.out = 0
        """Calls that are out."""
        self.touched = 0
        """Number of its last use."""
        self.load_us = 0
        """When the call went that has it loaded; 0 once that has ended."""
        self.kept_us = 0
        """Until when no claim takes its room."""
        self.listed = -1
        """Rank under which it stands among the models outside; -1 = it does not."""
        self.foes: dict[str, int] = {}
        """Models beside which it ran out of memory, and when."""


class _Claim(NamedTuple):
    """Room that a model asks for."""

    model: _Model
    closed: frozenset[str]
    """Models of which no more calls go."""
    from_us: int
    """When that begins: after their visits."""


class Planner:
    """Orders the calls to the models of one device.

    Args:
        budget_bytes: memory that models may take together.
        window: calls that are out at the same time, at most.
        max_wait_us: how long a call may wait, in microseconds. At half of it room is claimed, so that it is there in
            time: calls that are out have to end, and visits too.
    """

    def __init__(self, budget_bytes: int, window: int, max_wait_us: int) -> None:
        self.budget_bytes, self.window, self.max_wait_us = budget_bytes, window, max_wait_us
        self.out = 0
        """Calls that are out."""
        self.waiting = 0
        self.uses = 0
        """Counts uses of models: the number of the last one."""
        self._models: dict[str, _Model] = {}
        self._inside: OrderedDict[str, _Model] = OrderedDict()
        """Least recently used first, as Inference evicts them."""
        self._busy_bytes = self._inside_bytes = 0
        self._ages = Ages()
        self._outside: list[tuple[int, int, int, _Model]] = []
        self._numbers = self._listings = 0
        self._claim: _Claim | None = None

    def add(self, waiter: Waiter, size_bytes: int) -> None:
        """A call comes.

        Args:
            size_bytes: what its model takes as far as is known, if the planner has not heard of it.
        """
        model = self._models.get(waiter.model)
        if model is None:
            model = self._models[waiter.model] = _Model(waiter.model, size_bytes)
        self._numbers += 1
        waiter.number, waiter.waiting = self._numbers, True
        model.queue.add(waiter)
        self.waiting += 1
        self._ages.add(waiter)
        if not model.inside and waiter.rank > model.listed:
            self._list(model)

    def remove(self, waiter: Waiter) -> None:
        """A call that waits is given up."""
        self._gone(waiter)
        self._models[waiter.model].queue.remove(waiter)

    def next(self, now_us: int) -> Waiter | None:
        """The call that goes now; None if none may. Ask again until there is none: each answer is out at once."""
        if self.out >= self.window or not self.waiting:
            return None
        late_us = now_us - self.max_wait_us // 2
        late = self._ages.oldest()
        if late is not None and late.arrived_us <= late_us:
            model, fits = self._models[late.model], True
            if model.inside or ((fits := self._fits(model)) and not self._disturbs(model, now_us)):
                return self._go(late, model, now_us)
            claim = None if fits else self._claimed(model, now_us)
        else:
            claim = None
        best = self._best_inside(claim)
        rival = self._best_outside() if claim is None else None
        if rival is not None and (best is None or rival.queue.best > best.queue.best):
            fits = self._fits(rival)
            if fits and (best is None or not self._disturbs(rival, now_us)):
                return self._go(rival.queue.first(late_us), rival, now_us)
            if best is not None and not fits:
                claim = self._claimed(rival, now_us)
                best = self._best_inside(claim)
        return self._go(best.queue.first(late_us), best, now_us) if best is not None else None

    def release(self, waiter: Waiter, now_us: int, *, loaded: bool) -> None:
        """A call that was out has ended.

        Args:
            loaded: True if its model was in memory for it.
        """
        model = self._models[waiter.model]
        self.out -= 1
        model.out -= 1
        if loaded and model.load_us:
            took = now_us - model.load_us
            model.kept_us = model.load_us + min(_KEPT_LOADS * took, self.max_wait_us // 4)
            model.load_us = 0
        model.loaded |= loaded
        if model.out == 0:
            self._busy_bytes -= model.bytes
            if not model.loaded:
                self._leave(model)
        self._use(model)

    def settle(self, residents: Iterable[tuple[str, int]], since: int) -> None:
        """Corrects what is believed of the memory by what Inference says.

        Args:
            residents: key and size in bytes of the models in memory, least recently used first.
            since: `uses` when Inference was asked; what was used later is newer than its answer.
        """
        told = dict(residents)
        for key, size_bytes in told.items():
            model = self._models.get(key)
            if model is None:
                model = self._models[key] = _Model(key, size_bytes)
            self.resize(key, size_bytes)
            if not model.inside:
                self._enter(model)
            model.loaded = True
            if model.touched <= since:
                self._inside.move_to_end(key)
        for model in [each for each in self._inside.values() if not each.out and each.key not in told]:
            if model.touched <= since:
                self._leave(model)

    def resize(self, key: str, size_bytes: int) -> None:
        """A model takes another size than was known."""
        model = self._models.get(key)
        if model is None:
            return
        grown = size_bytes - model.bytes
        if grown:
            self._claim = None
        model.bytes = size_bytes
        self._inside_bytes += grown if model.inside else 0
        self._busy_bytes += grown if model.out else 0

    def part(self, key: str, now_us: int) -> list[str]:
        """A model ran out of memory: it is not to be in memory any more beside those that are now; their keys."""
        model = self._models[key]
        self._claim = None
        beside = [each for each in self._inside.values() if each is not model]
        for other in beside:
            model.foes[other.key] = other.foes[key] = now_us
        return [each.key for each in beside]

    def foes(self, key: str) -> dict[str, int]:
        """Models beside which it ran out of memory, and when, in microseconds."""
        model = self._models.get(key)
        return dict(model.foes) if model is not None else {}

    def reprioritize(self, flow: str, priority: int) -> int:
        """Gives what waits of a flow another priority, 1 to 10; how many calls that are."""
        moved = 0
        for model in self._models.values():
            moved += model.queue.move(flow, priority)
            self._list(model)
        return moved

    def position(self, waiter: Waiter) -> int:
        """Its place in the queue of its model, from 1; looks at all that wait for that model."""
        return self._models[waiter.model].queue.position(waiter)

    def why(self, waiter: Waiter) -> Cause:
        """Why a call waits: as many are out as may, or the room that its model needs is held by others."""
        model = self._models[waiter.model]
        if model.inside:
            return Cause.LIMIT if self.out >= self.window else Cause.LEASE
        return Cause.LIMIT if self._fits(model) else Cause.LEASE

    def loading(self, key: str) -> bool:
        """True while the first call of a model is out that has to load it."""
        model = self._models.get(key)
        return model is not None and model.inside and not model.loaded

    @property
    def is_loading(self) -> bool:
        """True while any model is."""
        return any(not model.loaded for model in self._inside.values())

    def busy(self) -> list[str]:
        """The models that calls hold."""
        return [model.key for model in self._inside.values() if model.out]

    def _best_inside(self, claim: _Claim | None) -> _Model | None:
        """The model in memory of which a call goes next: the highest rank, then the least recently used."""
        found, best = None, -1
        for model in self._inside.values():
            if model.queue.best > best and (claim is None or self._open(model, claim)):
                found, best = model, model.queue.best
        return found

    def _best_outside(self) -> _Model | None:
        """The model outside of memory that comes next: the highest rank, then the oldest."""
        outside = self._outside
        while outside:
            rank, _, _, model = outside[0]
            if -rank == model.listed == model.queue.best and not model.inside:
                return model
            heappop(outside)
            if -rank == model.listed:
                model.listed = -1
                self._list(model)
        return None

    def _list(self, model: _Model) -> None:
        """Lists a model that is outside of memory under its rank."""
        best = model.queue.best
        if not model.inside and best > model.listed:
            model.listed = best
            self._listings += 1
            heappush(self._outside, (-best, model.queue.first().arrived_us, self._listings, model))

    def _need(self, model: _Model) -> int:
        """Bytes that it takes of the budget; one that takes more than all may run alone."""
        return min(model.bytes, self.budget_bytes)

    def _fits(self, model: _Model) -> bool:
        """True if it fits beside the models that calls hold; the others can go."""
        if self._busy_bytes + self._need(model) > self.budget_bytes and self._busy_bytes:
            return False
        return not model.foes or not any(self._models[foe].out for foe in model.foes)

    def _claimed(self, model: _Model, now_us: int) -> _Claim | None:
        """The claim of a model to room, which stays the same until it is met; None before it begins."""
        claim = self._claim
        if claim is None or claim.model is not model or not any(self._models[key].out for key in claim.closed):
            claim = self._claim = self._begin(model, now_us)
        return claim if claim.from_us <= now_us else None

    def _begin(self, model: _Model, now_us: int) -> _Claim:
        """Closes as few models as will do: first those whose visits are over, then those of the lowest rank."""
        busy = [each for each in self._inside.values() if each.out]
        closed = {each.key for each in busy if each.key in model.foes}
        for each in sorted(busy, key=lambda each: (now_us < each.kept_us, each.queue.best, each.touched)):
            if self._makes_room(model, closed):
                break
            closed.add(each.key)
        from_us = max((self._models[key].kept_us for key in closed), default=0)
        return _Claim(model, frozenset(closed), from_us)

    def _makes_room(self, model: _Model, closed: Iterable[str]) -> bool:
        """True if a model fits once those are gone."""
        going = sum(each.bytes for each in map(self._models.__getitem__, closed) if each.out)
        left = self._busy_bytes - going
        return (not left or left + self._need(model) <= self.budget_bytes) and not any(
            self._models[foe].out and foe not in closed for foe in model.foes
        )

    def _open(self, model: _Model, claim: _Claim) -> bool:
        """True if calls of a model may go while room is made for another."""
        if model.out:
            return model.key not in claim.closed
        staying = sum(each.bytes for each in self._inside.values() if each.out and each.key not in claim.closed)
        fits = staying + model.bytes + self._need(claim.model) <= self.budget_bytes
        return fits and model.key not in claim.model.foes

    def _go(self, waiter: Waiter, model: _Model, now_us: int) -> Waiter:
        self._gone(waiter)
        model.queue.take(waiter)
        waiter.parted = ()
        if not model.inside:
            self._claim = None
            victims = self._victims(model)
            for victim in victims:
                self._leave(victim)
            if model.foes:
                waiter.parted = tuple(victim.key for victim in victims if victim.key in model.foes)
            self._enter(model)
            model.load_us, model.kept_us = max(1, now_us), now_us + self.max_wait_us // 4
        if model.out == 0:
            self._busy_bytes += model.bytes
        model.out += 1
        self.out += 1
        self._use(model)
        return waiter

    def _victims(self, model: _Model) -> list[_Model]:
        """Those that Inference will evict for a model: the least recently used that no call holds; and all foes."""
        victims, over = [], self._inside_bytes + self._need(model) - self.budget_bytes
        for each in self._inside.values():
            if not each.out and (over > 0 or each.key in model.foes):
                victims.append(each)
                over -= each.bytes
        return victims

    def _disturbs(self, model: _Model, now_us: int) -> bool:
        """True if a model would end the visit of another that has calls waiting."""
        return any(each.queue.count and now_us < each.kept_us for each in self._victims(model))

    def _enter(self, model: _Model) -> None:
        model.inside, model.loaded = True, False
        self._inside[model.key] = model
        self._inside_bytes += model.bytes

    def _leave(self, model: _Model) -> None:
        model.inside = model.loaded = False
        model.load_us = model.kept_us = 0
        del self._inside[model.key]
        self._inside_bytes -= model.bytes
        self._list(model)

    def _use(self, model: _Model) -> None:
        self.uses += 1
        model.touched = self.uses
        if model.inside:
            self._inside.move_to_end(model.key)

    def _gone(self, waiter: Waiter) -> None:
        waiter.waiting = False
        self.waiting -= 1
        if not waiter.number & TIDY:
            self._ages.tidy(self.waiting)
