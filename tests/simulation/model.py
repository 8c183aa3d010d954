"""What a history may say: the semantics once more, written from the promises and not from the engine.

A `History` is told one record after the other and keeps its own account of the session: who is out, what was tried how
often, when the budget ends. It shares the vocabulary of records with the engine, and no line of how they come about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from processing_service.engine.base import Resolution
from processing_service.engine.records import Action, Kind, Outcome, Plan, Record, SessionState

PENDING, RUNNING, PAUSING, PAUSED, CANCELLING, SUCCEEDED, FAILED, CANCELLED, TERMINATED, TIMED_OUT = SessionState
ENDS = frozenset({SUCCEEDED, FAILED, CANCELLED, TERMINATED, TIMED_OUT})
LEGAL = {
    Action.PAUSE: {PENDING, RUNNING},
    Action.RESUME: {PAUSING, PAUSED},
    Action.CANCEL: {PENDING, RUNNING, PAUSING, PAUSED},
    Action.TERMINATE: {PENDING, RUNNING, PAUSING, PAUSED, CANCELLING},
    Action.RETRY: {FAILED, CANCELLED, TIMED_OUT, TERMINATED},
}
"""The table of semantics."""
AFTER = {Action.PAUSE: PAUSING, Action.RESUME: RUNNING, Action.CANCEL: CANCELLING, Action.RETRY: RUNNING}
GRACE_US = 2_000_000
"""How long a cancelled call may take before it counts as ignored."""
MAYBE = frozenset({4, 8, 10, 14})
"""Status codes after which another try is allowed; the first only where it is safe."""


class Violation(AssertionError):
    """A promise was broken."""


def require(true: object, *what: object) -> None:
    """Raises Violation unless that is so."""
    if not true:
        raise Violation(" ".join(map(str, what)))


@dataclass
class Item:
    """A call that a step makes: its only one, or one item's."""

    attempt: int = 0
    tries: int = 0
    """Those that count: that reached the domain, or were not told not to have."""
    out: bool = False
    since_us: int = 0
    due_us: int = 0
    """Until when the next try waits."""
    done: bool = False


@dataclass
class Step:
    """A step of the model."""

    ended: str = ""
    total: int = -1
    items: dict[int, Item] = field(default_factory=dict)
    highest: int = 0
    first: int = 0
    """Highest attempt of earlier attempts of the session."""

    @property
    def out(self) -> list[int]:
        """Items that are out."""
        return [number for number, item in self.items.items() if item.out]


class History:
    """One session as its records tell it; `tell` raises Violation at the first that may not be.

    Args:
        slack_us: how late something may be that waits for the clock.
        was_up: True if the server ran all the time between two moments.
        asked_us: budgets that a RETRY may ask for.
    """

    def __init__(
        self,
        plan: Plan,
        created_us: int,
        budget_us: int,
        slack_us: int,
        was_up: Callable[[int, int], bool],
        asked_us: Sequence[int],
    ) -> None:
        self.plan, self._slack_us, self._was_up, self.asked_us = plan, slack_us, was_up, asked_us
        self.state, self.attempt, self.sequence = PENDING, 1, 0
        self.steps = [Step() for _ in plan.steps]
        self.deadline_us, self.budget_us, self.paused_us = created_us + budget_us, budget_us, 0
        self.left_us = 0
        self.cancelled_us, self.at = 0, created_us
        self.running_us = created_us
        """Since when it runs: before that nothing looked at its budget."""
        self.receipts: set[tuple[int, int, int]] = set()
        self.applied: list[str] = []
        """request_id of the commands that were applied, in order."""
        self.refused: list[str] = []
        self.results: dict[tuple[int, int, int], bytes] = {}
        """What was recorded, by step, item and attempt."""
        self.ends: dict[int, SessionState] = {}
        self._terminate = False
        self._failed = False
        self.kinds: set[str] = set()

    def tell(self, record: Record) -> None:
        """One more record."""
        require(record.sequence == self.sequence + 1, "record", record.sequence, "follows", self.sequence)
        self.sequence = record.sequence
        require(record.at >= self.at, "time goes back by", self.at - record.at, "us at", record)
        self.at = record.at
        if self.state in ENDS:
            self._after_the_end(record)
        else:
            require(record.session_attempt == self.attempt, "another attempt", record)
            _RULES[record.kind](self, record)
        self.kinds.add(record.kind.name)

    def _after_the_end(self, record: Record) -> None:
        if record.kind is Kind.COMMAND_REFUSED:
            self._refused(record)
            return
        require(record.kind is Kind.COMMAND_APPLIED and record.action == Action.RETRY, "after the end", record)
        require(self.state in LEGAL[Action.RETRY], "RETRY of", self.state)
        require(record.session_attempt == self.attempt + 1, "attempt of a RETRY", record)
        self.attempt += 1
        self.state = RUNNING
        require(record.session_state is RUNNING, record)
        require(record.delay_us in (self.budget_us, *self.asked_us), "another budget", record)
        self.budget_us = record.delay_us
        self.deadline_us, self.paused_us, self.cancelled_us = record.at + record.delay_us, 0, 0
        self.applied.append(record.request_id)
        self._terminate = self._failed = False
        kept = self._kept()
        ended = {index for index, step in enumerate(self.steps) if step.ended in ("SUCCEEDED", "SKIPPED")}
        require(set(record.rerun) == ended - kept, "run again", record.rerun, "and not", ended - kept)
        self.steps = [
            step if index in kept else Step(highest=step.highest, first=step.highest)
            for index, step in enumerate(self.steps)
        ]

    def _kept(self) -> set[int]:
        """Steps that a RETRY does not run again: they came to something, and so did all that they are made from."""
        kept: set[int] = set()
        for index, step in enumerate(self.steps):  # a step comes behind those that it needs
            if step.ended in ("SUCCEEDED", "SKIPPED") and kept.issuperset(self.plan.steps[index].needs):
                kept.add(index)
        return kept

    def _in(self, record: Record, *states: SessionState) -> None:
        require(self.state in states, record.kind.name, "in", self.state.name)
        require(record.session_state is self.state, "state of", record, "is not", self.state.name)

    def _started(self, record: Record) -> None:
        require(self.state is PENDING, "started twice")
        require(record.session_state is RUNNING, record)
        self.state, self.running_us = RUNNING, record.at

    def _call_of(self, record: Record) -> tuple[Step, Item]:
        step = self.steps[record.step]
        item = step.items.get(record.item)
        require(item is not None and item.out, "nobody is out", record)
        assert item is not None
        require(item.attempt == record.attempt, "attempt", item.attempt, "is out, not", record)
        return step, item

    def _step_started(self, record: Record) -> None:
        self._in(record, RUNNING)
        plan, step = self.plan.steps[record.step], self.steps[record.step]
        require(not step.ended, "started after its end", record)
        require(self._ready(record.step), "started before its needs", record)
        require(record.item >= 0 or not plan.foreach, "a foreach without an item", record)
        require(record.item < 0 or 0 <= record.item < step.total, "no such item", record)
        item = step.items.setdefault(record.item, Item(step.first))
        require(not item.out and not item.done, "out or done already", record)
        require(record.attempt == item.attempt + 1, "attempt", record.attempt, "after", item.attempt)
        self._check_wait(record, item.due_us)
        late = record.at > self.deadline_us + self._slack_us
        require(not late, "started past the budget by", record.at - self.deadline_us)
        item.attempt, item.out, item.since_us = record.attempt, True, record.at
        item.tries += 1
        step.highest = max(step.highest, record.attempt)
        require(len(step.out) <= (plan.max_parallel if plan.foreach else 1), "too many at once", record)

    def _check_wait(self, record: Record, due_us: int) -> None:
        """A try comes when it may, and one that nothing else holds up not much later."""
        require(record.at >= due_us, "tried again too early by", due_us - record.at)
        due_us = max(due_us, self.running_us) if due_us and record.item < 0 else record.at
        late = record.at > due_us + self._slack_us
        require(not late or not self._up(due_us), "tried again too late by", record.at - due_us)

    def _ready(self, index: int) -> bool:
        return all(self.steps[needed].ended for needed in self.plan.steps[index].needs)

    def _up(self, since_us: int) -> bool:
        return bool(self._was_up(since_us, self.at))

    def _step_succeeded(self, record: Record) -> None:
        self._in(record, RUNNING, PAUSING)
        step = self.steps[record.step]
        if record.attempt == 0:
            require(step.total >= 0 and not step.ended, "no foreach that runs", record)
            require(sum(item.done for item in step.items.values()) == step.total, "items are missing", record)
            step.ended = "SUCCEEDED"
            return
        step, item = self._call_of(record)
        key = record.step, record.item, record.attempt
        require(key not in self.results, "recorded twice", record)
        require(record.output is not None, "no output", record)
        assert record.output is not None
        self.results[key] = record.output.data or b"large"
        item.out, item.done = False, True
        if record.item < 0:
            step.ended = "SUCCEEDED"

    def _step_failed(self, record: Record) -> None:
        self._in(record, RUNNING, PAUSING)
        step = self.steps[record.step]
        require(not step.ended and record.fault is not None, "failed after its end", record)
        if record.item >= 0:
            _, item = self._call_of(record)
            item.out = False
            return
        if record.attempt and step.items.get(-1):
            require(step.items[-1].attempt == record.attempt, "another attempt failed", record)
        step.ended = "FAILED"
        for item in step.items.values():
            item.out = False
        self._failed |= not self.plan.steps[record.step].optional

    def _retry(self, record: Record) -> None:
        self._in(record, RUNNING, PAUSING)
        plan, (_, item) = self.plan.steps[record.step], self._call_of(record)
        fault = record.fault
        assert fault is not None
        require(fault.code in MAYBE, "tried again after", fault)
        require(fault.code != 4 or plan.idempotent, "not safe to try again", record)
        if record.outcome == Outcome.UNREACHABLE:
            item.tries -= 1
        else:
            require(item.tries < plan.retry.max_attempts, "tried too often", record)
        item.out, item.due_us = False, (self.paused_us or record.at) + record.delay_us
        require(self.paused_us or item.due_us < self.deadline_us, "the next try is past the budget", record)

    def _skipped(self, record: Record) -> None:
        self._in(record, RUNNING)
        step = self.steps[record.step]
        require(self.plan.steps[record.step].resolves and not step.ended and not step.items, "skipped", record)
        require(self._ready(record.step), "skipped before its needs", record)
        step.ended = "SKIPPED"

    def _expanded(self, record: Record) -> None:
        self._in(record, RUNNING)
        step = self.steps[record.step]
        require(self.plan.steps[record.step].foreach and step.total < 0 and not step.ended, "expanded", record)
        require(self._ready(record.step), "expanded before its needs", record)
        step.total = record.items_total

    def _step_cancelled(self, record: Record) -> None:
        self._in(record, RUNNING, PAUSING, PAUSED, CANCELLING)
        step = self.steps[record.step]
        require(not step.ended, "cancelled after its end", record)
        if record.item >= 0:
            require((record.step, record.item, record.attempt) in self.receipts, "no receipt", record)
            step.items[record.item].out = False
            return
        step.ended = "CANCELLED"
        for item in step.items.values():
            item.out = False

    def _applied(self, record: Record) -> None:
        action = Action(record.action)
        require(self.state in LEGAL[action], action.name, "was applied in", self.state.name)
        self.applied.append(record.request_id)
        self.state = AFTER.get(action, self.state)
        require(record.session_state is self.state, "state of", record, "is not", self.state.name)
        accepted_us = record.at - record.elapsed_us
        if action is Action.PAUSE:
            self.paused_us, self.left_us = accepted_us, max(0, self.deadline_us - accepted_us)
        elif action is Action.RESUME:
            self._resume(record.at)
        elif action is Action.CANCEL:
            self.cancelled_us = record.at
        else:
            self._terminate = True

    def _resume(self, at: int) -> None:
        stood_us, self.paused_us = at - self.paused_us, 0
        self.deadline_us, self.running_us = at + self.left_us, at
        for step in self.steps:
            for item in step.items.values():
                item.due_us += stood_us if item.due_us else 0

    def _refused(self, record: Record) -> None:
        require(self.state not in LEGAL[Action(record.action)], "refused in", self.state.name, record)
        require(record.session_state is self.state, record)
        self.refused.append(record.request_id)

    def _changed(self, record: Record) -> None:
        require(self.state is PAUSING and record.session_state is PAUSED, record)
        require(not self._out(), "PAUSED with calls out", record)
        self.state = PAUSED

    def _out(self) -> list[tuple[int, int]]:
        return [(index, item) for index, step in enumerate(self.steps) for item in step.out]

    def _recovered(self, record: Record) -> None:
        self._in(record, RUNNING, PAUSING, PAUSED, CANCELLING)

    def _receipt(self, record: Record) -> None:
        self._in(record, CANCELLING)
        self._call_of(record)
        key = record.step, record.item, record.attempt
        require(key not in self.receipts, "a second receipt", record)
        self.receipts.add(key)
        require(record.elapsed_us == record.at - self.cancelled_us, "elapsed", record)
        if record.outcome == Outcome.IGNORED:
            require(record.elapsed_us >= GRACE_US, "IGNORED within the grace", record)
        late = record.elapsed_us > GRACE_US + self._slack_us
        require(not late or not self._up(self.cancelled_us), "a receipt after the grace", record)

    def _ended(self, record: Record) -> None:
        end = record.session_state
        require(end in ENDS, record)
        require(self.attempt not in self.ends, "a second end")
        _ENDS[end](self, record)
        self.ends[self.attempt] = end
        self.state = end
        for step in self.steps:
            for item in step.items.values():
                item.out = False

    def _succeeds(self, record: Record) -> None:
        require(self.state is RUNNING and not self._failed, "SUCCEEDED in", self.state)
        require(all(step.ended for step in self.steps), "SUCCEEDED with steps left")

    def _fails(self, record: Record) -> None:
        concluded = all(step.ended for step in self.steps) and self.state is RUNNING
        require(self._failed or concluded, "FAILED, and no step has")
        require(record.fault is not None, "no fault", record)

    def _is_cancelled(self, record: Record) -> None:
        require(self.state is CANCELLING, "CANCELLED in", self.state)
        require(not self._out(), "CANCELLED with calls out")

    def _is_terminated(self, record: Record) -> None:
        require(self._terminate, "TERMINATED by nobody")

    def _times_out(self, record: Record) -> None:
        require(self.state is RUNNING and not self.paused_us, "TIMED_OUT in", self.state)
        require(record.at >= self.deadline_us, "TIMED_OUT early by", self.deadline_us - record.at)
        due_us = max(self.deadline_us, self.running_us)
        late = record.at > due_us + self._slack_us
        require(not late or not self._up(due_us), "TIMED_OUT late by", record.at - due_us)


def check_resolution(history: History, index: int, found: Resolution | None) -> None:
    """A step came to what its condition and its items said."""
    step = history.steps[index]
    require(step.total < 0 or (found is not None and step.total == found.items_total), "another number of items")


_ENDS = {
    SUCCEEDED: History._succeeds,
    FAILED: History._fails,
    CANCELLED: History._is_cancelled,
    TERMINATED: History._is_terminated,
    TIMED_OUT: History._times_out,
}
_RULES = {
    Kind.SESSION_STARTED: History._started,
    Kind.STEP_STARTED: History._step_started,
    Kind.STEP_SUCCEEDED: History._step_succeeded,
    Kind.STEP_FAILED: History._step_failed,
    Kind.STEP_RETRY_SCHEDULED: History._retry,
    Kind.STEP_SKIPPED: History._skipped,
    Kind.STEP_EXPANDED: History._expanded,
    Kind.STEP_CANCELLED: History._step_cancelled,
    Kind.COMMAND_APPLIED: History._applied,
    Kind.COMMAND_REFUSED: History._refused,
    Kind.SESSION_STATE_CHANGED: History._changed,
    Kind.SESSION_RECOVERED: History._recovered,
    Kind.CALL_RECEIPT: History._receipt,
    Kind.SESSION_ENDED: History._ended,
}
