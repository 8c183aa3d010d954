"""What may be asked of a batch, how many cells may fail, how a batch ends."""

from __future__ import annotations

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.batches.records import (
    BatchAction,
    BatchState,
    Canary,
    Counts,
    Standing,
    Verdict,
)
from processing_service.engine.batches.rules import (
    LEGAL,
    FailureLimit,
    breaker_open,
    canary_failed,
    check_action,
    check_created,
    check_over,
    check_still,
    judge,
    outcome,
    too_many_failed,
)
from processing_service.engine.reasons import Code
from processing_service.engine.records import Fault, SessionState
from processing_service.wire.errors import CoordinatorError

TABLE = {
    BatchState.CREATED: {BatchAction.CANCEL, BatchAction.REPRIORITIZE},
    BatchState.RUNNING: {BatchAction.PAUSE, BatchAction.CANCEL, BatchAction.REPRIORITIZE},
    BatchState.PAUSING: {BatchAction.RESUME, BatchAction.CANCEL, BatchAction.REPRIORITIZE},
    BatchState.PAUSED: {BatchAction.RESUME, BatchAction.CANCEL, BatchAction.RETRY_FAILED, BatchAction.REPRIORITIZE},
    BatchState.CANCELLING: {BatchAction.REPRIORITIZE},
    BatchState.SUCCEEDED: set(),
    BatchState.PARTIALLY_SUCCEEDED: {BatchAction.RETRY_FAILED},
    BatchState.FAILED: {BatchAction.RETRY_FAILED},
    BatchState.CANCELLED: {BatchAction.RETRY_FAILED},
}


@pytest.mark.parametrize("state", BatchState)
@pytest.mark.parametrize("action", BatchAction)
def test_every_action_in_every_state(state: BatchState, action: BatchAction) -> None:
    """It is legal, or the refusal names the state and what would be."""
    if action in TABLE[state]:
        check_action("b", state, action)
        return
    with pytest.raises(CoordinatorError) as caught:
        check_action("b", state, action)
    legal = [other.name for other in LEGAL if other in TABLE[state]] + ["EXECUTE"] * (state is BatchState.CREATED)
    assert caught.value.metadata == {
        "batch_id": "b",
        "state": state.name,
        "legal_actions": ", ".join(legal) or "nothing",
    }


@pytest.mark.parametrize("state", BatchState)
def test_only_a_created_batch_is_filled_and_only_one_that_does_not_run_removed(state: BatchState) -> None:
    for check, legal in (
        (lambda: check_created("b", state, "EXECUTE"), state is BatchState.CREATED),
        (lambda: check_over("b", state), state.terminal or state is BatchState.CREATED),
    ):
        if legal:
            check()
        else:
            with pytest.raises(CoordinatorError, match=state.name):
                check()


def test_a_batch_with_live_cells_is_not_removed() -> None:
    check_still("b", 0)
    with pytest.raises(CoordinatorError, match="3 cells of batch 'b' run"):
        check_still("b", 3)


@pytest.mark.parametrize(
    ("limit", "most"),
    [(FailureLimit(), 10), (FailureLimit(cells=0), 0), (FailureLimit(cells=3), 3), (FailureLimit(ratio=0.0), 0)]
    + [(FailureLimit(ratio=ratio), round(ratio * 10)) for ratio in (0.1, 0.5, 1.0)],
)
def test_a_limit_is_passed_by_one_more(limit: FailureLimit, most: int) -> None:
    """As a count, or as a share of all cells."""
    assert [limit.exceeded(failed, 10) for failed in range(11)] == [failed > most for failed in range(11)]


FAULT = Fault(Code.ABORTED, ErrorReason.ERROR_REASON_INTERNAL, "why")


@pytest.mark.parametrize(
    ("standing", "begun", "end"),
    [
        (Standing(BatchState.RUNNING), {SessionState.SUCCEEDED: 3}, BatchState.SUCCEEDED),
        (Standing(BatchState.RUNNING), {SessionState.SUCCEEDED: 1, SessionState.TIMED_OUT: 2}, "PARTIALLY_SUCCEEDED"),
        (Standing(BatchState.RUNNING), {SessionState.CANCELLED: 3}, BatchState.FAILED),
        (Standing(BatchState.RUNNING, fault=FAULT), {SessionState.SUCCEEDED: 2}, BatchState.FAILED),
        (Standing(BatchState.CANCELLING), {SessionState.SUCCEEDED: 3}, BatchState.CANCELLED),
        (Standing(BatchState.CANCELLING, fault=FAULT), {SessionState.FAILED: 3}, BatchState.CANCELLED),
    ],
)
def test_how_a_batch_ends(standing: Standing, begun: dict[int, int], end: BatchState | str) -> None:
    assert outcome(standing, Counts(3, 3, begun, over=False)) is (BatchState[end] if isinstance(end, str) else end)


def test_a_canary_is_judged_by_failures_and_by_time() -> None:
    """Either alone is enough; no time is any time."""
    assert judge(Canary(5, 1), 1, 10**9) == Verdict(True, True, 1, 10**9)
    assert not judge(Canary(5, 1), 2, 0).passed
    assert judge(Canary(5, 0, 1000), 0, 1000).passed
    assert not judge(Canary(5, 0, 1000), 0, 1001).passed


def test_the_evidence_says_what_was_found_and_what_may_be() -> None:
    """Facts for programs, words for people, and the next thing to do."""
    canary = Canary(5, 1, 2_000_000)
    fault = canary_failed(canary, judge(canary, 3, 2_500_000))
    assert dict(fault.facts) == {
        "failed_count": "3",
        "max_failures": "1",
        "longest_cell_seconds": "2.500000",
        "max_cell_seconds": "2",
    }
    assert "RESUME" in fault.message
    assert "RETRY_FAILED" in too_many_failed(3, 10, FailureLimit(cells=2)).message
    assert "20.0% of 10" in too_many_failed(3, 10, FailureLimit(ratio=0.2)).message
    assert breaker_open(10, FAULT).cause is FAULT
