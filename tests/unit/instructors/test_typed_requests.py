"""A typed request is the untyped one by another name."""

from __future__ import annotations

import math
from typing import Any

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.descriptor import Descriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from instructors.typed_requests import execution_of
from processing_service.engine.interfaces.interface import Interface
from processing_service.engine.interfaces.publication import publish
from processing_service.engine.store.base import NEVER
from processing_service.wire.errors import CoordinatorError
from tests.unit.engine.interfaces.test_publication import TEXT, defined


@pytest.fixture
def interface() -> Interface:
    """The service of a workflow with one parameter."""
    return Interface("greet", publish(defined(parameters={"text": TEXT}), NEVER, None).published.files)


def fields_of(message: Any) -> dict[int, tuple[str, int, str, bool]]:
    """What bytes and names of each field hang on, by number."""
    descriptor: Descriptor = message.DESCRIPTOR
    return {field.number: (field.name, field.type, _type_name(field), field.is_repeated) for field in descriptor.fields}


def _type_name(field: Any) -> str:
    """Of a message that is no entry of a map: each message has entries of its own."""
    message = field.message_type
    return "" if message is None or message.GetOptions().map_entry else str(message.full_name)


def test_what_a_call_says_has_the_numbers_of_post_workflow_execute() -> None:
    """All of it but the workflow and what is typed, so that bytes of the one are read as the other."""
    whole = fields_of(pb.PostWorkflowExecuteRequest)
    typed = {number for number, field in whole.items() if field[0] in ("workflow_id", "parameters", "payloads")}

    assert fields_of(pb.WorkflowCall) == {number: whole[number] for number in whole.keys() - typed}
    assert fields_of(pb.WorkflowReply) == fields_of(pb.PostWorkflowExecuteResponse)


def test_updates_of_a_watch_have_the_numbers_of_watch_processing_session(interface: Interface) -> None:
    """So that what many watchers are sent is written once for all of them."""
    typed, untyped = fields_of(interface.watch_response_class), fields_of(pb.WatchProcessingSessionResponse)

    assert typed.keys() - untyped.keys() == {5}
    assert {number: untyped[number] for number in typed.keys() & untyped.keys()}.items() <= typed.items()


def test_everything_that_a_call_says_goes_along(interface: Interface) -> None:
    """With the parameters in the form of PostWorkflowExecute."""
    call = pb.WorkflowCall(
        model_id="m", session_id="s", request_id="r", priority=3, labels={"a": "b"}, validate_only=True
    )
    request = interface.request_class(text="hello")
    request.workflow_call.MergeFromString(call.SerializeToString())
    execution = execution_of(interface, request)

    expected = pb.PostWorkflowExecuteRequest(workflow_id="greet")
    expected.MergeFromString(call.SerializeToString())
    expected.parameters["text"] = "hello"
    assert execution == expected


def test_nothing_is_said_in_passing(interface: Interface) -> None:
    """Bytes that WorkflowCall does not have, such as another workflow_id, do not reach PostWorkflowExecute."""
    request, aside = interface.request_class(), pb.PostWorkflowExecuteRequest(workflow_id="other")
    aside.parameters["text"] = "hello"
    request.workflow_call.MergeFromString(aside.SerializeToString())

    assert execution_of(interface, request) == pb.PostWorkflowExecuteRequest(workflow_id="greet")


@pytest.mark.parametrize("is_list", [False, True])
@pytest.mark.parametrize("name", ["Struct", "ListValue", "Value"])
def test_a_loose_value_goes_along_as_it_is(name: str, is_list: bool) -> None:
    """Also a number that JSON has no form for, as in a call of PostWorkflowExecute."""
    declared = {"value_type": "MESSAGE", "type_name": f"google.protobuf.{name}", "is_list": is_list}
    service = Interface("greet", publish(defined(parameters={"loose": declared}), NEVER, None).published.files)
    request, number = service.request_class(), Value(number_value=math.inf)
    loose = {"Struct": Struct(fields={"a": number}), "ListValue": ListValue(values=[number]), "Value": number}[name]
    (request.loose.add() if is_list else request.loose).MergeFromString(loose.SerializeToString())
    given = execution_of(service, request).parameters.fields["loose"]
    one = given.list_value.values[0] if is_list else given

    assert {"Struct": one.struct_value, "ListValue": one.list_value, "Value": one}[name] == loose


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("google.protobuf.Duration", Duration(seconds=1, nanos=-1)),
        ("google.protobuf.Timestamp", Timestamp(seconds=1 << 62)),
    ],
    ids=str,
)
def test_a_message_that_has_no_json_form_is_invalid(type_name: str, value: Any) -> None:
    """At its path, as any other parameter that does not fit."""
    declared = {"given": {"value_type": "MESSAGE", "type_name": type_name}}
    interface = Interface("greet", publish(defined(parameters=declared), NEVER, None).published.files)
    request = interface.request_class()
    request.given.MergeFromString(value.SerializeToString())

    with pytest.raises(CoordinatorError) as caught:
        execution_of(interface, request)

    assert caught.value.reason == ErrorReason.ERROR_REASON_FIELD_INVALID
    assert [violation.field_path for violation in caught.value.violations] == ["parameters.given"]
