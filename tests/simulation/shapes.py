"""Small graphs of steps, as a seed says."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from processing_service.engine.records import Plan, RetryPlan, StepPlan

BUDGETS_US = (60_000, 300_000, 1_000_000, 3_000_000)
TIMEOUTS_US = (0, 0, 0, 30_000, 100_000, 400_000)
NAMES = ("a", "b", "c", "d")


def plan_of(chance: Random) -> Plan:
    """One to four steps."""
    return Plan.of(tuple(_step(chance, index) for index in range(chance.choice((1, 2, 2, 3, 3, 4)))))


def straightened(plan: Plan) -> Plan:
    """The same steps one after the other, as the express lane takes them."""
    steps = (
        replace(step, needs=tuple(range(index)), conditional=False, foreach=False, idempotent=True)
        for index, step in enumerate(plan.steps)
    )
    return Plan.of(tuple(steps))


def _step(chance: Random, index: int) -> StepPlan:
    foreach = chance.random() < 0.2
    return StepPlan(
        NAMES[index],
        tuple(other for other in range(index) if chance.random() < 0.5),
        conditional=chance.random() < 0.15,
        foreach=foreach,
        max_parallel=chance.choice((1, 2, 4)),
        timeout_us=chance.choice(TIMEOUTS_US),
        retry=RetryPlan(chance.choice((1, 2, 3)), chance.choice((10_000, 100_000)), 400_000),
        optional=chance.random() < 0.15,
        idempotent=chance.random() < 0.5,
    )
