"""A priority is one of 1 to 10, or the default."""

from __future__ import annotations

import pytest

from processing_service.engine.priorities import DEFAULT_PRIORITY, PRIORITIES, priority_of
from processing_service.wire.errors import CoordinatorError


def test_what_is_asked_for_holds():
    """0 stands for the default."""
    assert [priority_of(asked) for asked in PRIORITIES] == list(PRIORITIES)
    assert priority_of(0) == DEFAULT_PRIORITY


@pytest.mark.parametrize("asked", [-1, 11])
def test_others_are_refused(asked):
    """With what there is."""
    with pytest.raises(CoordinatorError, match="from 1 to 10"):
        priority_of(asked)
