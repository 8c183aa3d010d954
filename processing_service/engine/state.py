"""Where a session stands. Pure: standard library only.

A state that was given out is never changed: `projection.apply` works on a copy that its caller made, which shares the
steps, and copies a step before it changes it. (Records that are replaced whole would say the same, and cost twice as
much; this stands on the path of every call.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from processing_service.engine.records import (
    Fault,
    Output,
    Plan,
    SessionState,
    StepState,
)


class Flight(NamedTuple):
    """A call that is out, or one that waits for its next try."""

    item: int
    attempt: int
    tries: int
    due_us: int
    """When the call has to be done, or when the next try may start."""
    unreached: int = 0
    away_us: int = 0


class Items(NamedTuple):
    """The items of a foreach step."""

    total: int
    first_attempt: int
    """Attempt of an item's first call: behind all of earlier attempts of the session."""
    first_unstarted: int = 0
    running: tuple[Flight, ...] = ()
    delayed: tuple[Flight, ...] = ()
    outputs: tuple[tuple[int, Output], ...] = ()
    """Results by item, in the order in which they came."""
    reused: int = 0
    """Those of them that no call was made for."""


@dataclass(slots=True)
class Step:
    """One step of a session."""

    state: StepState = StepState.WAITING
    since_us: int = 0
    """When it came to this state."""
    attempt: int = 0
    """Highest attempt of its calls; goes on over attempts of the session."""
    tries: int = 0
    """Calls in this attempt of the session."""
    due_us: int = 0
    """RUNNING: when its call has to be done. WAITING: when its next try may start; 0 = it was not tried."""
    started_us: int = 0
    output: Output | None = None
    fault: Fault | None = None
    items: Items | None = None
    reused_from: str = ""
    unreached: int = 0
    """Those of its tries that did not reach the domain."""
    away_us: int = 0
    """Since when the domain is known to be out of reach; 0 = it is not."""

    def copy(self) -> Step:
        """An equal step that may be changed."""
        return Step(
            self.state,
            self.since_us,
            self.attempt,
            self.tries,
            self.due_us,
            self.started_us,
            self.output,
            self.fault,
            self.items,
            self.reused_from,
            self.unreached,
            self.away_us,
        )

    @property
    def ended(self) -> bool:
        """True if nothing more comes of it in this attempt of the session."""
        return self.state >= StepState.SUCCEEDED


@dataclass(slots=True)
class State:
    """A session."""

    session_id: str
    steps: list[Step]
    deadline_us: int
    """When its budget ends; while paused, `left_us` counts instead."""
    budget_us: int
    """Its budget at the start of the attempt."""
    state: SessionState = SessionState.PENDING
    sequence: int = 0
    attempt: int = 1
    created_us: int = 0
    started_us: int = 0
    """When its attempt started; 0 = its first has not."""
    ended_us: int = 0
    unended: int = 0
    """Steps that have not ended."""
    in_flight: int = 0
    """Calls that are out."""
    recoveries: int = 0
    """Deaths of the process with one and the same call out, and those of which no record was written."""
    suspects: frozenset[tuple[int, int, int]] = frozenset()
    """Step, item and attempt of the calls that were out at each of these deaths."""
    paused_us: int = 0
    """Since when its clocks stand still; 0 = they run."""
    cancelled_us: int = 0
    fault: Fault | None = None

    @property
    def left_us(self) -> int:
        """What was left of its budget when it was paused."""
        return max(0, self.deadline_us - self.paused_us)

    def copy(self) -> State:
        """An equal state that may be changed; its steps are shared until they are."""
        return State(
            self.session_id,
            self.steps.copy(),
            self.deadline_us,
            self.budget_us,
            self.state,
            self.sequence,
            self.attempt,
            self.created_us,
            self.started_us,
            self.ended_us,
            self.unended,
            self.in_flight,
            self.recoveries,
            self.suspects,
            self.paused_us,
            self.cancelled_us,
            self.fault,
        )


def flights(step: Step) -> list[tuple[int, int]]:
    """Item and attempt of the calls of a step that are out."""
    if step.items is not None:
        return [(flight.item, flight.attempt) for flight in step.items.running]
    return [(-1, step.attempt)] if step.state is StepState.RUNNING else []


def initial(session_id: str, plan: Plan, created_us: int, budget_us: int) -> State:
    """A session of which nothing is recorded yet."""
    steps = [Step(since_us=created_us)] * len(plan.steps)
    return State(session_id, steps, created_us + budget_us, budget_us, created_us=created_us, unended=len(steps))
