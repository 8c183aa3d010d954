"""What happens next: one pure function. Standard library only.

`decide` is fed by events, one at a time, each stamped with its time by whoever made it. It says which records to write
and which actions to take. An event that is stale, or comes twice, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from processing_service.engine import retry
from processing_service.engine.records import (
    Action,
    Fault,
    Kind,
    Outcome,
    Output,
    Plan,
    Record,
    SessionState,
    StepState,
    step_key,
)
from processing_service.engine.state import State, Step, apply

CANCEL_GRACE_US: Final = 2_000_000
"""How long a cancelled call may take to end before its receipt says IGNORED, in microseconds."""
MAX_RECOVERIES: Final = 5
"""How often the process may die while a session runs before its running steps fail."""

_ABORTED, _CANCELLED, _DEADLINE_EXCEEDED = 10, 1, 4
_STEP_TIMED_OUT, _STEP_FAILED, _WORKER_LOST, _BUDGET_OVER, _WAS_CANCELLED, _WAS_TERMINATED = 72, 74, 77, 70, 75, 76


class Started(NamedTuple):
    """The session is durable: begin."""

    at: int


class Resolved(NamedTuple):
    """Condition and items of a step were evaluated."""

    at: int
    step: int
    skipped: bool
    items_total: int


class Succeeded(NamedTuple):
    """A call gave its result."""

    at: int
    step: int
    item: int
    attempt: int
    output: Output


class Failed(NamedTuple):
    """A call, or the evaluation of a step, failed."""

    at: int
    step: int
    item: int
    attempt: int
    """0 = it failed before its call."""
    fault: Fault


class Ended(NamedTuple):
    """A call that was cancelled is over."""

    at: int
    step: int
    item: int
    attempt: int
    outcome: Outcome


class Concluded(NamedTuple):
    """The outputs of the workflow were evaluated, or could not be."""

    at: int
    fault: Fault | None = None


class Recovered(NamedTuple):
    """The process that ran the session died; this one goes on."""

    at: int


class Wake(NamedTuple):
    """Time has passed."""

    at: int


class Command(NamedTuple):
    """A client's wish."""

    at: int
    action: Action
    accepted_at: int
    request_id: str = ""
    actor: str = ""
    comment: str = ""
    timeout_us: int = 0
    """New budget of a RETRY; 0 = as before."""


class Resolve(NamedTuple):
    """Evaluate condition and items of a step."""

    step: int


class Run(NamedTuple):
    """Make a call."""

    step: int
    item: int
    attempt: int
    deadline_us: int


class Cancel(NamedTuple):
    """Cancel a call."""

    step: int
    item: int
    attempt: int


class Conclude(NamedTuple):
    """Evaluate the outputs of the workflow."""


Event = Started | Resolved | Succeeded | Failed | Ended | Concluded | Recovered | Wake | Command
Act = Resolve | Run | Cancel | Conclude


class Decision(NamedTuple):
    """What comes of an event."""

    state: State
    actions: list[Act]
    records: list[Record]


LEGAL: Final[dict[Action, frozenset[SessionState]]] = {
    Action.PAUSE: frozenset({SessionState.PENDING, SessionState.RUNNING}),
    Action.RESUME: frozenset({SessionState.PAUSING, SessionState.PAUSED}),
    Action.CANCEL: frozenset(state for state in SessionState if state < SessionState.CANCELLING),
    Action.TERMINATE: frozenset(state for state in SessionState if not state.terminal),
    Action.RETRY: frozenset(state for state in SessionState if state > SessionState.SUCCEEDED),
}
"""In which states a client may ask for what."""


def decide(plan: Plan, state: State, event: Event) -> Decision:
    """What comes of an event; pure."""
    turn = _Turn(plan, state.copy(), event.at)
    _BY_EVENT[type(event)](turn, event)
    return Decision(turn.state, turn.actions, turn.records)


def next_due(plan: Plan, state: State) -> int:
    """When the session wants a Wake, in microseconds since the Unix epoch; 0 = never."""
    if state.state is SessionState.CANCELLING:
        return state.cancelled_us + CANCEL_GRACE_US
    if state.state not in (SessionState.PENDING, SessionState.RUNNING):
        return 0
    due = state.deadline_us
    for step in state.steps:
        if step.items is not None:
            due = min(due, *(flight.due_us for flight in (*step.items.running, *step.items.delayed)), due)
        elif 0 < step.due_us < due and not step.ended:
            due = step.due_us
    return due


class _Turn:
    """One event at work: the state as it moves, and what came of it so far."""

    __slots__ = ("actions", "at", "plan", "records", "state")

    def __init__(self, plan: Plan, state: State, at: int) -> None:
        self.plan, self.state, self.at = plan, state, at
        self.actions: list[Act] = []
        self.records: list[Record] = []

    def note(self, kind: Kind, to: SessionState | None = None, **facts: Any) -> None:
        """Writes a record of what happens rarely, and moves the state by it."""
        state = self.state
        attempt = facts.pop("session_attempt", state.attempt)
        self._keep(Record(state.sequence + 1, self.at, kind, attempt, to or state.state, **facts))

    def note_call(self, kind: Kind, step: int, item: int, attempt: int, output: Output | None = None) -> None:
        """Writes a record of what happens at every call."""
        state = self.state
        self._keep(Record(state.sequence + 1, self.at, kind, state.attempt, state.state, step, item, attempt, output))

    def _keep(self, record: Record) -> None:
        self.records.append(record)
        apply(self.plan, self.state, record)

    def begin(self, index: int) -> None:
        """Starts a step whose dependencies have ended."""
        if self.plan.steps[index].resolves:
            self.actions.append(Resolve(index))
        else:
            self.call(index, -1, self.state.steps[index].attempt + 1)

    def call(self, index: int, item: int, attempt: int) -> None:
        """Sends a call out."""
        self.note_call(Kind.STEP_STARTED, index, item, attempt)
        step = self.state.steps[index]
        due = step.due_us if item < 0 else step.items.running[-1].due_us  # type: ignore[union-attr]
        self.actions.append(Run(index, item, attempt, due))

    def fill(self, index: int) -> None:
        """Starts as many items of a foreach as may run, tries that are due first; ends the step after the last."""
        limit = self.plan.steps[index].max_parallel
        while (items := self.state.steps[index].items) is not None and len(items.running) < limit:
            due = next((flight for flight in items.delayed if flight.due_us <= self.at), None)
            if due is not None:
                self.call(index, due.item, due.attempt + 1)
            elif items.first_unstarted < items.total:
                self.call(index, items.first_unstarted, items.first_attempt)
            else:
                break
        if items is not None and len(items.outputs) == items.total:
            self.note(Kind.STEP_SUCCEEDED, step=index)
            self.advance(index)

    def advance(self, index: int) -> None:
        """Starts what waited for this step, or evaluates the outputs after the last."""
        if self.state.state is SessionState.RUNNING:
            for follower in self.plan.followers[index]:
                if self.ready(follower):
                    self.begin(follower)
            if not self.state.unended:
                self.actions.append(Conclude())

    def ready(self, index: int) -> bool:
        """True if a step waits, and for nothing."""
        steps = self.state.steps
        if steps[index].state is not StepState.WAITING:
            return False
        for needed in self.plan.steps[index].needs:  # noqa: SIM110  # a generator costs more than the loop
            if not steps[needed].ended:
                return False
        return True

    def launch(self) -> None:
        """Starts all that may start: after a resume, a recovery, a retry."""
        for index, step in enumerate(self.state.steps):
            if step.items is not None and step.state is StepState.RUNNING:
                self.fill(index)
            elif step.due_us <= self.at and self.ready(index):
                self.begin(index)
        if not self.state.unended:
            self.actions.append(Conclude())

    def settle(self) -> None:
        """PAUSING becomes PAUSED, and CANCELLING CANCELLED, when no call is out any more."""
        if self.state.in_flight:
            return
        if self.state.state is SessionState.PAUSING:
            self.note(Kind.SESSION_STATE_CHANGED, SessionState.PAUSED)
        elif self.state.state is SessionState.CANCELLING:
            self.finish(SessionState.CANCELLED, Fault(_CANCELLED, _WAS_CANCELLED, "the session was cancelled"))

    def drop_calls(self) -> None:
        """Cancels every call and every step that has not ended."""
        for index, step in enumerate(self.state.steps):
            for item, attempt in _flights(step):
                self.actions.append(Cancel(index, item, attempt))
            if not step.ended and (step.state is StepState.RUNNING or step.tries):
                self.note(Kind.STEP_CANCELLED, step=index, attempt=step.attempt)

    def finish(self, to: SessionState, fault: Fault | None = None) -> None:
        """Ends the attempt, for good."""
        if fault is not None:
            self.drop_calls()
        self.note(Kind.SESSION_ENDED, to, fault=fault)

    def fail(self, index: int, item: int, attempt: int, fault: Fault) -> None:
        """A step has failed for good; the session with it, unless the step is optional."""
        plan = self.plan.steps[index]
        if item >= 0:
            self.note(Kind.STEP_FAILED, step=index, item=item, attempt=attempt, fault=fault)
            for other, other_attempt in _flights(self.state.steps[index]):
                self.actions.append(Cancel(index, other, other_attempt))
        self.note(Kind.STEP_FAILED, step=index, attempt=attempt if item < 0 else 0, fault=fault)
        if plan.optional:
            self.advance(index)
            self.settle()
        else:
            key = plan.step_id if item < 0 else f"{plan.step_id}[{item}]"
            text = f"step {key!r} failed: {fault.message}"
            self.finish(SessionState.FAILED, Fault(fault.code, _STEP_FAILED, text, cause=fault))


def _flights(step: Step) -> list[tuple[int, int]]:
    """Item and attempt of the calls of a step that are out."""
    if step.items is not None:
        return [(flight.item, flight.attempt) for flight in step.items.running]
    return [(-1, step.attempt)] if step.state is StepState.RUNNING else []


def _tries(state: State, index: int, item: int) -> int:
    step = state.steps[index]
    if step.items is None:
        return step.tries
    return next((flight.tries for flight in step.items.running if flight.item == item), 0)


def _is_out(state: State, event: Succeeded | Failed | Ended) -> bool:
    step = state.steps[event.step]
    if step.items is None:
        out = step.state is StepState.RUNNING and event.item < 0 and event.attempt == step.attempt
    else:
        out = (event.item, event.attempt) in _flights(step)
    return out and not state.state.terminal


def _started(turn: _Turn, event: Started) -> None:
    if turn.state.state is SessionState.PENDING:
        turn.note(Kind.SESSION_STARTED, SessionState.RUNNING)
        turn.launch()


def _resolved(turn: _Turn, event: Resolved) -> None:
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


def _succeeded(turn: _Turn, event: Succeeded) -> None:
    if not _is_out(turn.state, event):
        return
    if turn.state.state is SessionState.CANCELLING:
        _receipt(turn, event, Outcome.COMPLETED_ANYWAY)
        return
    turn.note_call(Kind.STEP_SUCCEEDED, event.step, event.item, event.attempt, event.output)
    if event.item < 0:
        turn.advance(event.step)
    elif turn.state.state is SessionState.RUNNING or not _unfinished(turn.state.steps[event.step]):
        turn.fill(event.step)
    turn.settle()


def _unfinished(step: Step) -> bool:
    return step.items is not None and len(step.items.outputs) < step.items.total


def _failed(turn: _Turn, event: Failed) -> None:
    state = turn.state
    if event.attempt == 0:
        if state.state is SessionState.RUNNING and turn.ready(event.step):
            turn.fail(event.step, -1, 0, event.fault)
        return
    if not _is_out(state, event):
        return
    if state.state is SessionState.CANCELLING:
        _receipt(turn, event, Outcome.UNREACHABLE if event.fault.code != _CANCELLED else Outcome.ACKNOWLEDGED)
        return
    if event.fault.code == _DEADLINE_EXCEEDED and event.at >= state.deadline_us and not state.paused_us:
        _time_out(turn)
        return
    _retry_or_fail(turn, event)


def _retry_or_fail(turn: _Turn, event: Failed) -> None:
    state, plan = turn.state, turn.plan.steps[event.step]
    key = step_key(state.session_id, plan.step_id, event.item, event.attempt)
    tries = _tries(state, event.step, event.item)
    delay = retry.delay_us(plan.retry, event.fault, tries, plan.idempotent, key)
    if delay is None or (not state.paused_us and event.at + delay >= state.deadline_us):
        turn.fail(event.step, event.item, event.attempt, event.fault)
        return
    turn.note(
        Kind.STEP_RETRY_SCHEDULED,
        step=event.step,
        item=event.item,
        attempt=event.attempt,
        fault=event.fault,
        delay_us=delay,
    )
    turn.settle()


def _ended(turn: _Turn, event: Ended) -> None:
    if turn.state.state is SessionState.CANCELLING and _is_out(turn.state, event):
        _receipt(turn, event, event.outcome)


def _receipt(turn: _Turn, event: Succeeded | Failed | Ended | Cancel, outcome: Outcome) -> None:
    elapsed = max(0, turn.at - turn.state.cancelled_us)
    facts: dict[str, Any] = {"step": event.step, "item": event.item, "attempt": event.attempt}
    turn.note(Kind.CALL_RECEIPT, **facts, outcome=outcome, elapsed_us=elapsed)
    turn.note(Kind.STEP_CANCELLED, **facts)
    turn.settle()


def _concluded(turn: _Turn, event: Concluded) -> None:
    if turn.state.state is not SessionState.RUNNING:
        return
    if event.fault is None:
        turn.finish(SessionState.SUCCEEDED)
    else:
        turn.finish(SessionState.FAILED, event.fault)


def _recovered(turn: _Turn, event: Recovered) -> None:
    state = turn.state
    if state.state.terminal:
        return
    if state.state is SessionState.PENDING:
        _started(turn, Started(event.at))
        return
    turn.note(Kind.SESSION_RECOVERED)
    if state.state is SessionState.CANCELLING:
        for index, step in enumerate(state.steps):
            for item, attempt in _flights(step):
                _receipt(turn, Cancel(index, item, attempt), Outcome.UNREACHABLE)
        turn.settle()
        return
    _take_up(turn)


def _take_up(turn: _Turn) -> None:
    """Calls that were out go out again under the same attempt, so that the domain can tell a repeat."""
    state = turn.state
    if state.state is SessionState.RUNNING and turn.at >= state.deadline_us:
        _time_out(turn)
        return
    for index, step in enumerate(state.steps):
        for item, attempt in _flights(step):
            if state.recoveries > MAX_RECOVERIES:
                text = f"the process died {MAX_RECOVERIES} times while the session ran"
                turn.fail(index, item, attempt, Fault(_ABORTED, _WORKER_LOST, text))
                return
            turn.actions.append(Run(index, item, attempt, state.deadline_us or turn.at + state.budget_us))
    if turn.state.state is SessionState.RUNNING:
        turn.launch()
    turn.settle()


def _wake(turn: _Turn, event: Wake) -> None:
    state = turn.state
    if state.state is SessionState.CANCELLING:
        if event.at >= state.cancelled_us + CANCEL_GRACE_US:
            for index, step in enumerate(state.steps):
                for item, attempt in _flights(step):
                    _receipt(turn, Cancel(index, item, attempt), Outcome.IGNORED)
    elif state.state is SessionState.RUNNING and event.at >= state.deadline_us:
        _time_out(turn)
    elif state.state is SessionState.RUNNING:
        _time_out_calls(turn)
        if turn.state.state is SessionState.RUNNING:
            _start_due(turn)


def _time_out(turn: _Turn) -> None:
    text = f"the session's budget of {turn.state.budget_us / 1e6:g} s is used up"
    turn.finish(SessionState.TIMED_OUT, Fault(_DEADLINE_EXCEEDED, _BUDGET_OVER, text))


def _time_out_calls(turn: _Turn) -> None:
    """Calls that outlived their own timeout are cancelled and count as failed."""
    for index, step in enumerate(turn.state.steps):
        flights = step.items.running if step.items else ()
        late = [(flight.item, flight.attempt) for flight in flights if flight.due_us <= turn.at]
        if not flights and step.state is StepState.RUNNING and step.items is None and step.due_us <= turn.at:
            late = [(-1, step.attempt)]
        for item, attempt in late:
            if turn.state.state.terminal or (item, attempt) not in _flights(turn.state.steps[index]):
                continue  # the failure of another call has ended it
            timeout = turn.plan.steps[index].timeout_us
            fault = Fault(_DEADLINE_EXCEEDED, _STEP_TIMED_OUT, f"no result within its timeout of {timeout / 1e6:g} s")
            turn.actions.append(Cancel(index, item, attempt))
            _retry_or_fail(turn, Failed(turn.at, index, item, attempt, fault))


def _start_due(turn: _Turn) -> None:
    """Starts what waited for its next try."""
    for index, step in enumerate(turn.state.steps):
        if step.items is not None and step.state is StepState.RUNNING:
            turn.fill(index)
        elif step.due_us and step.due_us <= turn.at and turn.ready(index):
            turn.call(index, -1, step.attempt + 1)


def _command(turn: _Turn, event: Command) -> None:
    state = turn.state
    facts: dict[str, Any] = {
        "action": event.action,
        "request_id": event.request_id,
        "actor": event.actor,
        "elapsed_us": max(0, event.at - event.accepted_at),
    }
    if state.state not in LEGAL[event.action]:
        turn.note(Kind.COMMAND_REFUSED, message=event.comment, **facts)
        return
    _BY_ACTION[event.action](turn, event, facts | {"message": event.comment})


def _pause(turn: _Turn, event: Command, facts: dict[str, Any]) -> None:
    turn.note(Kind.COMMAND_APPLIED, SessionState.PAUSING, **facts)
    turn.settle()


def _resume(turn: _Turn, event: Command, facts: dict[str, Any]) -> None:
    turn.note(Kind.COMMAND_APPLIED, SessionState.RUNNING, **facts)
    turn.launch()


def _cancel(turn: _Turn, event: Command, facts: dict[str, Any]) -> None:
    turn.note(Kind.COMMAND_APPLIED, SessionState.CANCELLING, **facts)
    for index, step in enumerate(turn.state.steps):
        turn.actions.extend(Cancel(index, item, attempt) for item, attempt in _flights(step))
    turn.settle()


def _terminate(turn: _Turn, event: Command, facts: dict[str, Any]) -> None:
    turn.note(Kind.COMMAND_APPLIED, **facts)
    turn.finish(SessionState.TERMINATED, Fault(_CANCELLED, _WAS_TERMINATED, "the session was terminated"))


def _retry(turn: _Turn, event: Command, facts: dict[str, Any]) -> None:
    budget = event.timeout_us or turn.state.budget_us
    turn.note(
        Kind.COMMAND_APPLIED,
        SessionState.RUNNING,
        session_attempt=turn.state.attempt + 1,
        delay_us=budget,
        **facts,
    )
    turn.launch()


_BY_EVENT: Final[dict[type, Callable[[_Turn, Any], None]]] = {
    Started: _started,
    Resolved: _resolved,
    Succeeded: _succeeded,
    Failed: _failed,
    Ended: _ended,
    Concluded: _concluded,
    Recovered: _recovered,
    Wake: _wake,
    Command: _command,
}
_BY_ACTION: Final[dict[Action, Callable[[_Turn, Command, dict[str, Any]], None]]] = {
    Action.PAUSE: _pause,
    Action.RESUME: _resume,
    Action.CANCEL: _cancel,
    Action.TERMINATE: _terminate,
    Action.RETRY: _retry,
}
