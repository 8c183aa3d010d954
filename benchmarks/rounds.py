"""Interleaved rounds: every contender once a round, in turns first and last, so that a disturbance hits all."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Final

import psutil

from benchmarks.rows import Spread


@dataclass(frozen=True, slots=True)
class Load:
    """What one contender did in one round."""

    operations: int
    seconds: float
    latencies: tuple[float, ...]
    """Of each operation, in seconds."""
    cpu: float
    """CPU time of the contender's servers, in seconds."""
    foreign: float
    """CPU of processes that have no part in it, in cores."""

    @property
    def rate(self) -> float:
        return self.operations / self.seconds

    @property
    def p50(self) -> float:
        return median(self.latencies)

    @property
    def cpu_us(self) -> float:
        """CPU time of the servers by operation, in microseconds."""
        return self.cpu / self.operations * 1e6

    def __str__(self) -> str:
        return f"{self.rate:.0f}/s ({1e3 * self.p50:.2f} ms, {self.cpu_us:.0f} us CPU, foreign {self.foreign:.2f})"


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that does operations, as fast as its callers can ask."""

    name: str
    operation: Callable[[], Awaitable[None]]
    processes: tuple[psutil.Process, ...]
    """Those that serve it."""
    callers: int = 64
    before: Callable[[], None] = lambda: None
    """Called right before what is measured, and `after` right behind it."""
    after: Callable[[], None] = lambda: None
    around: Callable[[], AbstractAsyncContextManager[Sequence[psutil.Process]]] = lambda: nullcontext(())
    """What is there only while it is measured, and the processes that this takes."""


QUIET: Final = 0.2
"""A measurement in which others took more CPU than that, in cores, was disturbed."""

Results = Mapping[str, Sequence[Load]]


async def interleave(contenders: Sequence[Contender], rounds: int, seconds: float, extra: int | None = None) -> Results:
    """All loads by contender, in the order of rounds; each is warmed up before it is measured.

    While others disturb, up to `extra` more rounds are made, as many again by default; see `quietest`.
    """
    results: dict[str, list[Load]] = {contender.name: [] for contender in contenders}
    for turn in range(rounds + (rounds if extra is None else extra)):
        for contender in contenders if turn % 2 == 0 else reversed(contenders):
            load = await _measure(contender, seconds)
            results[contender.name].append(load)
            tell(f"round {turn + 1}: {contender.name} {load}")
        if turn + 1 >= rounds and foreign(quietest(results, rounds)) <= QUIET:
            break
    return results


def quietest(results: Results, rounds: int, *names: str) -> Results:
    """The rounds in which some contenders, or all, were disturbed least."""
    own = {name: results[name] for name in names or results}
    made = len(next(iter(own.values())))
    order = sorted(range(made), key=lambda turn: max(loads[turn].foreign for loads in own.values()))
    return {name: [loads[turn] for turn in order[:rounds]] for name, loads in own.items()}


def foreign(results: Results) -> float:
    """Most foreign CPU in any round, in cores."""
    return max(load.foreign for loads in results.values() for load in loads)


async def closed_loop(
    callers: int, operation: Callable[[], Awaitable[None]], *, seconds: float = math.inf, count: float = math.inf
) -> list[float]:
    """Callers that each do one operation after the other, for some time or until all did `count`; latencies in s."""
    end = perf_counter() + seconds
    latencies: list[float] = []
    begun = 0

    async def call() -> None:
        nonlocal begun
        while begun < count and (started := perf_counter()) < end:
            begun += 1
            await operation()
            latencies.append(perf_counter() - started)

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(call())
    return latencies


def ratio(results: Results, ours: str, peer: str) -> Spread:
    """Rate of one by rate of the other, round by round."""
    pairs = zip(results[ours], results[peer], strict=True)
    return Spread.of([one.rate / other.rate for one, other in pairs])


def shown(loads: Sequence[Load]) -> str:
    """Median and best rate, and median CPU of the servers."""
    rates, cpu_us = [load.rate for load in loads], median(load.cpu_us for load in loads)
    return f"{median(rates):.0f}/s (best {max(rates):.0f}), {cpu_us:.0f} us CPU"


def tell(text: str) -> None:
    """Says on standard error how far things are."""
    print(text, file=sys.stderr, flush=True)


class Foreign:
    """CPU of the machine that none of some processes took.

    Args:
        processes: those that have a part in the measurement; this process is one of them anyway.
    """

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._processes = [psutil.Process(), *processes]
        self._started, self._busy, self._own = perf_counter(), _busy(), self._taken()

    def cores(self) -> float:
        """Since this was made."""
        others = (_busy() - self._busy) - (self._taken() - self._own)
        return max(0.0, others / (perf_counter() - self._started))

    def _taken(self) -> float:
        return sum(map(cpu_seconds, self._processes))


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process with all its threads."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _busy() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


async def _measure(contender: Contender, seconds: float) -> Load:
    async with contender.around() as helpers:
        await closed_loop(contender.callers, contender.operation, seconds=seconds / 8)
        others = Foreign((*contender.processes, *helpers))
        contender.before()
        cpu = sum(map(cpu_seconds, contender.processes))
        started = perf_counter()
        latencies = await closed_loop(contender.callers, contender.operation, seconds=seconds)
        took = perf_counter() - started
        cpu = sum(map(cpu_seconds, contender.processes)) - cpu
        contender.after()
        return Load(len(latencies), took, tuple(latencies), cpu, others.cores())
