"""How records move a session on. Pure: standard library only.

A session's state is what its records say: `restore` reads a stored history with the same function by which `decide`
moved the live one, so that both can never differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from processing_service.engine.records import Action, Kind, Outcome, Plan, Record, StepState
from processing_service.engine.state import Flight, Items, State, Step, flights


def restore(plan: Plan, start: State, records: Iterable[Record]) -> State:
    """The session after these records."""
    state = start.copy()
    for record in records:
        apply(plan, state, record)
    return state


def apply(plan: Plan, state: State, record: Record) -> None:
    """Moves a state, its caller's own copy, by one more record."""
    state.sequence, state.state = record.sequence, record.session_state
    _BY_KIND[record.kind](plan, state, record)


def _changed(state: State, record: Record) -> Step:
    """A copy of the record's step, in its place."""
    step = state.steps[record.step] = state.steps[record.step].copy()
    return step


def _session_started(plan: Plan, state: State, record: Record) -> None:
    state.started_us = record.at


def _step_started(plan: Plan, state: State, record: Record) -> None:
    step, due = _changed(state, record), _due_of_call(plan, state, record.step, record.at)
    state.in_flight += 1
    if record.item >= 0:
        step.items = _item_started(step, record, due)
        step.attempt = max(step.attempt, record.attempt)
        return
    step.state, step.since_us, step.due_us = StepState.RUNNING, record.at, due
    step.attempt = record.attempt
    step.tries += 1
    step.started_us = step.started_us or record.at


def _due_of_call(plan: Plan, state: State, index: int, at: int) -> int:
    """When a call that goes out then has to be done; the budget that a pause holds counts from there."""
    timeout, end = plan.steps[index].timeout_us, at + state.left_us if state.paused_us else state.deadline_us
    return min(end, at + timeout) if timeout else end


def _item_started(step: Step, record: Record, due: int) -> Items:
    items = _items(step)
    flight = next((flight for flight in items.delayed if flight.item == record.item), Flight(record.item, 0, 0, 0))
    return items._replace(
        first_unstarted=max(items.first_unstarted, record.item + 1),
        running=(*items.running, flight._replace(attempt=record.attempt, tries=flight.tries + 1, due_us=due)),
        delayed=_without(items.delayed, record.item),
    )


def _step_succeeded(plan: Plan, state: State, record: Record) -> None:
    step = _changed(state, record)
    if record.item >= 0:
        items = _items(step)
        outputs = items.outputs if record.output is None else (*items.outputs, (record.item, record.output))
        reused = items.reused + (record.kind is Kind.STEP_REUSED)
        step.items = items._replace(running=_without(items.running, record.item), outputs=outputs, reused=reused)
        state.in_flight -= 1
        return
    state.in_flight -= step.state is StepState.RUNNING and step.items is None
    state.unended -= 1
    step.state, step.since_us = StepState.SUCCEEDED, record.at
    step.output, step.reused_from = record.output, record.reused_from


def _step_ended(to: StepState) -> Callable[[Plan, State, Record], None]:
    def move(plan: Plan, state: State, record: Record) -> None:
        step = _changed(state, record)
        if record.item >= 0:
            step.items = _items(step)._replace(running=_without(_items(step).running, record.item))
            state.in_flight -= 1
            return
        if step.items is not None:
            state.in_flight -= len(step.items.running)
            step.items = step.items._replace(running=(), delayed=())
        else:
            state.in_flight -= step.state is StepState.RUNNING
        state.unended -= not step.ended
        step.state, step.since_us, step.fault = to, record.at, record.fault

    return move


def _step_retry_scheduled(plan: Plan, state: State, record: Record) -> None:
    # in a pause the delay begins where the clocks stopped, so that RESUME, which moves it, leaves just the delay
    step, due = _changed(state, record), (state.paused_us or record.at) + record.delay_us
    state.in_flight -= 1
    step.fault = record.fault
    if record.item >= 0:
        items = _items(step)
        flight = next(flight for flight in items.running if flight.item == record.item)
        unreached, away_us = _reach(flight, record)
        flight = flight._replace(due_us=due, unreached=unreached, away_us=away_us)
        step.items = items._replace(running=_without(items.running, record.item), delayed=(*items.delayed, flight))
        return
    step.state, step.since_us, step.due_us = StepState.WAITING, record.at, due
    step.unreached, step.away_us = _reach(step, record)


def _reach(tried: Step | Flight, record: Record) -> tuple[int, int]:
    """Tries that did not reach the domain, or never left, and since when it is out of reach."""
    if record.outcome == Outcome.UNREACHABLE:
        return tried.unreached + 1, tried.away_us or record.at
    if record.outcome == Outcome.ACKNOWLEDGED:
        return tried.unreached + 1, 0
    return tried.unreached, 0


def _step_expanded(plan: Plan, state: State, record: Record) -> None:
    step = _changed(state, record)
    step.state, step.since_us, step.started_us = StepState.RUNNING, record.at, record.at
    step.items = Items(record.items_total, step.attempt + 1)


def _command_applied(plan: Plan, state: State, record: Record) -> None:
    if record.action == Action.PAUSE:
        state.paused_us = record.at - record.elapsed_us
    elif record.action == Action.RESUME:
        _resume(state, record.at)
    elif record.action == Action.CANCEL:
        state.cancelled_us = record.at
    elif record.action == Action.RETRY:
        _retry(state, record)


def _resume(state: State, at: int) -> None:
    state.deadline_us = at + state.left_us
    paused, state.paused_us = at - state.paused_us, 0
    for index, step in enumerate(state.steps):
        if step.due_us:
            step = state.steps[index] = step.copy()  # noqa: PLW2901  # the copy takes its place
            if step.state is StepState.WAITING:
                step.due_us += paused
            step.away_us = _later(step.away_us, paused, at)
        elif step.items is not None and not step.ended:
            step = state.steps[index] = step.copy()  # noqa: PLW2901
            step.items = _resume_items(_items(step), paused, at)


def _resume_items(items: Items, paused: int, at: int) -> Items:
    """The clocks of what waits stood still; calls that are out keep the deadlines that they left with."""
    running = (flight._replace(away_us=_later(flight.away_us, paused, at)) for flight in items.running)
    delayed = (
        flight._replace(due_us=flight.due_us + paused, away_us=_later(flight.away_us, paused, at))
        for flight in items.delayed
    )
    return items._replace(running=tuple(running), delayed=tuple(delayed))


def _later(away_us: int, paused: int, at: int) -> int:
    return away_us and min(at, away_us + paused)


def _retry(state: State, record: Record) -> None:
    state.attempt, state.started_us = record.session_attempt, record.at
    state.budget_us, state.deadline_us = record.delay_us, record.at + record.delay_us
    state.ended_us = state.paused_us = state.cancelled_us = state.in_flight = 0
    state.fault = None
    state.steps = [_again(step, record.at, index in record.rerun) for index, step in enumerate(state.steps)]
    state.unended = sum(not step.ended for step in state.steps)


def kept(step: Step) -> bool:
    """True if a RETRY takes the step over as it is, unless it depends on one that runs again."""
    return step.state in (StepState.SUCCEEDED, StepState.SKIPPED)


def _again(step: Step, at: int, rerun: bool) -> Step:
    if kept(step) and not rerun:
        return step
    return Step(since_us=at, attempt=step.attempt)


def _session_ended(plan: Plan, state: State, record: Record) -> None:
    state.ended_us, state.fault, state.in_flight = record.at, record.fault, 0


def _recovered(plan: Plan, state: State, record: Record) -> None:
    """Calls that were out go out again, and have all their time from now on."""
    _suspect(state, 1 + record.attempt)
    for index, step in enumerate(state.steps):
        if step.state is StepState.RUNNING:
            step = state.steps[index] = step.copy()  # noqa: PLW2901
            due = _due_of_call(plan, state, index, record.at)
            if step.items is None:
                step.due_us = due
            else:
                running = tuple(flight._replace(due_us=due) for flight in step.items.running)
                step.items = step.items._replace(running=running)


def _suspect(state: State, deaths: int) -> None:
    """A call kills the process only if it was out at each of its deaths; where none was, the count begins anew."""
    out = frozenset((index, *call) for index, step in enumerate(state.steps) for call in flights(step))
    still = state.suspects & out
    state.recoveries = state.recoveries + deaths if still else deaths
    state.suspects = still or out


def _noted(plan: Plan, state: State, record: Record) -> None:
    """Nothing but its number and the session's state."""


def _items(step: Step) -> Items:
    assert step.items is not None
    return step.items


def _without(flights: tuple[Flight, ...], item: int) -> tuple[Flight, ...]:
    return tuple(flight for flight in flights if flight.item != item)


_BY_KIND: Final[dict[Kind, Callable[[Plan, State, Record], None]]] = {
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
