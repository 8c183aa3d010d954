"""Numbers of enums are read, or refused with what there is."""

from __future__ import annotations

import pytest

from instructors.enum_numbers import known, names, required
from processing_service.engine.batches.records import BatchAction
from processing_service.wire.errors import CoordinatorError, reason_name_of


def test_a_known_number_is_its_member():
    """Whether 0 is a choice or not."""
    assert known(BatchAction, 3, "batch_action") is required(BatchAction, 3, "batch_action") is BatchAction.CANCEL


@pytest.mark.parametrize(("number", "reason"), [(0, "FIELD_REQUIRED"), (99, "FIELD_INVALID")])
def test_a_refusal_names_the_field_and_all_there_are(number, reason):
    """So that the caller knows what to send."""
    with pytest.raises(CoordinatorError, match=names(BatchAction)) as caught:
        required(BatchAction, number, "batch_action")

    assert (reason_name_of(caught.value.reason), caught.value.violations[0].field_path) == (reason, "batch_action")
