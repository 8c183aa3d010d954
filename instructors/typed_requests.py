"""Typed requests, as requests of PostWorkflowExecute."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest, WorkflowCall
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict, SerializeToJsonError
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.unknown_fields import UnknownFieldSet

from processing_service.engine.definitions.kinds import DATUM, kind_of
from processing_service.engine.definitions.values import plain
from processing_service.engine.interfaces.descriptors import CALL
from processing_service.engine.interfaces.interface import Interface
from processing_service.wire.errors import CoordinatorError, invalid

_MAX_SHOWN: Final = 8
"""Numbers of unknown fields that an error names."""


def execution_of(interface: Interface, request: Any) -> PostWorkflowExecuteRequest:
    """What PostWorkflowExecute would be asked for the same session.

    Args:
        request: of the workflow's Execute.

    Raises:
        CoordinatorError: FIELD_UNKNOWN for a field that the service has not, or not any more; FIELD_INVALID for a
            message that has no JSON form.
    """
    _check_known(interface, request)
    call = WorkflowCall.FromString(getattr(request, CALL).SerializeToString())
    call.DiscardUnknownFields()  # among them could be parameters
    execution = PostWorkflowExecuteRequest.FromString(call.SerializeToString())  # its fields have the same numbers
    execution.workflow_id = interface.workflow_id
    for field, value in request.ListFields():
        if field.name != CALL:
            _put(execution, field, value)
    return execution


def empty_lists(request: Any) -> set[str]:
    """The lists of a request that have no items: nobody can tell whether they were given."""
    return {field.name for field in request.DESCRIPTOR.fields if field.is_repeated and not getattr(request, field.name)}


def _put(execution: PostWorkflowExecuteRequest, field: FieldDescriptor, value: Any) -> None:
    if field.message_type is not None and field.message_type.full_name == DATUM:
        execution.payloads[field.name].CopyFrom(Datum.FromString(value.SerializeToString()))
    else:
        try:
            parameter = _value(value, field)
        except (SerializeToJsonError, ValueError) as error:
            raise _unfit(field, error) from error
        execution.parameters.fields[field.name].CopyFrom(parameter)


def _value(value: Any, field: FieldDescriptor) -> Value:
    """The value as JSON has it, integers beyond 2^53 as text; of a message also its bytes."""
    if field.message_type is None:
        return ParseDict(plain(value, kind_of(field)), Value())
    return _list(value) if field.is_repeated else _message(value)


def _list(messages: Iterable[Any]) -> Value:
    return Value(list_value=ListValue(values=map(_message, messages)))


def _message(message: Any) -> Value:
    """A message as an object; one that is loose already as it is, since not every number has a form in JSON."""
    data, name = message.SerializeToString(), message.DESCRIPTOR.full_name
    if name == Struct.DESCRIPTOR.full_name:
        return Value(struct_value=Struct.FromString(data))
    if name == ListValue.DESCRIPTOR.full_name:
        return Value(list_value=ListValue.FromString(data))
    if name == Value.DESCRIPTOR.full_name:
        return Value.FromString(data)
    return ParseDict(MessageToDict(message, preserving_proto_field_name=True), Value())


def _unfit(field: FieldDescriptor, error: Exception) -> CoordinatorError:
    """Such as a time or a duration out of its range."""
    return invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, f"parameters.{field.name}", f"has no form in JSON: {error}")


def _check_known(interface: Interface, request: Any) -> None:
    """A parameter that the service does not know would be left out in silence, and the session be another."""
    fields = UnknownFieldSet(request)
    unknown = sorted({fields[index].field_number for index in range(len(fields))})
    if unknown:
        numbers = ", ".join(map(str, unknown[:_MAX_SHOWN]))
        text = (
            f"field {numbers} of {request.DESCRIPTOR.full_name} is not a parameter of the workflow, or not any more; "
            f"make the client anew (`processing-service workflow export {interface.workflow_id} --proto`)"
        )
        raise invalid(ErrorReason.ERROR_REASON_FIELD_UNKNOWN, "parameters", text)
