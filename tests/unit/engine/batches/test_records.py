"""Counts of cells add up to their number, whatever they are in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processing_service.engine.batches.records import BatchState, Counts
from processing_service.engine.records import SessionState

BEGUN = st.dictionaries(st.sampled_from(list(SessionState)), st.integers(0, 50))


@given(BEGUN, st.integers(0, 50), st.booleans())
def test_counts_add_up(begun: dict[SessionState, int], unbegun: int, over: bool) -> None:
    """Pending, running, succeeded, cancelled and the other ends."""
    total = sum(begun.values()) + unbegun
    counts = Counts(total, total, begun, over)
    ends = (SessionState.SUCCEEDED, SessionState.FAILED, SessionState.TERMINATED, SessionState.TIMED_OUT)

    assert counts.pending + counts.running + counts.cancelled + sum(counts.of(state) for state in ends) == total
    assert counts.unbegun == unbegun


def test_a_session_that_has_not_started_is_pending() -> None:
    """As its cell is in lists."""
    counts = Counts(5, 5, {SessionState.PENDING: 2, SessionState.PAUSED: 1}, over=False)

    assert (counts.pending, counts.running) == (4, 1)


def test_what_never_began_is_cancelled_once_a_batch_is_over() -> None:
    assert [state for state in BatchState if state.terminal] == list(BatchState)[5:]
    assert (Counts(3, 3, {}, over=True).cancelled, Counts(3, 3, {}, over=True).pending) == (3, 0)
