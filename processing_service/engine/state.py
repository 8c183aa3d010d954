"""Where a session stands, and how a record moves it on. Pure: standard library only.

A session's state is what its records say: `restore` reads a stored history with the same function by which `decide`
moved the live one, so that both can never differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from processing_service.engine.records import (
    RULES,
    Action,
    Fault,
    Kind,
    Output,
    Plan,
    Record,
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


class Step(NamedTuple):
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

    @property
    def ended(self) -> bool:
        """True if nothing more comes of it in this attempt of the session."""
        return self.state >= StepState.SUCCEEDED


class State(NamedTuple):
    """A session."""

    session_id: str
    steps: tuple[Step, ...]
    deadline_us: int
    """When its budget ends; while paused, `budget_us` counts instead."""
    budget_us: int
    """Its budget at the start of the attempt; what was left while paused."""
    state: SessionState = SessionState.PENDING
    sequence: int = 0
    attempt: int = 1
    created_us: int = 0
    started_us: int = 0
    ended_us: int = 0
    unended: int = 0
    """Steps that have not ended."""
    in_flight: int = 0
    """Calls that are out."""
    recoveries: int = 0
    paused_us: int = 0
    """Since when its clocks stand still; 0 = they run."""
    cancelled_us: int = 0
    fault: Fault | None = None
    rules: int = RULES


def initial(session_id: str, plan: Plan, created_us: int, budget_us: int) -> State:
    """A session of which nothing is recorded yet."""
    steps = (Step(since_us=created_us),) * len(plan.steps)
    return State(session_id, steps, created_us + budget_us, budget_us, created_us=created_us, unended=len(steps))


def restore(plan: Plan, start: State, records: Iterable[Record]) -> State:
    """The session after these records."""
    for record in records:
        start = apply(plan, start, record)
    return start


def apply(plan: Plan, state: State, record: Record) -> State:
    """The session after one more record."""
    return _BY_KIND[record.kind](plan, state, record)


def _moved(state: State, record: Record, **changes: Any) -> State:
    return state._replace(sequence=record.sequence, state=record.session_state, **changes)


def _with_step(state: State, record: Record, step: Step, in_flight: int = 0) -> State:
    index, steps = record.step, state.steps
    before = steps[index]
    return state._replace(
        sequence=record.sequence,
        state=record.session_state,
        steps=(*steps[:index], step, *steps[index + 1 :]),
        unended=state.unended + before.ended - step.ended,
        in_flight=state.in_flight + in_flight,
    )


def _session_started(plan: Plan, state: State, record: Record) -> State:
    return _moved(state, record, started_us=record.at)


def _step_started(plan: Plan, state: State, record: Record) -> State:
    step, timeout = state.steps[record.step], plan.steps[record.step].timeout_us
    due = min(state.deadline_us, record.at + timeout) if timeout else state.deadline_us
    if record.item >= 0:
        step = step._replace(attempt=max(step.attempt, record.attempt), items=_item_started(step, record, due))
        return _with_step(state, record, step, +1)
    step = step._replace(
        state=StepState.RUNNING,
        since_us=record.at,
        attempt=record.attempt,
        tries=step.tries + 1,
        due_us=due,
        started_us=step.started_us or record.at,
    )
    return _with_step(state, record, step, +1)


def _item_started(step: Step, record: Record, due: int) -> Items:
    items = _items(step)
    delayed = next((flight for flight in items.delayed if flight.item == record.item), None)
    return items._replace(
        first_unstarted=max(items.first_unstarted, record.item + 1),
        running=(*items.running, Flight(record.item, record.attempt, delayed.tries + 1 if delayed else 1, due)),
        delayed=_without(items.delayed, record.item),
    )


def _step_succeeded(plan: Plan, state: State, record: Record) -> State:
    step = state.steps[record.step]
    if record.item >= 0:
        items = _items(step)
        items = items._replace(running=_without(items.running, record.item))
        if record.output is not None:
            items = items._replace(outputs=(*items.outputs, (record.item, record.output)))
        return _with_step(state, record, step._replace(items=items), -1)
    running = step.state is StepState.RUNNING and step.items is None
    step = step._replace(
        state=StepState.SUCCEEDED, since_us=record.at, output=record.output, reused_from=record.reused_from
    )
    return _with_step(state, record, step, -running)


def _step_ended(to: StepState) -> Callable[[Plan, State, Record], State]:
    def move(plan: Plan, state: State, record: Record) -> State:
        step = state.steps[record.step]
        if record.item >= 0:
            left = _items(step)._replace(running=_without(_items(step).running, record.item))
            return _with_step(state, record, step._replace(items=left), -1)
        out = len(step.items.running) if step.items else step.state is StepState.RUNNING
        items = step.items and step.items._replace(running=(), delayed=())
        ended = step._replace(state=to, since_us=record.at, fault=record.fault, items=items)
        return _with_step(state, record, ended, -out)

    return move


def _step_retry_scheduled(plan: Plan, state: State, record: Record) -> State:
    step, due = state.steps[record.step], record.at + record.delay_us
    if record.item >= 0:
        items = _items(step)
        flight = next(flight for flight in items.running if flight.item == record.item)
        items = items._replace(
            running=_without(items.running, record.item), delayed=(*items.delayed, flight._replace(due_us=due))
        )
        return _with_step(state, record, step._replace(items=items, fault=record.fault), -1)
    step = step._replace(state=StepState.WAITING, since_us=record.at, due_us=due, fault=record.fault)
    return _with_step(state, record, step, -1)


def _step_expanded(plan: Plan, state: State, record: Record) -> State:
    step = state.steps[record.step]
    items = Items(record.items_total, step.attempt + 1)
    step = step._replace(state=StepState.RUNNING, since_us=record.at, started_us=record.at, items=items)
    return _with_step(state, record, step)


def _command_applied(plan: Plan, state: State, record: Record) -> State:
    if record.action == Action.PAUSE:
        frozen = record.at - record.elapsed_us
        return _moved(state, record, paused_us=frozen, budget_us=state.deadline_us - frozen)
    if record.action == Action.RESUME:
        return _resumed(state, record)
    if record.action == Action.CANCEL:
        return _moved(state, record, cancelled_us=record.at)
    if record.action == Action.RETRY:
        return _retried(state, record)
    return _moved(state, record)


def _resumed(state: State, record: Record) -> State:
    paused = record.at - state.paused_us
    return _moved(
        state,
        record,
        paused_us=0,
        deadline_us=record.at + state.budget_us,
        steps=tuple(step._replace(due_us=step.due_us + paused) if step.due_us else step for step in state.steps),
    )


def _retried(state: State, record: Record) -> State:
    steps = tuple(_again(step, record.at) for step in state.steps)
    return _moved(
        state,
        record,
        attempt=record.session_attempt,
        deadline_us=record.at + record.delay_us,
        budget_us=record.delay_us,
        ended_us=0,
        paused_us=0,
        cancelled_us=0,
        in_flight=0,
        fault=None,
        steps=steps,
        unended=sum(not step.ended for step in steps),
    )


def _again(step: Step, at: int) -> Step:
    if step.state in (StepState.SUCCEEDED, StepState.SKIPPED):
        return step
    return Step(since_us=at, attempt=step.attempt)


def _session_ended(plan: Plan, state: State, record: Record) -> State:
    return _moved(state, record, ended_us=record.at, fault=record.fault, in_flight=0)


def _recovered(plan: Plan, state: State, record: Record) -> State:
    return _moved(state, record, recoveries=state.recoveries + 1)


def _noted(plan: Plan, state: State, record: Record) -> State:
    return _moved(state, record)


def _items(step: Step) -> Items:
    assert step.items is not None
    return step.items


def _without(flights: tuple[Flight, ...], item: int) -> tuple[Flight, ...]:
    return tuple(flight for flight in flights if flight.item != item)


_BY_KIND: Final[dict[Kind, Callable[[Plan, State, Record], State]]] = {
    Kind.SESSION_STARTED: _session_started,
    Kind.STEP_STARTED: _step_started,
    Kind.STEP_SUCCEEDED: _step_succeeded,
    Kind.STEP_REUSED: _step_succeeded,
    Kind.STEP_FAILED: _step_ended(StepState.FAILED),
    Kind.STEP_RETRY_SCHEDULED: _step_retry_scheduled,
    Kind.STEP_SKIPPED: _step_ended(StepState.SKIPPED),
    Kind.STEP_CANCELLED: _step_ended(StepState.CANCELLED),
    Kind.STEP_EXPANDED: _step_expanded,
    Kind.COMMAND_APPLIED: _command_applied,
    Kind.COMMAND_REFUSED: _noted,
    Kind.SESSION_STATE_CHANGED: _noted,
    Kind.SESSION_RECOVERED: _recovered,
    Kind.CALL_RECEIPT: _noted,
    Kind.SESSION_ENDED: _session_ended,
}
