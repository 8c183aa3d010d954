"""The order of work: loads beside first come, first served, under a simulated clock, and what ordering costs."""

from __future__ import annotations

import random
from collections import deque
from time import process_time
from typing import Final

from benchmarks.model_room import ROOM, WINDOW, Step, first_come, planned
from benchmarks.options import Options
from benchmarks.rows import Row, Spread, Target
from processing_service.engine.model_queue import Waiter, rank_of
from processing_service.engine.planner import Planner

ROWS: Final = ("planner-sequence", "planner-loads", "planner-wait", "planner-cost")
_STEPS: Final = 10_000
_MODELS: Final = 20
_EVERY_US: Final = 40_000
"""A step comes so often on average; two workers take 25 ms for each, and a load takes 400 ms."""
_MAX_WAIT_S: Final = 30
_WAITING: Final = 100_000
_MEASURED: Final = 20_000


async def measure(options: Options) -> list[Row]:
    """The rows that are wanted; each round has other steps."""
    rows = [_sequence(), *_loads(options.rounds), _cost(options.rounds)]
    return [row for row in rows if options.wants(row.name)]


def _sequence() -> Row:
    steps = [Step(0, model) for model in "ABAACABC"]
    ours, theirs = planned(steps, room=1, window=1).loads, first_come(steps, room=1, window=1).loads
    what = "loads of A B A A C A B C with room for one model, beside first come, first served"
    return Row("planner-sequence", what, Spread.one(ours), Target("<=", 3), f"{ours}", f"{theirs}")


def _loads(rounds: int) -> list[Row]:
    results = [(planned(steps, _MAX_WAIT_S * 1_000_000), first_come(steps)) for steps in map(_steps, range(rounds))]
    what = f"{_STEPS:,} random steps over {_MODELS} models of all priorities, room for {ROOM}"
    ratios = Spread.of([theirs.loads / ours.loads for ours, theirs in results])
    ours = f"{Spread.of([ours.loads for ours, _ in results])} loads"
    theirs = f"{Spread.of([theirs.loads for _, theirs in results])} loads"
    waits = Spread.of([ours.longest_us / 1e6 for ours, _ in results])
    peer = f"{Spread.of([theirs.longest_us / 1e6 for _, theirs in results])} s"
    return [
        Row("planner-loads", f"{what}: times fewer loads", ratios, Target(">=", 5, "x"), ours, theirs),
        Row("planner-wait", f"{what}: longest wait", waits, Target("<=", _MAX_WAIT_S, "s"), peer=peer),
    ]


def _steps(seed: int) -> list[Step]:
    chance, at = random.Random(seed), 0
    steps = []
    for _ in range(_STEPS):
        at += round(chance.expovariate(1 / _EVERY_US))
        steps.append(Step(at, f"m{chance.randrange(_MODELS)}", _rank(chance), f"batch-{chance.randrange(5)}"))
    return steps


def _rank(chance: random.Random) -> int:
    return rank_of(chance.randint(1, 10), chance.randint(1, 3))


def _cost(rounds: int) -> Row:
    costs = Spread.of([_cost_us(seed) for seed in range(rounds)])
    return Row("planner-cost", f"CPU of ordering one step while {_WAITING:,} wait", costs, Target("<", 10, "us"))


def _cost_us(seed: int) -> float:
    """One comes, one goes, one ends; who waits is of all priorities, and late."""
    chance, planner = random.Random(seed), Planner(ROOM, WINDOW, _MAX_WAIT_S * 1_000_000)
    waiters = [
        Waiter(f"m{chance.randrange(_MODELS)}", _rank(chance), f"batch-{chance.randrange(50)}", at)
        for at in range(_WAITING + _MEASURED)
    ]
    for waiter in waiters[:_WAITING]:
        planner.add(waiter, 1)
    now_us, out = _WAITING, deque[Waiter]()
    started = process_time()
    for waiter in waiters[_WAITING:]:
        waiter.arrived_us = now_us
        planner.add(waiter, 1)
        while (going := planner.next(now_us)) is not None:
            out.append(going)
        planner.release(out.popleft(), now_us, loaded=True)
        now_us += 25_000
    taken = process_time() - started
    return taken / _MEASURED * 1e6
