from __future__ import annotations

import pytest
from coordinator.processing.v1.processing_pb2 import Workflow, WorkflowStep

from processing_service.engine.definitions.compiler import EXECUTE
from processing_service.engine.definitions.reuse_checks import reuse_warnings

ECHO = "postprocessing.post_postprocessing_execute"


@pytest.mark.parametrize(
    ("operation", "pure", "enabled", "warned"),
    [
        (ECHO, True, True, []),
        (ECHO, True, False, []),
        (ECHO, False, False, []),
        (ECHO, False, True, ["reuse_enabled"]),
        (EXECUTE, True, True, ["steps[0].pure"]),
    ],
)
def test_what_has_no_effect_is_a_warning(operation: str, pure: bool, enabled: bool, warned: list[str]) -> None:
    """A definition that asks for reuse and gets none says so when it is put."""
    step = WorkflowStep(step_id="a", operation=operation, pure=pure)
    workflow = Workflow(steps=[step], reuse_enabled=enabled)
    assert [text.partition(":")[0] for text in reuse_warnings(workflow, EXECUTE)] == warned
