"""One event at work: the state as it moves, and what came of it so far. Pure: standard library only."""

from __future__ import annotations

from typing import Any

from processing_service.engine.events import Act, Cancel, Conclude, Failed, Resolve, Run
from processing_service.engine.projection import apply
from processing_service.engine.reasons import Code, Reason
from processing_service.engine.records import Fault, Kind, Output, Plan, Record, SessionState, StepState
from processing_service.engine.state import State, Step, flights


class Turn:
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
        """Starts all that may start: at first, after a resume, a recovery, a retry; nothing past the budget."""
        late = self.at >= self.state.deadline_us  # the next Wake ends it
        for index, step in () if late else enumerate(self.state.steps):
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
            self.finish(SessionState.CANCELLED, Fault(Code.CANCELLED, Reason.CANCELLED, "the session was cancelled"))

    def try_again(self, event: Failed, delay_us: int, **facts: Any) -> None:
        """Schedules the next try of a call that failed."""
        call: dict[str, Any] = {"step": event.step, "item": event.item, "attempt": event.attempt}
        self.note(Kind.STEP_RETRY_SCHEDULED, **call, fault=event.fault, delay_us=delay_us, **facts)
        self.settle()

    def drop_calls(self) -> None:
        """Cancels every call and every step that has not ended."""
        for index, step in enumerate(self.state.steps):
            for item, attempt in flights(step):
                self.actions.append(Cancel(index, item, attempt))
            if not step.ended and (step.state is StepState.RUNNING or step.tries):
                self.note(Kind.STEP_CANCELLED, step=index, attempt=step.attempt)

    def finish(self, to: SessionState, fault: Fault | None = None) -> None:
        """Ends the attempt, for good."""
        if fault is not None:
            self.drop_calls()
        self.note(Kind.SESSION_ENDED, to, fault=fault)

    def fail(self, index: int, item: int, attempt: int, fault: Fault, tally: str = "") -> None:
        """A step has failed for good; the session with it, unless the step is optional.

        Args:
            tally: what the session's message adds to the step's.
        """
        plan = self.plan.steps[index]
        if item >= 0:
            self.note(Kind.STEP_FAILED, step=index, item=item, attempt=attempt, fault=fault)
        if self.state.steps[index].items is not None:
            self.actions.extend(Cancel(index, *other) for other in flights(self.state.steps[index]))
        self.note(Kind.STEP_FAILED, step=index, attempt=attempt if item < 0 else 0, fault=fault)
        if plan.optional:
            self.advance(index)
            self.settle()
        else:
            key = plan.step_id if item < 0 else f"{plan.step_id}[{item}]"
            text = f"step {key!r} failed: {fault.message}{tally}"
            self.finish(SessionState.FAILED, Fault(fault.code, Reason.STEP_FAILED, text, cause=fault))


def due_of(step: Step, item: int) -> int:
    """When a call of a step that is out has to be done."""
    if step.items is None:
        return step.due_us
    return next(flight.due_us for flight in step.items.running if flight.item == item)
