"""The semantics of a session, written down a second time: reads a history and says what should not stand there.

It shares nothing with the engine: states, commands, steps and attempts as the contract describes them, one event after
the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from coordinator.processing.v1 import processing_pb2 as pb

from tests.crashing.workflows import Shape

_S = pb.SessionState
_PENDING, _RUNNING, _PAUSING = pb.SESSION_STATE_PENDING, pb.SESSION_STATE_RUNNING, pb.SESSION_STATE_PAUSING
_PAUSED, _CANCELLING = pb.SESSION_STATE_PAUSED, pb.SESSION_STATE_CANCELLING
_LIVE: Final = (_PENDING, _RUNNING, _PAUSING, _PAUSED, _CANCELLING)
_STOPPED: Final = (
    pb.SESSION_STATE_FAILED,
    pb.SESSION_STATE_CANCELLED,
    pb.SESSION_STATE_TERMINATED,
    pb.SESSION_STATE_TIMED_OUT,
)
_COMMANDS: Final = {
    pb.CONTROL_ACTION_PAUSE: ((_PENDING, _RUNNING), _PAUSING),
    pb.CONTROL_ACTION_RESUME: ((_PAUSING, _PAUSED), _RUNNING),
    pb.CONTROL_ACTION_CANCEL: ((_PENDING, _RUNNING, _PAUSING, _PAUSED), _CANCELLING),
    pb.CONTROL_ACTION_TERMINATE: (_LIVE, None),
    pb.CONTROL_ACTION_RETRY: (_STOPPED, _RUNNING),
}
"""In which states a command is legal, and what it leads to."""
Call = tuple[str, int]
"""Step and item, -1 without one."""


class Model:
    """One session; `read` its events, then ask `faults`."""

    def __init__(self, session_id: str, shape: Shape) -> None:
        self._session_id, self._shape = session_id, shape
        self.state: _S.ValueType = _PENDING
        self.attempt = 1
        self.ends: list[_S.ValueType] = []
        """How its attempts ended."""
        self.applied: list[str] = []
        """request_id of the commands that were applied; a session above gives its own without one."""
        self.refused: list[str] = []
        """request_id of those that came too late."""
        self.recoveries = 0
        self.succeeded: list[str] = []
        """Step keys of the calls whose result is recorded."""
        self._sequence = 0
        self._done: set[str] = set()
        self._out: set[tuple[str, int, int]] = set()
        self._last: defaultdict[Call, int] = defaultdict(int)
        self._expanded: dict[str, int] = {}
        self._results: set[Call] = set()
        self._terminating = False
        self.faults: list[str] = []

    def read(self, event: pb.SessionEvent) -> None:
        """The next event."""
        if event.sequence != self._sequence + 1:
            self._fault("G5", f"event {event.sequence} behind {self._sequence}")
        self._sequence = event.sequence
        _BY_KIND[event.kind](self, event)
        if event.session_state != self.state:
            self._fault("G2", f"event {event.sequence} says {_name(event.session_state)}, it is {_name(self.state)}")
            self.state = event.session_state
        if event.session_attempt != self.attempt:
            self._fault("G2", f"event {event.sequence} is of attempt {event.session_attempt}, not {self.attempt}")

    def _fault(self, promise: str, text: str) -> None:
        self.faults.append(f"{promise}: history of {self._session_id}: {text}")

    def _need(self, promise: str, holds: bool, event: pb.SessionEvent) -> None:
        if not holds:
            kind = pb.EventKind.Name(event.kind).removeprefix("EVENT_KIND_")
            self._fault(promise, f"event {event.sequence}, {kind} {event.step_id}, when it is {_name(self.state)}")

    def _started(self, event: pb.SessionEvent) -> None:
        self._need("G2", self.state == _PENDING, event)
        self.state = _RUNNING

    def _step_started(self, event: pb.SessionEvent) -> None:
        call, needs = (event.step_id, _item(event)), self._shape.needs[event.step_id]
        self._need("G2", self.state == _RUNNING and self._done.issuperset(needs), event)
        self._need("G3", call not in self._results and event.attempt > self._last[call], event)
        self._need("G3", not any(out[:2] == call for out in self._out), event)
        self._last[call] = event.attempt
        self._out.add((*call, event.attempt))
        beside = sum(step == event.step_id for step, _, _ in self._out)
        self._need("G2", beside <= (2 if event.step_id == self._shape.foreach else 1), event)

    def _step_succeeded(self, event: pb.SessionEvent) -> None:
        step_id, item = event.step_id, _item(event)
        if step_id == self._shape.foreach and item < 0:  # the step as a whole
            done = sum(step == step_id for step, _ in self._results)
            self._need("G3", done == self._expanded.get(step_id), event)
            self._done.add(step_id)
            return
        self._need("G3", self._comes_back(event), event)
        self._results.add((step_id, item))
        place = f"[{item}]" if item >= 0 else ""
        self.succeeded.append(f"{self._session_id}/{step_id}{place}#{event.attempt}")
        if item < 0:
            self._done.add(step_id)

    def _comes_back(self, event: pb.SessionEvent) -> bool:
        """True if that call is out, and its session has not ended."""
        call = (event.step_id, _item(event), event.attempt)
        was_out = call in self._out
        self._out.discard(call)
        return was_out and self.state in _LIVE

    def _step_tried(self, event: pb.SessionEvent) -> None:
        self._need("G3", self._comes_back(event), event)

    def _step_failed(self, event: pb.SessionEvent) -> None:
        self._need("G3", not event.attempt or self._comes_back(event), event)
        self._out = {out for out in self._out if out[0] != event.step_id}

    def _step_skipped(self, event: pb.SessionEvent) -> None:
        needs = self._shape.needs[event.step_id]
        self._need("G2", self.state == _RUNNING and self._done.issuperset(needs), event)
        self._done.add(event.step_id)

    def _step_cancelled(self, event: pb.SessionEvent) -> None:
        self._need("G2", self.state in _LIVE, event)
        item = _item(event)
        self._out = {out for out in self._out if out[0] != event.step_id or item not in (-1, out[1])}

    def _step_expanded(self, event: pb.SessionEvent) -> None:
        self._need("G2", self.state == _RUNNING and event.step_id not in self._expanded, event)
        self._expanded[event.step_id] = event.items_total

    def _command(self, event: pb.SessionEvent) -> None:
        legal, to = _COMMANDS[event.control_action]
        self._need("G6", self.state in legal and event.request_id not in self.applied, event)
        if event.request_id:
            self.applied.append(event.request_id)
        self._terminating = event.control_action == pb.CONTROL_ACTION_TERMINATE
        if event.control_action == pb.CONTROL_ACTION_RETRY:
            self.attempt += 1
            self._expanded = {step: total for step, total in self._expanded.items() if step in self._done}
            self._results = {call for call in self._results if call[0] in self._done}
        self.state = self.state if to is None else to

    def _refused(self, event: pb.SessionEvent) -> None:
        self._need("G6", self.state not in _COMMANDS[event.control_action][0], event)
        if event.request_id:
            self.refused.append(event.request_id)

    def _changed(self, event: pb.SessionEvent) -> None:
        self._need("G2", self.state == _PAUSING and not self._out, event)
        self.state = _PAUSED

    def _recovered(self, event: pb.SessionEvent) -> None:
        self._need("G2", self.state in _LIVE, event)
        self.recoveries += 1

    def _receipt(self, event: pb.SessionEvent) -> None:
        self._need("G2", self.state == _CANCELLING, event)

    def _ended(self, event: pb.SessionEvent) -> None:
        to = event.session_state
        self._need("G2", self.state in _LIVE and not self._out, event)
        if to == pb.SESSION_STATE_SUCCEEDED:
            self._need("G2", self.state == _RUNNING and self._done == set(self._shape.needs), event)
        if to == pb.SESSION_STATE_CANCELLED:
            self._need("G2", self.state == _CANCELLING, event)
        if to == pb.SESSION_STATE_TERMINATED:
            self._need("G2", self._terminating, event)
        self.state = to
        self.ends.append(to)


_BY_KIND: Final[dict[int, Callable[[Model, pb.SessionEvent], None]]] = {
    pb.EVENT_KIND_SESSION_STARTED: Model._started,
    pb.EVENT_KIND_STEP_STARTED: Model._step_started,
    pb.EVENT_KIND_STEP_SUCCEEDED: Model._step_succeeded,
    pb.EVENT_KIND_STEP_FAILED: Model._step_failed,
    pb.EVENT_KIND_STEP_RETRY_SCHEDULED: Model._step_tried,
    pb.EVENT_KIND_STEP_SKIPPED: Model._step_skipped,
    pb.EVENT_KIND_STEP_CANCELLED: Model._step_cancelled,
    pb.EVENT_KIND_STEP_EXPANDED: Model._step_expanded,
    pb.EVENT_KIND_COMMAND_APPLIED: Model._command,
    pb.EVENT_KIND_COMMAND_REFUSED: Model._refused,
    pb.EVENT_KIND_SESSION_STATE_CHANGED: Model._changed,
    pb.EVENT_KIND_SESSION_RECOVERED: Model._recovered,
    pb.EVENT_KIND_CALL_RECEIPT: Model._receipt,
    pb.EVENT_KIND_SESSION_ENDED: Model._ended,
}


def _item(event: pb.SessionEvent) -> int:
    return event.item_index if event.HasField("item_index") else -1


def _name(state: int) -> str:
    return _S.Name(state).removeprefix("SESSION_STATE_")


def texts_of(session: pb.Session) -> Iterator[str]:
    """The greetings among the outputs of a session."""
    value = session.outputs.fields["text"]
    if value.HasField("list_value"):
        yield from (each.string_value for each in value.list_value.values)
    else:
        yield value.string_value
