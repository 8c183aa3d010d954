"""Batches as bytes come back as they were, with the counts of each moment."""

from __future__ import annotations

from dataclasses import replace

from coordinator.error.v1.error_pb2 import ErrorReason
from hypothesis import given
from hypothesis import strategies as st

from processing_service.engine.batches.journal import decode_chunk, decode_standing, encode_chunk, encode_standing
from processing_service.engine.batches.records import (
    BatchKind,
    BatchRecord,
    BatchState,
    Counts,
    PausedReason,
    Standing,
    Verdict,
)
from processing_service.engine.batches.rules import FailureLimit, breaker_open, too_many_failed
from processing_service.engine.faults import failure_of
from processing_service.engine.reasons import Code
from processing_service.engine.records import Fault, SessionState

NUMBERS = st.integers(0, 1 << 50)
AWAY = Fault(Code.UNAVAILABLE, ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE, "away")
FAULTS = st.sampled_from([None, AWAY, breaker_open(10, AWAY), too_many_failed(3, 10, FailureLimit(cells=2))])
STANDINGS = st.builds(
    Standing,
    st.sampled_from(BatchState),
    st.sampled_from(PausedReason),
    st.integers(1, 10),
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.builds(Verdict, st.booleans(), st.booleans(), st.integers(0, 10_000), NUMBERS),
    FAULTS,
)
RECORDS = st.builds(
    BatchRecord,
    NUMBERS,
    st.sampled_from(BatchKind),
    st.sampled_from(BatchState),
    st.integers(-1, 999_999),
    st.sampled_from([0, *(state for state in SessionState if state.terminal)]),
    st.integers(0, 9),
    st.text(max_size=9),
    st.text(max_size=9),
    st.text(max_size=9),
)
ENDS = st.lists(st.sampled_from([state for state in SessionState if state.terminal]), max_size=30)


@given(STANDINGS)
def test_a_standing_comes_back(standing: Standing) -> None:
    """Its fault says what it said."""
    stored = decode_standing(encode_standing(standing))

    assert replace(stored, fault=None) == replace(standing, fault=None)
    assert (stored.fault is None) == (standing.fault is None)
    if stored.fault is not None and standing.fault is not None:
        assert failure_of(stored.fault) == failure_of(standing.fault)


@given(st.lists(RECORDS, max_size=9), st.integers(1, 1000))
def test_a_chunk_comes_back_numbered(records: list[BatchRecord], first: int) -> None:
    """Cell 0 is told from no cell."""
    entries = decode_chunk(encode_chunk(records, {}), first)

    assert [entry.record for entry in entries] == records
    assert [entry.sequence for entry in entries] == list(range(first, first + len(records)))


@given(ENDS, st.dictionaries(st.sampled_from([6, 7, 8, 9, 10, 2, 4]), st.integers(1, 40)), st.booleans())
def test_counts_add_up_after_every_record(ends: list[SessionState], others: dict[int, int], again: bool) -> None:
    """Of the cells that end in one transaction; also if some of them run again by its end."""
    after = dict(others)
    for state in ends:
        after[state] = after.get(state, 0) + 1
    if again and ends:
        after[ends[0]] -= 1
        after[2] = after.get(2, 0) + 1
    total = sum(after.values()) + 7
    records = [BatchRecord(1, BatchKind.CELL_ENDED, BatchState.RUNNING, cell, end) for cell, end in enumerate(ends)]
    entries = decode_chunk(encode_chunk(records, after), 1)

    for entry in entries:
        counts = Counts(total, total, entry.begun, over=False)
        assert min(entry.begun.values(), default=0) >= 0
        assert sum(entry.begun.values()) == total - 7
        assert counts.pending == 7
    if entries:
        assert {state: count for state, count in entries[-1].begun.items() if count} == {
            state: count for state, count in after.items() if count
        }
