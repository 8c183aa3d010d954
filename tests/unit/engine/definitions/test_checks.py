from __future__ import annotations

import pytest
from coordinator.processing.v1.processing_pb2 import Workflow

from processing_service.engine.definitions.checks import check_shape
from processing_service.engine.definitions.faults import Faults


def is_taken(workflow_id: str) -> bool:
    faults = Faults()
    check_shape(Workflow(workflow_id=workflow_id), faults)
    return "workflow_id" not in [violation.field_path for violation in faults.violations]


@pytest.mark.parametrize("value", ["a", "read-text", "v2", "read2-text3", "a-b-c"])
def test_names_of_workflows(value: str) -> None:
    """Words of lower case, digits only at their ends: each can be a method's name."""
    assert is_taken(value)


@pytest.mark.parametrize("value", ["", "A", "read_text", "2a", "a--b", "-a", "a-", "a2b", "a-2", "a\n", "a" * 129])
def test_names_that_no_workflow_has(value: str) -> None:
    """The fault names the field."""
    assert not is_taken(value)
