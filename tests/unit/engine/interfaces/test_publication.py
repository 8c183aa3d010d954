"""What a put makes of a workflow's service."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from processing_service.engine.definitions import Definition, parse_definition
from processing_service.engine.interfaces.publication import own_file, publish
from processing_service.engine.store.base import NEVER, Published
from processing_service.wire.errors import CoordinatorError
from tests.unit.engine.definitions.catalog import Catalog

STEP = {"step_id": "say", "operation": "postprocessing.post_postprocessing_execute", "parameters": {"echo": {}}}
TEXT = {"value_type": "STRING", "optional": True}


def defined(workflow_id: str = "greet", **parts: Any) -> Definition:
    source = {"workflow_id": workflow_id, "steps": [STEP], **parts}
    return parse_definition(json.dumps(source), Catalog())[0]


def test_the_first_put_is_never_breaking() -> None:
    """Whatever it is."""
    made = publish(defined(parameters={"text": {"value_type": "STRING"}}), NEVER, None)

    assert made.published.is_live
    assert made.warnings == ()


def test_a_service_that_is_not_served_cannot_break_anybody() -> None:
    """After a deletion its numbers stay, and what is put is another workflow."""
    before = defined(parameters={"text": TEXT})
    gone = publish(before, NEVER, None).published._replace(is_live=False)
    made = publish(defined(parameters={"other": {"value_type": "STRING"}}), gone, None).published

    message = own_file(FileDescriptorSet.FromString(made.files)).message_type[0]
    assert [(field.name, field.number) for field in message.field] == [("workflow_call", 1), ("other", 3)]
    assert list(message.reserved_name) == ["text"]


@pytest.mark.parametrize(
    ("workflow_id", "parts", "path"),
    [
        pytest.param("a-b", {}, "workflow_id", id="file"),
        pytest.param("greet", {"parameters": {"class": TEXT}}, "parameters.class", id="N4"),
        pytest.param("greet", {"parameters": {"x": TEXT, "has_x": TEXT}}, "parameters.x", id="N6"),
        pytest.param("greet", {"outputs": {"descriptor": {"value": "${steps.say.echo.text}"}}}, "outputs.descriptor",
                     id="output"),
        pytest.param("greet", {"outputs": {"workflow_reply": {"value": "${steps.say.echo.text}"}}},
                     "outputs.workflow_reply", id="ours"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_keeps_a_workflow_untyped(workflow_id: str, parts: Any, path: str) -> None:
    """With a warning; and it breaks clients of a service that there was, whose numbers stay."""
    definition = defined(workflow_id, **parts)
    made = publish(definition, NEVER, None)
    served = Published(publish(defined("greet"), NEVER, None).published.files, is_live=True)
    with pytest.raises(CoordinatorError) as caught:
        publish(definition, served, defined("greet").workflow)
    allowed = publish(definition, served, defined("greet").workflow, allow_breaking=True).published

    assert made.published == NEVER
    assert made.warnings[0].startswith(f"{path}: ")
    assert (caught.value.reason_name, caught.value.violations[0].field_path) == ("WORKFLOW_BREAKING", path)
    assert allowed == served._replace(is_live=False)
