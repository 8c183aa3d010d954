"""What may be asked of a batch, and how one ends."""

from __future__ import annotations

from typing import Final, NamedTuple

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.batches.records import BatchAction, BatchState, Canary, Counts, Standing, Verdict
from processing_service.engine.records import Fault, SessionState
from processing_service.wire.errors import Code, CoordinatorError

_ENDED: Final = frozenset(state for state in BatchState if state.terminal)
LEGAL: Final[dict[BatchAction, frozenset[BatchState]]] = {
    BatchAction.PAUSE: frozenset({BatchState.RUNNING}),
    BatchAction.RESUME: frozenset({BatchState.PAUSING, BatchState.PAUSED}),
    BatchAction.CANCEL: frozenset(BatchState) - _ENDED - {BatchState.CANCELLING},
    BatchAction.RETRY_FAILED: _ENDED - {BatchState.SUCCEEDED} | {BatchState.PAUSED},
    BatchAction.REPRIORITIZE: frozenset(BatchState) - _ENDED,
}
"""In which states a client may ask for what."""


class FailureLimit(NamedTuple):
    """How many cells may fail."""

    cells: int = -1
    """-1 = any number."""
    ratio: float = -1.0
    """Share of all cells; -1 = any."""

    def exceeded(self, failed: int, total: int) -> bool:
        """True if so many failed cells fail the batch."""
        return (0 <= self.cells < failed) or (self.ratio >= 0.0 and failed > self.ratio * total)


def check_action(batch_id: str, state: BatchState, action: BatchAction) -> None:
    """Raises CoordinatorError BATCH_STATE_ILLEGAL that names the state and what would be legal in it."""
    if state not in LEGAL[action]:
        raise illegal(batch_id, state, action.name)


def check_created(batch_id: str, state: BatchState, wish: str) -> None:
    """Raises CoordinatorError BATCH_STATE_ILLEGAL for a batch that has been started."""
    if state is not BatchState.CREATED:
        raise illegal(batch_id, state, wish)


def illegal(batch_id: str, state: BatchState, wish: str) -> CoordinatorError:
    """FAILED_PRECONDITION: BATCH_STATE_ILLEGAL."""
    legal = ", ".join(action.name for action, states in LEGAL.items() if state in states)
    if state is BatchState.CREATED:
        legal += ", EXECUTE"
    return CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_BATCH_STATE_ILLEGAL,
        f"batch {batch_id!r} is {state.name}: {wish} is not possible, {legal or 'nothing'} would be",
        metadata={"batch_id": batch_id, "state": state.name, "legal_actions": legal or "nothing"},
    )


def outcome(standing: Standing, counts: Counts) -> BatchState:
    """How a batch ends whose cells have all ended, or never will begin."""
    if standing.state is BatchState.CANCELLING:
        return BatchState.CANCELLED
    if standing.fault is not None or counts.of(SessionState.SUCCEEDED) == 0:
        return BatchState.FAILED
    return BatchState.PARTIALLY_SUCCEEDED if counts.unsuccessful else BatchState.SUCCEEDED


def too_many_failed(failed: int, total: int, limit: FailureLimit) -> Fault:
    """Why a batch fails: more cells failed than may."""
    allowed = f"{limit.cells}" if limit.cells >= 0 else f"{limit.ratio:.1%} of {total}"
    text = f"{failed} of {total} cells failed, {allowed} may; mend the cause, then RETRY_FAILED runs them and the rest"
    facts = (("failed_count", str(failed)), ("allowed", allowed))
    return Fault(Code.ABORTED, ErrorReason.ERROR_REASON_BATCH_FAILURES_EXCEEDED, text, facts=facts)


def judge(canary: Canary, failed: int, longest_us: int) -> Verdict:
    """What the canary came to, once all its cells have ended."""
    slow = 0 < canary.max_cell_us < longest_us
    return Verdict(True, failed <= canary.max_failures and not slow, failed, longest_us)


def canary_failed(canary: Canary, verdict: Verdict) -> Fault:
    """Why a batch was paused: its canary did not pass."""
    limit = f" of at most {canary.max_cell_us / 1e6:g} s" if canary.max_cell_us else ""
    text = (
        f"the canary of {canary.cell_count} cells did not pass: {verdict.failed_count} failed, {canary.max_failures} "
        f"may; the longest took {verdict.longest_us / 1e6:.3f} s{limit}; RESUME goes on all the same"
    )
    facts = (
        ("failed_count", str(verdict.failed_count)),
        ("max_failures", str(canary.max_failures)),
        ("longest_cell_seconds", f"{verdict.longest_us / 1e6:.6f}"),
        ("max_cell_seconds", f"{canary.max_cell_us / 1e6:g}"),
    )
    return Fault(Code.ABORTED, ErrorReason.ERROR_REASON_CANARY_FAILED, text, facts=facts)


def breaker_open(in_a_row: int, last: Fault) -> Fault:
    """Why a batch was paused: cell after cell failed for want of a domain."""
    text = f"{in_a_row} cells in a row failed because a domain could not be reached; see to it, then RESUME"
    facts = (("failed_in_a_row", str(in_a_row)),)
    return Fault(Code.UNAVAILABLE, ErrorReason.ERROR_REASON_BREAKER_OPEN, text, cause=last, facts=facts)


def check_over(batch_id: str, state: BatchState) -> None:
    """Raises CoordinatorError BATCH_STATE_ILLEGAL for a batch that may not be removed: it has begun and not ended."""
    if state.terminal or state is BatchState.CREATED:
        return
    raise CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_BATCH_STATE_ILLEGAL,
        f"batch {batch_id!r} is {state.name}; cancel it first (`batch cancel`, or PostBatchControl), "
        "or delete it with `--force` (`force` of the request)",
        metadata={"batch_id": batch_id, "state": state.name, "legal_actions": "force"},
    )


def check_still(batch_id: str, live: int) -> None:
    """Raises CoordinatorError BATCH_STATE_ILLEGAL for a batch of which so many cells run."""
    if live:
        raise CoordinatorError(
            Code.FAILED_PRECONDITION,
            ErrorReason.ERROR_REASON_BATCH_STATE_ILLEGAL,
            f"{live} cells of batch {batch_id!r} run; cancel their sessions first (PostSessionControl with a selector)",
            metadata={"batch_id": batch_id, "live_cells": str(live)},
        )
