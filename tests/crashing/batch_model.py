"""The semantics of a batch, written down a second time: reads a history and says what should not stand there.

As `model.py` it shares nothing with the engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from coordinator.processing.v1 import processing_pb2 as pb

_S = pb.BatchState
_CREATED, _RUNNING, _CANCELLING = pb.BATCH_STATE_CREATED, pb.BATCH_STATE_RUNNING, pb.BATCH_STATE_CANCELLING
_PAUSING, _PAUSED = pb.BATCH_STATE_PAUSING, pb.BATCH_STATE_PAUSED
_SUCCEEDED, _PARTLY = pb.BATCH_STATE_SUCCEEDED, pb.BATCH_STATE_PARTIALLY_SUCCEEDED
_FAILED, _CANCELLED = pb.BATCH_STATE_FAILED, pb.BATCH_STATE_CANCELLED
ENDED: Final = (_SUCCEEDED, _PARTLY, _FAILED, _CANCELLED)
_LEADS_TO: Final = {
    _CREATED: (_RUNNING, _CANCELLED),
    _RUNNING: (_PAUSING, _CANCELLING, _SUCCEEDED, _PARTLY, _FAILED),
    _PAUSING: (_PAUSED, _RUNNING, _CANCELLING, _FAILED),
    _PAUSED: (_RUNNING, _CANCELLING, _FAILED),
    _CANCELLING: (_CANCELLED,),
    _SUCCEEDED: (),
    _PARTLY: (_RUNNING,),
    _FAILED: (_RUNNING,),
    _CANCELLED: (_RUNNING,),
}
End = tuple[str, str, int]
"""Item, workflow, attempt of a cell."""


class BatchModel:
    """One batch; `read` its events, then ask `faults`."""

    def __init__(self, batch_id: str, total: int) -> None:
        self._batch_id, self._total = batch_id, total
        self.state: _S.ValueType = _CREATED
        self.requests: list[str] = []
        """request_id of its creation and of the commands, in order."""
        self.ends: dict[End, pb.SessionState.ValueType] = {}
        """How the attempts of its cells ended."""
        self.pauses: list[tuple[int, int]] = []
        """From when to when it stood still, in microseconds."""
        self.verdict_us = 0
        """When its canary was first judged, or given up; 0 = never."""
        self.retried = False
        self._paused_us = self._sequence = 0
        self._by_state: Counter[int] = Counter()
        self.faults: list[str] = []

    def read(self, event: pb.BatchEvent) -> None:
        """The next event."""
        if event.sequence != self._sequence + 1:
            self._fault("G5", f"event {event.sequence} behind {self._sequence}")
        self._sequence = event.sequence
        if event.request_id:
            self.requests.append(event.request_id)
        _BY_KIND[event.kind](self, event)
        to = _PAUSING if event.kind == pb.BATCH_EVENT_KIND_CANARY_FAILED else self.state  # the pause is the next event
        if event.batch_state != to:
            self._fault("G2", f"event {event.sequence} says {_name(event.batch_state)}, it is {_name(to)}")
        if self.state != _CREATED:
            self._check_counts(event)

    def _fault(self, promise: str, text: str) -> None:
        self.faults.append(f"{promise}: history of {self._batch_id}: {text}")

    def _check_counts(self, event: pb.BatchEvent) -> None:
        counts = event.counts
        parts = counts_of(counts)
        if sum(parts.values()) + counts.pending + counts.running != counts.total or counts.total != self._total:
            self._fault("G4", f"counts of event {event.sequence} do not add up to {self._total}: {counts}")
        if min((*parts.values(), counts.pending, counts.running)) < 0:
            self._fault("G4", f"counts of event {event.sequence} are negative: {counts}")
        if counts.succeeded != self._by_state[pb.SESSION_STATE_SUCCEEDED]:
            self._fault("G4", f"event {event.sequence} counts {counts.succeeded} successes, told were {self._by_state}")
        if not self.retried and counts.failed != self._by_state[pb.SESSION_STATE_FAILED]:
            self._fault("G4", f"event {event.sequence} counts {counts.failed} failures, told were {self._by_state}")

    def _created(self, event: pb.BatchEvent) -> None:
        if event.sequence != 1:
            self._fault("G5", f"it was created by event {event.sequence}")

    def _moved(self, event: pb.BatchEvent) -> None:
        to, at_us = event.batch_state, event.occurred_at.ToMicroseconds()
        if to not in _LEADS_TO[self.state]:
            self._fault("G2", f"event {event.sequence} takes it from {_name(self.state)} to {_name(to)}")
        self.retried = self.retried or self.state in ENDED or (self.state == _PAUSED and "-go-on-" in event.request_id)
        self.retried = self.retried or "-verdict-" in event.request_id
        if to == _PAUSED:
            self._paused_us = at_us
        elif self.state == _PAUSED:
            self.pauses.append((self._paused_us, at_us))
        self.state = to

    def _cell_ended(self, event: pb.BatchEvent) -> None:
        end = (event.cell.item_id, event.cell.workflow_id, event.cell.attempt)
        if end in self.ends:
            self._fault("G2", f"event {event.sequence}: {end} ends twice")
        if self.state in (_CREATED, *ENDED):
            self._fault("G2", f"event {event.sequence}: {end} ends when it is {_name(self.state)}")
        self.ends[end] = event.cell.state
        self._by_state[event.cell.state] += 1

    def _judged(self, event: pb.BatchEvent) -> None:
        self.verdict_us = self.verdict_us or event.occurred_at.ToMicroseconds()

    def _noted(self, event: pb.BatchEvent) -> None:
        """Nothing but its number."""

    def _ended(self, event: pb.BatchEvent) -> None:
        if event.batch_state not in ENDED:
            self._fault("G2", f"event {event.sequence} ends it as {_name(event.batch_state)}")
        self._moved(event)


_BY_KIND: Final[dict[int, Callable[[BatchModel, pb.BatchEvent], None]]] = {
    pb.BATCH_EVENT_KIND_BATCH_CREATED: BatchModel._created,
    pb.BATCH_EVENT_KIND_BATCH_STATE_CHANGED: BatchModel._moved,
    pb.BATCH_EVENT_KIND_CELL_ENDED: BatchModel._cell_ended,
    pb.BATCH_EVENT_KIND_CANARY_PASSED: BatchModel._judged,
    pb.BATCH_EVENT_KIND_CANARY_FAILED: BatchModel._judged,
    pb.BATCH_EVENT_KIND_PRIORITY_CHANGED: BatchModel._noted,
    pb.BATCH_EVENT_KIND_BATCH_ENDED: BatchModel._ended,
}


def counts_of(counts: pb.BatchCounts) -> dict[pb.SessionState.ValueType, int]:
    """Cells that have ended, by state."""
    return {
        pb.SESSION_STATE_SUCCEEDED: counts.succeeded,
        pb.SESSION_STATE_FAILED: counts.failed,
        pb.SESSION_STATE_CANCELLED: counts.cancelled,
        pb.SESSION_STATE_TERMINATED: counts.terminated,
        pb.SESSION_STATE_TIMED_OUT: counts.timed_out,
    }


def _name(state: int) -> str:
    return _S.Name(state).removeprefix("BATCH_STATE_")
