"""Ids: what callers may choose, and what the server makes."""

import pytest

from processing_service.engine.ids import TimeOrderedIds, check_id
from processing_service.wire.errors import CoordinatorError


@pytest.mark.parametrize("value", ["a", "0", "A.b_c-9", "x" * 128])
def test_ids_that_may_be_chosen(value):
    """Letters, digits, '.', '_' and '-', the first a letter or digit."""
    assert check_id("session_id", value) == value


@pytest.mark.parametrize("value", ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "ü", "٣", "x" * 129])
def test_ids_that_may_not(value):
    """FIELD_INVALID names the field and shows no more than the beginning of the value."""
    with pytest.raises(CoordinatorError) as caught:
        check_id("session_id", value)

    assert caught.value.reason_name == "FIELD_INVALID"
    assert caught.value.violations[0].field_path == "session_id"
    assert "x" * 41 not in caught.value.message


def test_server_made_ids_sort_by_time():
    """Also within one millisecond, and when the clock goes back."""
    clock = iter([5_000_000, 5_000_000, 5_000_400, 1_000_000, 6_000_000])
    make = TimeOrderedIds(lambda: next(clock), lambda count: b"\x00" * count)
    made = [make() for _ in range(5)]

    assert made == sorted(set(made))
    assert {len(one) for one in made} == {24}
    assert all(check_id("session_id", one) for one in made)


def test_many_ids_of_one_moment_are_different():
    """More than a millisecond can count run over into the next."""
    make = TimeOrderedIds(lambda: 1_000_000, lambda count: b"\x00" * count)

    assert len({make() for _ in range(1000)}) == 1000
