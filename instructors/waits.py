"""Why the steps of a session wait, beside what its history says: what their calls say of themselves while they wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coordinator.processing.v1.processing_pb2 import STEP_STATE_RUNNING, StepStatus, WaitReason

from processing_service.engine.base import Wait
from processing_service.engine.live import Live
from processing_service.engine.state import State, Step


def reason_of(state: State, step: Step) -> WaitReason.ValueType:
    """Why a step waits that has no call, as far as its history says."""
    if state.paused_us:
        return WaitReason.WAIT_REASON_PAUSED
    return WaitReason.WAIT_REASON_RETRY_DELAY if step.due_us else WaitReason.WAIT_REASON_DEPENDENCY


def add_waits(statuses: Iterable[StepStatus], live: Live) -> None:
    """Adds to steps that run why their calls have not left yet: those of a foreach, if all of them wait."""
    waits: dict[int, list[Wait | None]] = {}
    for step, item, _ in live.tasks:
        said = live.progress.get((step, item))
        wait = said.wait if said is not None else None
        waits.setdefault(step, []).append(wait if wait is not None and wait.reason() else None)
    for index, status in enumerate(statuses):
        if status.state == STEP_STATE_RUNNING and (found := _common(waits.get(index, ()))) is not None:
            status.wait_reason = found.reason()  # type: ignore[assignment]  # the numbers are the contract's
            status.waiting_since.FromMicroseconds(found.since_us)
            status.queue_position = found.position()


def _common(waits: Sequence[Wait | None]) -> Wait | None:
    """The wait of the call that waits longest; None if one does not wait."""
    known = [wait for wait in waits if wait is not None]
    return min(known, key=lambda wait: wait.since_us) if known and len(known) == len(waits) else None
