import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from instructors.durations import ENOUGH, KEPT, NONE, Durations, Pace, budget_too_short
from processing_service.wire.errors import Code


def pace(*seconds: float, at: float = 0.0) -> Pace:
    """The pace of calls that took so long."""
    made = Pace()
    for each in seconds:
        made.note(each, at)
    return made


def test_too_few_calls_tell_nothing() -> None:
    """What four calls took is no ground to refuse a fifth; with the fifth it is."""
    assert pace(*[2.0] * (ENOUGH - 1)).needed(1.0, 0.0) == 0
    assert pace(*[2.0] * ENOUGH).needed(1.0, 0.0) == 2


def test_the_quickest_call_counts() -> None:
    """One that was quick enough is enough to let the next one go."""
    known = pace(9.0, 9.0, 3.0, 9.0, 9.0, 9.0)
    assert known.needed(2.9, 0.0) == 3
    assert known.needed(3.0, 0.0) == 0


def test_only_the_last_calls_count() -> None:
    """The quickest is forgotten like any other, and the next one takes its place."""
    known = pace(1.0, 3.0, *[5.0] * (KEPT - 2))
    assert known.least == 1
    known.note(5.0, 0.0)
    assert known.least == 3
    known.note(5.0, 0.0)
    assert known.least == 5
    known.note(2.0, 0.0)
    assert known.least == 2


def test_what_is_long_ago_tells_nothing() -> None:
    """After a minute and ten times the call without a success the domain may have become quicker."""
    known = pace(*[2.0] * ENOUGH, at=100.0)
    assert known.needed(1.0, 180.0) == 2
    assert known.needed(1.0, 180.1) == 0


@pytest.mark.parametrize(("share", "seconds"), [(0.5, 10.0), (0.95, 19.0), (1.0, 20.0), (0.0, 1.0)])
def test_a_quantile_is_what_one_of_the_calls_took(share: float, seconds: float) -> None:
    """Nearest rank; of no calls 0."""
    assert pace(*map(float, range(20, 0, -1))).quantile(share) == seconds
    assert NONE.quantile(share) == 0


def test_kinds_are_apart_and_bounded() -> None:
    """The kind that came first makes room; one that is there makes none."""
    durations = Durations()
    first = durations.begin("model.get_model", "a")
    assert durations.begin("model.get_model", "a") is first
    assert durations.of("model.get_model", "b") is NONE
    for number in range(1024):
        durations.begin("model.get_model", f"m-{number}")
    assert durations.of("model.get_model", "a") is NONE
    assert durations.of("model.get_model", "m-0") is not NONE


def test_the_refusal_says_both_numbers() -> None:
    """In the message for people, in the metadata for programs; never less than nothing is left."""
    error = budget_too_short("model.get_model of 'a'", 2.0, -1.0)
    assert (error.code, error.reason) == (Code.DEADLINE_EXCEEDED, ErrorReason.ERROR_REASON_BUDGET_TOO_SHORT)
    assert error.metadata == {"needed_seconds": "2", "left_seconds": "0"}
    assert "'a' takes 2 s at least, as its last calls did, and 0 s are left" in error.message
