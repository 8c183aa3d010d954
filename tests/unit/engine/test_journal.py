from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from processing_service.engine.journal import decode, encode
from processing_service.engine.records import Fault, Kind, Output, Record, SessionState, Spent

OUTPUTS = st.builds(
    Output,
    st.just("a.B"),
    st.binary(max_size=300),
    st.just(b"") | st.binary(min_size=32, max_size=32),
    st.integers(0, 2**40),
    st.none() | st.builds(Spent, *[st.integers(0, 2**40)] * 3),
)
FAULTS = st.tuples(st.integers(1, 16), st.sampled_from([1, 21, 80]), st.text(max_size=20)).map(
    lambda facts: Fault(*facts)
)
COMMON = {
    "sequence": st.integers(1, 2**32 - 1),
    "at": st.integers(0, 2**63),
    "session_attempt": st.integers(1, 300),
    "session_state": st.sampled_from(SessionState),
    "step": st.integers(-1, 300),
    "item": st.integers(-1, 20_000),
    "attempt": st.integers(0, 300),
    "output": st.none() | OUTPUTS,
}
DEFAULTS = {name: st.just(value) for name, value in Record._field_defaults.items() if name not in COMMON}
FREQUENT = st.builds(Record, kind=st.sampled_from([k for k in Kind if k < Kind.STEP_FAILED]), **DEFAULTS, **COMMON)
RARE = st.builds(
    Record,
    kind=st.sampled_from([k for k in Kind if k >= Kind.STEP_FAILED]),
    delay_us=st.integers(0, 2**40),
    items_total=st.integers(0, 20_000),
    action=st.integers(0, 5),
    request_id=st.text(max_size=8),
    actor=st.text(max_size=8),
    message=st.text(max_size=8),
    outcome=st.integers(0, 4),
    elapsed_us=st.integers(0, 2**40),
    reused_from=st.text(max_size=8),
    rerun=st.lists(st.integers(0, 300), max_size=3).map(tuple),
    fault=st.none(),
    **COMMON,
)


@settings(deadline=None)
@given(st.lists(FREQUENT | RARE, max_size=5))
def test_what_is_written_by_hand_is_read_by_protobuf(records: list[Record]) -> None:
    """Every record comes back as it was, chunk by chunk or joined."""
    assert decode(encode(records)) == records
    assert decode(b"".join(encode([record]) for record in records)) == records


@settings(deadline=None)
@given(FAULTS, FAULTS)
def test_a_fault_keeps_its_cause(fault: Fault, cause: Fault) -> None:
    """Code, reason and message of a failure and of what caused it survive the disk."""
    record = Record(1, 2, Kind.SESSION_ENDED, 1, SessionState.FAILED, fault=fault._replace(cause=cause))
    (back,) = decode(encode([record]))

    assert back.fault is not None
    assert back.fault.cause is not None
    assert back.fault[:4] == fault[:4]
    assert back.fault.cause[:4] == cause[:4]
