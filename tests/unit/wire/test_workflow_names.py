"""Names of the services that workflows have of their own."""

from __future__ import annotations

import pytest

from processing_service.wire.workflow_names import counted_as, is_typed, path_of, service_of, split


def test_a_workflow_names_its_service_and_its_file() -> None:
    """In the form that lints."""
    assert service_of("read-text2") == "ReadText2Service"
    assert path_of("read-text2") == "coordinator/workflows/v1/read_text2_service.proto"


@pytest.mark.parametrize(
    ("method", "counted"),
    [
        ("/coordinator.workflows.v1.ReadTextService/Execute", "/coordinator.workflows.v1.Workflow/Execute"),
        ("/coordinator.processing.v1.ProcessingService/GetX", "/coordinator.processing.v1.ProcessingService/GetX"),
    ],
)
def test_calls_of_all_workflows_are_counted_under_one_name(method: str, counted: str) -> None:
    """No label is an id."""
    assert counted_as(method) == counted


def test_a_method_is_told_from_others() -> None:
    """By its package; a package that only begins alike is another."""
    assert is_typed("/coordinator.workflows.v1.ReadTextService/Watch")
    assert not is_typed("/coordinator.workflows.v10.ReadTextService/Watch")
    assert split("/coordinator.workflows.v1.ReadTextService/Watch") == ("ReadTextService", "Watch")
