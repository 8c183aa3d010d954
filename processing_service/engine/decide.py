"""What happens next: one pure function. Standard library only.

`decide` is fed by events, one at a time, each stamped with its time by whoever made it. It says which records to write
and which actions to take. An event that is stale, or comes twice, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from processing_service.engine import outage, retry
from processing_service.engine.commands import obey
from processing_service.engine.events import (
    Act,
    Cancel,
    Command,
    Concluded,
    Ended,
    Event,
    Failed,
    Recovered,
    Resolved,
    Run,
    Started,
    Succeeded,
    Wake,
    Withdrawn,
)
from processing_service.engine.reasons import Code, Reason
from processing_service.engine.records import (
    Fault,
    Kind,
    Outcome,
    Plan,
    Record,
    SessionState,
    StepState,
    step_key,
)
from processing_service.engine.state import State, Step, flights
from processing_service.engine.turn import Turn, due_of

CANCEL_GRACE_US: Final = 2_000_000
"""How long a cancelled call may take to end before its receipt says IGNORED, in microseconds."""
MAX_RECOVERIES: Final = 5
"""How often the process may die while a call is out before it fails."""


class Decision(NamedTuple):
    """What comes of an event."""

    state: State
    actions: list[Act]
    records: list[Record]


def decide(plan: Plan, state: State, event: Event) -> Decision:
    """What comes of an event; pure."""
    turn = Turn(plan, state.copy(), event.at)
    _BY_EVENT[type(event)](turn, event)
    return Decision(turn.state, turn.actions, turn.records)


def next_due(plan: Plan, state: State) -> int:
    """When the session wants a Wake, in microseconds since the Unix epoch; 0 = never."""
    if state.state is SessionState.CANCELLING:
        return state.cancelled_us + CANCEL_GRACE_US
    if state.state is SessionState.PAUSING:  # calls that are out keep the deadlines that they left with
        return min(_dues(state), default=0)
    if state.state not in (SessionState.PENDING, SessionState.RUNNING):
        return 0
    due = state.deadline_us
    for step in state.steps:
        if step.items is not None:
            due = min(due, *(flight.due_us for flight in (*step.items.running, *step.items.delayed)), due)
        elif 0 < step.due_us < due and not step.ended:
            due = step.due_us
    return due


def _dues(state: State) -> Iterator[int]:
    """When the calls that are out have to be done."""
    for step in state.steps:
        if step.items is not None:
            yield from (flight.due_us for flight in step.items.running)
        elif step.state is StepState.RUNNING:
            yield step.due_us


def _tries(state: State, index: int, item: int) -> int:
    tried = outage.tried(state, index, item)
    return tried.tries - tried.unreached


def _is_out(state: State, event: Succeeded | Failed | Ended | Withdrawn) -> bool:
    step = state.steps[event.step]
    if step.items is None:
        out = step.state is StepState.RUNNING and event.item < 0 and event.attempt == step.attempt
    else:
        out = (event.item, event.attempt) in flights(step)
    return out and not state.state.terminal


def _started(turn: Turn, event: Started) -> None:
    if turn.state.state is SessionState.PENDING:
        turn.note(Kind.SESSION_STARTED, SessionState.RUNNING)
        turn.launch()


def _resolved(turn: Turn, event: Resolved) -> None:
    if turn.state.state is not SessionState.RUNNING or not turn.ready(event.step):
        return
    if event.skipped:
        turn.note(Kind.STEP_SKIPPED, step=event.step)
        turn.advance(event.step)
    elif turn.plan.steps[event.step].foreach:
        turn.note(Kind.STEP_EXPANDED, step=event.step, items_total=event.items_total)
        turn.fill(event.step)
    else:
        turn.call(event.step, -1, turn.state.steps[event.step].attempt + 1)


def _succeeded(turn: Turn, event: Succeeded) -> None:
    if not _is_out(turn.state, event):
        return
    if turn.state.state is SessionState.CANCELLING:
        _receipt(turn, event, Outcome.COMPLETED_ANYWAY)
        return
    if event.reused_from:
        facts: dict[str, Any] = {"output": event.output, "reused_from": event.reused_from}
        turn.note(Kind.STEP_REUSED, step=event.step, item=event.item, attempt=event.attempt, **facts)
    else:
        turn.note_call(Kind.STEP_SUCCEEDED, event.step, event.item, event.attempt, event.output)
    if event.item < 0:
        turn.advance(event.step)
    elif turn.state.state is SessionState.RUNNING or not _unfinished(turn.state.steps[event.step]):
        turn.fill(event.step)
    turn.settle()


def _unfinished(step: Step) -> bool:
    return step.items is not None and len(step.items.outputs) < step.items.total


def _failed(turn: Turn, event: Failed) -> None:
    state = turn.state
    if event.attempt == 0:
        if state.state is SessionState.RUNNING and turn.ready(event.step):
            turn.fail(event.step, -1, 0, event.fault)
        return
    if not _is_out(state, event):
        return
    if state.state is SessionState.CANCELLING:
        _receipt(turn, event, Outcome.UNREACHABLE if event.fault.code != Code.CANCELLED else Outcome.ACKNOWLEDGED)
        return
    if event.fault.code == Code.DEADLINE_EXCEEDED and event.at >= state.deadline_us and not state.paused_us:
        _time_out(turn)
        return
    _retry_or_fail(turn, event)


def _retry_or_fail(turn: Turn, event: Failed) -> None:
    state, plan = turn.state, turn.plan.steps[event.step]
    key = step_key(state.session_id, plan.step_id, event.item, event.attempt)
    if event.unreached and outage.waits(plan):
        outage.wait(turn, event, key)
        return
    tries = _tries(state, event.step, event.item)
    delay = retry.delay_us(plan.retry, event.fault, tries, plan.idempotent, key)
    if delay is None or (not state.paused_us and event.at + delay >= state.deadline_us):
        fault = event.fault if delay is None else retry.last_fault(event.fault, state.deadline_us - event.at)
        turn.fail(event.step, event.item, event.attempt, fault)
        return
    turn.try_again(event, delay)


def _ended(turn: Turn, event: Ended) -> None:
    if turn.state.state is SessionState.CANCELLING and _is_out(turn.state, event):
        _receipt(turn, event, event.outcome)


def _withdrawn(turn: Turn, event: Withdrawn) -> None:
    """The step waits again; the try does not count, as nobody has seen it."""
    if not _is_out(turn.state, event):
        return
    if turn.state.state is SessionState.CANCELLING:
        _receipt(turn, event, Outcome.ACKNOWLEDGED)
        return
    facts: dict[str, Any] = {"step": event.step, "item": event.item, "attempt": event.attempt}
    text = "taken back before it left, because the session pauses"
    turn.note(Kind.STEP_RETRY_SCHEDULED, **facts, outcome=Outcome.ACKNOWLEDGED, message=text)
    turn.settle()


def _receipt(turn: Turn, event: Succeeded | Failed | Ended | Withdrawn | Cancel, outcome: Outcome) -> None:
    elapsed = max(0, turn.at - turn.state.cancelled_us)
    facts: dict[str, Any] = {"step": event.step, "item": event.item, "attempt": event.attempt}
    turn.note(Kind.CALL_RECEIPT, **facts, outcome=outcome, elapsed_us=elapsed)
    turn.note(Kind.STEP_CANCELLED, **facts)
    turn.settle()


def _concluded(turn: Turn, event: Concluded) -> None:
    if turn.state.state is not SessionState.RUNNING or turn.state.unended:  # of an attempt before this one
        return
    if event.fault is None:
        turn.finish(SessionState.SUCCEEDED)
    else:
        turn.finish(SessionState.FAILED, event.fault)


def _recovered(turn: Turn, event: Recovered) -> None:
    state = turn.state
    if state.state.terminal:
        return
    if state.state is SessionState.PENDING:
        _started(turn, Started(event.at))
        return
    turn.note(Kind.SESSION_RECOVERED, attempt=event.unrecorded)
    if state.state is SessionState.CANCELLING:
        for index, step in enumerate(state.steps):
            for item, attempt in flights(step):
                _receipt(turn, Cancel(index, item, attempt), Outcome.UNREACHABLE)
        turn.settle()
        return
    _take_up(turn)


def _take_up(turn: Turn) -> None:
    """Calls that were out go out again under the same attempt, so that the domain can tell a repeat."""
    state = turn.state
    if state.state is SessionState.RUNNING and turn.at >= state.deadline_us:
        _time_out(turn)
        return
    out = [(index, *call) for index, step in enumerate(state.steps) for call in flights(step)]
    lost = state.suspects if state.recoveries > MAX_RECOVERIES else ()
    for call in out:
        if call in lost and _still_out(turn, *call):
            text = f"the process died {MAX_RECOVERIES} times while this call was out"
            turn.fail(*call, Fault(Code.ABORTED, Reason.WORKER_LOST, text))
    for call in out:
        if call not in lost and _still_out(turn, *call):
            turn.actions.append(Run(*call, due_of(state.steps[call[0]], call[1])))
    if turn.state.state is SessionState.RUNNING:
        turn.launch()
    turn.settle()


def _still_out(turn: Turn, index: int, item: int, attempt: int) -> bool:
    """False once what became of another call has ended this one, too."""
    return not turn.state.state.terminal and (item, attempt) in flights(turn.state.steps[index])


def _wake(turn: Turn, event: Wake) -> None:
    state = turn.state
    if state.state is SessionState.CANCELLING:
        if event.at >= state.cancelled_us + CANCEL_GRACE_US:
            for index, step in enumerate(state.steps):
                for item, attempt in flights(step):
                    _receipt(turn, Cancel(index, item, attempt), Outcome.IGNORED)
    elif state.state is SessionState.RUNNING and event.at >= state.deadline_us:
        _time_out(turn)
    elif state.state in (SessionState.RUNNING, SessionState.PAUSING):
        _time_out_calls(turn)
        if turn.state.state is SessionState.RUNNING:
            _start_due(turn)


def _time_out(turn: Turn) -> None:
    if outage.blame(turn):
        return
    text = f"the session's budget of {turn.state.budget_us / 1e6:g} s is used up"
    turn.finish(SessionState.TIMED_OUT, Fault(Code.DEADLINE_EXCEEDED, Reason.DEADLINE_EXCEEDED, text))


def _time_out_calls(turn: Turn) -> None:
    """Calls that outlived their own timeout are cancelled and count as failed."""
    for index, step in enumerate(turn.state.steps):
        running = step.items.running if step.items else ()
        late = [(flight.item, flight.attempt) for flight in running if flight.due_us <= turn.at]
        if not running and step.state is StepState.RUNNING and step.items is None and step.due_us <= turn.at:
            late = [(-1, step.attempt)]
        for item, attempt in late:
            if not _still_out(turn, index, item, attempt):
                continue
            timeout = turn.plan.steps[index].timeout_us
            text = f"its timeout of {timeout / 1e6:g} s" if timeout else "the budget that was left when it began"
            fault = Fault(Code.DEADLINE_EXCEEDED, Reason.STEP_TIMED_OUT, f"no result within {text}")
            turn.actions.append(Cancel(index, item, attempt))
            _retry_or_fail(turn, Failed(turn.at, index, item, attempt, fault))


def _start_due(turn: Turn) -> None:
    """Starts what waited for its next try."""
    for index, step in enumerate(turn.state.steps):
        if step.items is not None and step.state is StepState.RUNNING:
            turn.fill(index)
        elif step.due_us and step.due_us <= turn.at and turn.ready(index):
            turn.call(index, -1, step.attempt + 1)


_BY_EVENT: Final[dict[type, Callable[[Turn, Any], None]]] = {
    Started: _started,
    Resolved: _resolved,
    Succeeded: _succeeded,
    Failed: _failed,
    Ended: _ended,
    Withdrawn: _withdrawn,
    Concluded: _concluded,
    Recovered: _recovered,
    Wake: _wake,
    Command: obey,
}
