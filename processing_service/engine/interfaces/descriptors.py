"""The file of a workflow's service, as a descriptor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from coordinator.processing.v1.processing_pb2 import (
    Session,
    SessionEvent,
    SessionProgress,
    WorkflowCall,
    WorkflowReply,
)
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from processing_service.engine.definitions import Definition
from processing_service.engine.definitions.kinds import INT, STRING
from processing_service.engine.interfaces.field_types import FieldType, message_type, output_type, parameter_type
from processing_service.engine.interfaces.numbering import number
from processing_service.wire.naming import to_camel
from processing_service.wire.workflow_names import EXECUTE, PACKAGE, WATCH, path_of, service_of

CALL: Final = "workflow_call"
"""The field of a request that is no parameter."""
REPLY: Final = "workflow_reply"
"""The field of a response that is no output."""
FIXED: Final = 1
"""The number of both."""

_CALL: Final = message_type(WorkflowCall.DESCRIPTOR)
_REPLY: Final = message_type(WorkflowReply.DESCRIPTOR)
_TEXT: Final = output_type(STRING)
_AFTER: Final = output_type(INT).field("after_sequence", 3)
_UPDATES: Final = (
    message_type(Session.DESCRIPTOR).field("snapshot", 1),
    message_type(SessionEvent.DESCRIPTOR).field("event", 2),
    message_type(SessionProgress.DESCRIPTOR).field("session_progress", 3),
)
"""With the numbers that WatchProcessingSessionResponse gives them."""
_RESPONSE: Final = 5
"""Behind all of those numbers."""


def request_name(service: str) -> str:
    """The message with the parameters."""
    return f"{service}{EXECUTE}Request"


def response_name(service: str) -> str:
    """The message with the outputs."""
    return f"{service}{EXECUTE}Response"


def file_of(definition: Definition, before: FileDescriptorProto) -> FileDescriptorProto:
    """The file of a workflow's service.

    Args:
        before: the file as it was, whose numbers are kept; empty if there was none.
    """
    workflow_id = definition.workflow.workflow_id
    service, former = service_of(workflow_id), {message.name: message for message in before.message_type}
    file = FileDescriptorProto(name=path_of(workflow_id), package=PACKAGE, syntax="proto3")
    _add_options(file)
    for name, fixed, types in (
        (request_name(service), _CALL.field(CALL, FIXED), parameter_types(definition)),
        (response_name(service), _REPLY.field(REPLY, FIXED), output_types(definition)),
    ):
        file.message_type.append(_numbered(name, fixed, types, former.get(name, DescriptorProto())))
    file.message_type.extend(_watch_messages(service))
    for message in file.message_type:
        _finish(message)
    _add_service(file, service)
    file.dependency.extend(sorted({needed.name for needed in files_of(definition)}))
    return file


def parameter_types(definition: Definition) -> dict[str, FieldType]:
    """The parameters, by name."""
    declared = definition.workflow.parameters
    return {
        name: parameter_type(parameter, declared[name]) for name, parameter in definition.parameters.by_name.items()
    }


def output_types(definition: Definition) -> dict[str, FieldType]:
    """The outputs, by name."""
    return {output.name: output_type(output.kind) for output in definition.outputs.outputs}


def files_of(definition: Definition) -> list[FileDescriptor]:
    """The files that the service's file imports."""
    types = (*parameter_types(definition).values(), *output_types(definition).values(), _CALL, _REPLY)
    return [kept.named.file for kept in types if kept.named is not None]


def _numbered(name: str, fixed: FieldDescriptorProto, types: Mapping[str, FieldType], was: DescriptorProto) -> Any:
    """A message with fields of those types in the order of their names, behind one that is always there."""
    message = DescriptorProto(name=name)
    message.field.append(fixed)
    number(message, [types[field].field(field) for field in sorted(types)], was)
    return message


def _watch_messages(service: str) -> list[DescriptorProto]:
    request = DescriptorProto(name=f"{service}{WATCH}Request")
    request.oneof_decl.add(name="subject")
    request.field.extend((_own("execute", 1, request_name(service)), _TEXT.field("session_id", 2), _AFTER))
    request.field[1].ClearField("proto3_optional")
    response = DescriptorProto(name=f"{service}{WATCH}Response")
    response.oneof_decl.add(name="update")
    response.field.extend(_UPDATES)
    response.field.append(_own("response", _RESPONSE, response_name(service)))
    for field in (*request.field[:2], *response.field):
        field.oneof_index = 0
    return [request, response]


def _own(name: str, number: int, message: str) -> FieldDescriptorProto:
    field = FieldDescriptorProto(name=name, number=number, type_name=f".{PACKAGE}.{message}")
    field.label, field.type = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.TYPE_MESSAGE
    return field


def _finish(message: DescriptorProto) -> None:
    """What protoc adds: the oneof of each `optional` field, behind those that are written, and names in JSON."""
    for field in message.field:
        field.json_name = to_camel(field.name)
        if field.proto3_optional:
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")


def _add_service(file: FileDescriptorProto, service: str) -> None:
    declared = file.service.add(name=service)
    for rpc in (EXECUTE, WATCH):
        given, came = (f".{PACKAGE}.{service}{rpc}{kind}" for kind in ("Request", "Response"))
        declared.method.add(name=rpc, input_type=given, output_type=came, server_streaming=rpc == WATCH)


def _add_options(file: FileDescriptorProto) -> None:
    file.options.csharp_namespace = "Coordinator.Workflows.V1"
    file.options.go_package = "coordinator/workflows/v1;workflowsv1"
    file.options.java_multiple_files = True
    file.options.java_package = "com.coordinator.workflows.v1"


def closure(files: Iterable[FileDescriptor]) -> dict[str, FileDescriptor]:
    """The files and all that they import, by name, each behind what it imports."""
    found: dict[str, FileDescriptor] = {}
    for file in files:
        found |= closure(file.dependencies)
        found.setdefault(file.name, file)
    return found
