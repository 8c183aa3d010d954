"""A domain that cannot be reached is waited for. Pure: standard library only.

A call that found no connection was never made, so it is none of the step's attempts. The step tries again, with the
delays of its retries, until its own timeout has passed since the domain was first missed, or the budget ends.
"""

from __future__ import annotations

from typing import Final

from processing_service.engine import retry
from processing_service.engine.events import Failed
from processing_service.engine.records import Outcome, StepPlan, StepState
from processing_service.engine.state import Flight, State, Step
from processing_service.engine.turn import Turn

_LEAST_US: Final = 250_000
"""A try with less time than this would end by the clock instead of by what is wrong, in microseconds."""


def waits(plan: StepPlan) -> bool:
    """True if a step waits. An optional one without a timeout does not: it would use up the budget of the others."""
    return plan.timeout_us > 0 or not plan.optional


def tried(state: State, index: int, item: int) -> Step | Flight:
    """What counts the tries of a call that is out: the step, or the flight of its item."""
    step = state.steps[index]
    if step.items is None:
        return step
    return next(flight for flight in step.items.running if flight.item == item)


def wait(turn: Turn, event: Failed, key: str) -> None:
    """Schedules the next try of a call that did not reach its domain, or fails the step if its time is over.

    Args:
        key: of the call, for the jitter.
    """
    state, plan = turn.state, turn.plan.steps[event.step]
    missed = tried(state, event.step, event.item)
    away_us, unreached = missed.away_us or event.at, missed.unreached + 1
    delay = retry.backoff_us(plan.retry, unreached, key)
    if not state.paused_us:
        end = min(state.deadline_us, away_us + plan.timeout_us) if plan.timeout_us else state.deadline_us
        left = end - _LEAST_US - event.at
        if left <= 0:
            turn.fail(event.step, event.item, event.attempt, event.fault, _tally(turn, unreached, away_us))
            return
        delay = min(delay, left)
    turn.try_again(event, delay, outcome=Outcome.UNREACHABLE)


def blame(turn: Turn) -> bool:
    """Fails a step that waits for its domain as the budget ends; False if there is none."""
    for index, step in enumerate(turn.state.steps):
        delayed = step.items.delayed if step.items is not None and not step.ended else ()
        flight = next((flight for flight in delayed if flight.away_us), None)
        missed = step if step.state is StepState.WAITING and step.away_us else flight
        if missed is not None and not turn.plan.steps[index].optional:
            assert step.fault is not None
            turn.fail(index, -1, missed.attempt, step.fault, _tally(turn, missed.unreached, missed.away_us))
            return True
    return False


def _tally(turn: Turn, unreached: int, away_us: int) -> str:
    return f" ({unreached} tries in {(turn.at - away_us) / 1e6:.1f} s)"
