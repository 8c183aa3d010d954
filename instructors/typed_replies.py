"""Sessions, as responses of the typed service of their workflow."""

from __future__ import annotations

from typing import Any

from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteResponse
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.struct_pb2 import Value

from processing_service.engine.definitions.kinds import DATUM
from processing_service.engine.definitions.paths import json_value
from processing_service.engine.interfaces.descriptors import FIXED, REPLY
from processing_service.engine.interfaces.interface import Interface


def response_of(interface: Interface, reply: PostWorkflowExecuteResponse) -> Any:
    """The response of the workflow's Execute.

    An output that has no field, or not one of its type, as of a session that began with an earlier definition, stays in
    the session, with a warning. What has a field is taken out of `reply`.
    """
    response = interface.response_class()
    session = reply.session
    for field in response.DESCRIPTOR.fields:
        if field.number == FIXED:
            continue
        if _is_payload(field):
            if field.name in session.payloads:
                getattr(response, field.name).MergeFromString(session.payloads[field.name].SerializeToString())
                del session.payloads[field.name]
        elif field.name in session.outputs.fields and _parse(response, field, session.outputs.fields[field.name]):
            del session.outputs.fields[field.name]
    reply.warnings.extend(
        f"outputs.{name}: has no field of its type; it stands in workflow_reply.session"
        for name in sorted([*session.outputs.fields, *session.payloads])
    )
    if not session.outputs.fields:
        session.ClearField("outputs")
    getattr(response, REPLY).MergeFromString(reply.SerializeToString())  # its fields have the numbers of this reply
    return response


def _is_payload(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == DATUM


def _parse(response: Any, field: FieldDescriptor, value: Value) -> bool:
    """Fills a field; False, and it is unset, if the value is of another type."""
    try:
        ParseDict({field.name: json_value(value)}, response)
    except ParseError:
        response.ClearField(field.name)
        return False
    return True
