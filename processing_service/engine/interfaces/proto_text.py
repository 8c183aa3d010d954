"""The service of a workflow as .proto text, with the words of its definition as comments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from coordinator.processing.v1.processing_pb2 import Workflow, WorkflowParameter
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)

from processing_service.engine.definitions.paths import json_value
from processing_service.engine.interfaces.compatibility import is_required
from processing_service.engine.interfaces.descriptors import CALL, REPLY, request_name, response_name
from processing_service.engine.interfaces.proto_types import type_text
from processing_service.wire.workflow_names import EXECUTE, WATCH

_WIDTH: Final = 200
"""Characters of a default value that are shown."""
_CONTROL: Final = re.compile("[\\x00-\\x08\\x0e-\\x1b\\x7f]")
"""What YAML can spell in a text: some compilers end a comment with it, all are better off without."""
_FIXED: Final = {
    CALL: "What the call says beside its parameters.",
    REPLY: "What the reply says beside its outputs.",
    "execute": "Starts a session; with a request_id that was seen before, watches the first one.",
    "session_id": "Watches a session of this workflow that was started before.",
    "after_sequence": "Only events behind this number, also old ones; unset = only what comes after the snapshot.",
    "snapshot": "The session as it stands, with last_sequence; always the first.",
    "event": "The next event.",
    "session_progress": "How far it is.",
    "response": "What Execute would reply; always the last.",
}
_EXECUTE: Final = (
    "Starts a session, as PostWorkflowExecute with these parameters does. In the foreground it replies when that has\n"
    "ended, with its outputs or its failure, or with the session as it stands shortly before the deadline of the\n"
    "call. Errors: as PostWorkflowExecute."
)
_WATCH: Final = (
    "Starts a session in the background, or watches one that was started before: a snapshot, every event, and the\n"
    "response when the session has ended. Errors: as PostWorkflowExecute and WatchProcessingSession."
)


def proto_text(file: FileDescriptorProto, workflow: Workflow) -> str:
    """The file.

    Args:
        workflow: the definition, for the comments.
    """
    lines = ['syntax = "proto3";', "", *_comment(_title(workflow)), f"package {file.package};", ""]
    lines += [f'import "{name}";' for name in file.dependency]
    lines += ["", *_options(file)]
    for service in file.service:
        lines += ["", *_service(service, workflow)]
    notes = _notes(file, workflow)
    for message in file.message_type:
        lines += ["", *_message(message, notes.get(message.name, {}))]
    return "\n".join([*lines, ""])


def _options(file: FileDescriptorProto) -> list[str]:
    options = file.options
    return [
        f'option csharp_namespace = "{options.csharp_namespace}";',
        f'option go_package = "{options.go_package}";',
        f"option java_multiple_files = {str(options.java_multiple_files).lower()};",
        f'option java_package = "{options.java_package}";',
    ]


def _title(workflow: Workflow) -> str:
    return workflow.title or f"The workflow {workflow.workflow_id}."


def _service(service: ServiceDescriptorProto, workflow: Workflow) -> Iterator[str]:
    yield from _comment("\n\n".join(filter(None, (_title(workflow), workflow.description))))
    yield f"service {service.name} {{"
    for method, text in zip(service.method, (_EXECUTE, _WATCH), strict=True):
        yield from _comment(text, "  ")
        given, came = (name.rpartition(".")[2] for name in (method.input_type, method.output_type))
        stream = "stream " if method.server_streaming else ""
        yield f"  rpc {method.name}({given}) returns ({stream}{came});"
    yield "}"


def _notes(file: FileDescriptorProto, workflow: Workflow) -> dict[str, dict[str, str]]:
    """The words for parameters and outputs, by message and field."""
    service = file.service[0].name
    parameters = {name: _parameter(name, declared) for name, declared in workflow.parameters.items()}
    outputs = {name: declared.description or f"Output {name}." for name, declared in workflow.outputs.items()}
    return {request_name(service): parameters, response_name(service): outputs}


def _parameter(name: str, declared: WorkflowParameter) -> str:
    text = declared.description or f"Parameter {name}."
    if is_required(declared):
        return f"{text}\nRequired."
    if not declared.HasField("default_value"):
        return text
    default = json.dumps(json_value(declared.default_value), ensure_ascii=False)
    return f"{text}\nUnset = {default[:_WIDTH]}{'...' * (len(default) > _WIDTH)}"


def _message(message: DescriptorProto, notes: Mapping[str, str]) -> Iterator[str]:
    is_request = message.name.endswith("Request")
    rpc = EXECUTE if message.name.removesuffix("Request").removesuffix("Response").endswith(EXECUTE) else WATCH
    yield f"// {'Request' if is_request else 'Reply'} of {rpc}."
    yield f"message {message.name} {{"
    yield from _reserved(message)
    oneofs = [oneof.name for oneof in message.oneof_decl if not oneof.name.startswith("_")]
    for oneof in oneofs:
        yield f"  oneof {oneof} {{"
        yield from _fields((field for field in message.field if _is_in_oneof(field)), notes, "    ")
        yield "  }"
    yield from _fields((field for field in message.field if not _is_in_oneof(field)), notes, "  ")
    yield "}"


def _is_in_oneof(field: FieldDescriptorProto) -> bool:
    return field.HasField("oneof_index") and not field.proto3_optional


def _fields(fields: Iterable[FieldDescriptorProto], notes: Mapping[str, str], indent: str) -> Iterator[str]:
    for field in fields:
        yield from _comment(notes.get(field.name) or _FIXED[field.name], indent)
        repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
        label = "repeated " if repeated else "optional " if field.proto3_optional else ""
        yield f"{indent}{label}{type_text(field)} {field.name} = {field.number};"


def _reserved(message: DescriptorProto) -> Iterator[str]:
    """Numbers and names that were given once."""
    ranges = [_range(reserved.start, reserved.end - 1) for reserved in message.reserved_range]
    names = [f'"{name}"' for name in message.reserved_name]
    for taken in filter(None, (ranges, names)):
        yield f"  reserved {', '.join(taken)};"


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _comment(text: str, indent: str = "") -> Iterator[str]:
    for line in _CONTROL.sub(" ", text).strip().splitlines():
        yield f"{indent}// {line}".rstrip()
