"""What would break the clients of a workflow's service: generated ones do not see that a definition changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import Workflow, WorkflowParameter
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from processing_service.engine.interfaces.descriptors import FIXED
from processing_service.engine.interfaces.numbering import same_type
from processing_service.engine.interfaces.proto_types import type_text
from processing_service.wire.errors import Code, CoordinatorError, Violation

_SECTIONS: Final = ("parameters", "outputs")
"""What the first messages of a file are made of."""


def breaks(before: FileDescriptorProto, after: FileDescriptorProto, old: Workflow, new: Workflow) -> list[Violation]:
    """Faults by the field path in the definition; none if clients of the service as it was go on as before."""
    found: list[Violation] = []
    for section, was, now in zip(_SECTIONS, before.message_type, after.message_type, strict=False):
        found += _changed(section, was, now)
    return found + list(_demanded(old, new))


def _changed(section: str, was: DescriptorProto, now: DescriptorProto) -> Iterator[Violation]:
    fields = {field.name: field for field in now.field}
    for field in was.field:
        if field.number == FIXED:
            continue
        path, other = f"{section}.{field.name}", fields.get(field.name)
        if other is None:
            yield Violation(path, f"is removed, and clients have it as field {field.number}")
        elif not same_type(field, other):
            yield Violation(path, f"was {_type(field)} and would be {_type(other)}")


def _demanded(old: Workflow, new: Workflow) -> Iterator[Violation]:
    """Parameters that callers now have to give and did not have to before."""
    for name in sorted(new.parameters):
        if is_required(new.parameters[name]) and not (name in old.parameters and is_required(old.parameters[name])):
            text = "is required now, and clients that do not give it would be refused; give it a default_value"
            yield Violation(f"parameters.{name}", text)


def is_required(declared: WorkflowParameter) -> bool:
    """Whether a caller has to give a parameter."""
    return not declared.optional and not declared.HasField("default_value")


def breaking(workflow_id: str, violations: list[Violation]) -> CoordinatorError:
    """FAILED_PRECONDITION, WORKFLOW_BREAKING."""
    first, more = violations[0], len(violations) - 1
    rest = f" (and {more} more)" if more else ""
    return CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_WORKFLOW_BREAKING,
        f"workflow {workflow_id!r} would break clients of its service: {first.field_path}: {first.description}{rest}; "
        "keep what they use, take another workflow_id, or set allow_breaking",
        metadata={"workflow_id": workflow_id},
        violations=violations,
    )


def _type(field: FieldDescriptorProto) -> str:
    repeated = field.label == FieldDescriptorProto.LABEL_REPEATED
    return ("repeated " if repeated else "") + type_text(field)
