"""What the sessions of a simulation call: a domain whose every call goes as a seed says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import Session

from processing_service.engine.base import Progress, Resolution, Result, StepCall
from processing_service.engine.records import Output
from processing_service.wire.errors import Code, CoordinatorError, Unavailable, Unreached
from tests.simulation.loop import PROCESS, Process, VirtualLoop

SECONDS = (0.0, 0.0, 0.0, 0.001, 0.004, 0.02, 0.02, 0.05, 0.2, 0.7)
"""How long calls take."""
LARGE = b"x" * 5000
"""Makes a result too large for a history."""


class Behaviour(NamedTuple):
    """How a call goes."""

    name: str
    weight: int


CALLS = (
    Behaviour("ok", 58),
    Behaviour("large", 6),
    Behaviour("unavailable", 10),
    Behaviour("unreached", 5),
    Behaviour("fails", 3),
    Behaviour("raises", 1),
    Behaviour("hangs", 4),
    Behaviour("late", 4),
    Behaviour("stubborn", 3),
    Behaviour("slow to cancel", 3),
    Behaviour("fails when cancelled", 1),
    Behaviour("busy", 1),
    Behaviour("child", 5),
)
"""What a call does, and how often."""
NAMES, WEIGHTS = [kind.name for kind in CALLS], [kind.weight for kind in CALLS]
DISOBEDIENT = frozenset({"stubborn", "slow to cancel", "late"})
"""Those that go on after they were cancelled."""


@dataclass
class Call:
    """A call that reached the domain."""

    key: str
    session_id: str
    step: int
    item: int
    attempt: int
    deadline_us: int
    begun_us: int
    process: Process | None
    kind: str = ""
    ended_us: int = 0
    cancelled_us: int = 0
    result: bytes = b""


class Domain:
    """The far side of every call; it outlives the processes that call it, and counts.

    Args:
        begin_child: runs a session as a step of another, in the process that calls.
        see: told of every call, and whether its process has one of that key out already.
        told: counts what calls do.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        chance: Random,
        begin_child: Callable[[StepCall], Awaitable[bytes]],
        see: Callable[[StepCall, bool], None],
        told: Counter[str],
    ) -> None:
        self._loop, self._chance, self._begin_child, self._told = loop, chance, begin_child, told
        self._see = see
        self.calls: list[Call] = []
        self.out: dict[str, Call] = {}
        """Calls that this process has out, by key."""
        self.quiet = False
        """From then on calls go well, so that everything can end."""
        self._resolved: dict[tuple[str, int], Resolution | None] = {}
        self._concluded: dict[tuple[str, int], bool] = {}

    async def resolve(self, call: StepCall) -> Resolution:
        """A condition or a foreach: the same whenever it is asked for."""
        asked = call.session.session_id, call.step
        if asked not in self._resolved:
            roll, total = self._chance.random(), self._chance.randrange(4)
            self._resolved[asked] = None if roll < 0.03 else Resolution(roll < 0.3, total)
        found = self._resolved[asked]
        if self._chance.random() < 0.2:
            await asyncio.sleep(self._chance.choice(SECONDS))
        if found is None:
            raise CoordinatorError(Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_EXPRESSION_FAILED, "no such item")
        return found

    async def conclude(self, call: StepCall) -> bytes:
        """The outputs of a session."""
        asked = call.session.session_id, len(self.calls)
        if self._chance.random() < 0.2:
            await asyncio.sleep(self._chance.choice(SECONDS))
        if self._concluded.setdefault(asked, self._chance.random() < 0.03 and not self.quiet):
            raise CoordinatorError(Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_EXPRESSION_FAILED, "no output")
        return Session(trace_id=call.session.session_id).SerializeToString()

    async def run(self, call: StepCall, report: Callable[[Progress], None]) -> Result:
        """Makes a call; what it did is noted as it happens."""
        made = Call(
            call.key,
            call.session.session_id,
            call.step,
            call.item,
            call.attempt,
            call.deadline_us,
            self._loop.now_us,
            PROCESS.get(),
        )
        self._see(call, call.key in self.out and self.out[call.key].process is made.process)
        self.calls.append(made)
        self.out[call.key] = made
        made.kind = "ok" if self.quiet else self._chance.choices(NAMES, WEIGHTS)[0]
        if made.kind == "child" and call.session.depth:
            made.kind = "ok"
        self._told[f"call {made.kind}"] += 1
        try:
            made.result = await self._behave(call, made)
        finally:
            if made.process is None or made.process.alive:
                made.ended_us = self._loop.now_us
                self.out.pop(call.key, None)
        report(Progress(1.0))
        return Result(Output("test.Result", made.result))

    async def _behave(self, call: StepCall, made: Call) -> bytes:
        if made.kind == "child":
            return await self._begin_child(call)
        seconds = self._chance.choice(SECONDS)
        if made.kind == "busy":
            self._loop.now_us += 3000
        elif made.kind in ("hangs", "stubborn"):
            seconds = 30.0
        elif made.kind == "late":
            seconds = max(0.0, (call.deadline_us - self._loop.now_us) / 1e6) + self._chance.choice((0.0, 0.03, 0.2))
        await self._take(seconds, call, made)
        _refuse(made.kind)
        data = f"{call.key}!{len(self.calls)}".encode()
        return data + LARGE if made.kind == "large" else data

    async def _take(self, seconds: float, call: StepCall, made: Call) -> None:
        """Waits, as a call behind a channel until its deadline, as one in the process until it is cancelled."""
        left = (call.deadline_us - self._loop.now_us) / 1e6
        behind_a_channel = self._chance.random() < 0.5 and made.kind != "late"
        try:
            if behind_a_channel and left < seconds:
                await asyncio.sleep(max(0.0, left))
                text = "the domain did not answer in time"
                raise CoordinatorError(Code.DEADLINE_EXCEEDED, ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED, text)
            if seconds:
                await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            made.cancelled_us = made.cancelled_us or self._loop.now_us
            await self._disobey(made)
            if made.kind not in ("stubborn", "late"):
                raise

    async def _disobey(self, made: Call) -> None:
        if made.kind == "fails when cancelled":
            raise CoordinatorError(Code.INTERNAL, ErrorReason.ERROR_REASON_INTERNAL, "it broke")
        if made.kind in DISOBEDIENT:
            end = self._loop.now_us + round(self._chance.choice((0.0, 0.01, 0.5, 2.5)) * 1e6)
            while self._loop.now_us < end:
                try:
                    await asyncio.sleep((end - self._loop.now_us) / 1e6)
                except asyncio.CancelledError:
                    continue


def _refuse(kind: str) -> None:
    if kind == "unavailable":
        raise Unavailable(ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE, "gone")
    if kind == "unreached":
        raise Unreached("test", "nowhere")
    if kind == "fails":
        raise CoordinatorError(Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_TENSOR_INVALID, "wrong")
    if kind == "raises":
        raise ValueError("nobody expected this")
