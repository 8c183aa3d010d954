"""The protobuf types of parameters and outputs."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1.processing_pb2 import WorkflowParameter
from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from processing_service.engine.definitions.kinds import ARTIFACT, DATUM, LOOSE, TENSOR, Base, Kind
from processing_service.engine.definitions.parameters import Parameter

_PAYLOADS: Final = frozenset({DATUM, TENSOR, ARTIFACT})
_LOOSE: Final[dict[str, Any]] = {made.DESCRIPTOR.full_name: made.DESCRIPTOR for made in (Struct, Value, ListValue)}
_TEXT: Final = FieldDescriptorProto.TYPE_STRING
_SCALARS: Final = {
    Base.BOOL: FieldDescriptorProto.TYPE_BOOL,
    Base.INT: FieldDescriptorProto.TYPE_INT64,
    Base.NUMBER: FieldDescriptorProto.TYPE_DOUBLE,
    Base.STRING: _TEXT,
}


class FieldType(NamedTuple):
    """The type of one field."""

    type: FieldDescriptorProto.Type.ValueType
    named: Descriptor | EnumDescriptor | None = None
    """The message or enum; None for a scalar."""
    is_repeated: bool = False

    def field(self, name: str, number: int = 0) -> FieldDescriptorProto:
        """A field of this type; a single scalar tells unset from its zero value."""
        field = FieldDescriptorProto(name=name, number=number, type=self.type)
        field.label = FieldDescriptorProto.LABEL_REPEATED if self.is_repeated else FieldDescriptorProto.LABEL_OPTIONAL
        if self.named is not None:
            field.type_name = f".{self.named.full_name}"
        if not self.is_repeated and self.type != FieldDescriptorProto.TYPE_MESSAGE:
            field.proto3_optional = True
        return field


def parameter_type(parameter: Parameter, declared: WorkflowParameter) -> FieldType:
    """The type of a parameter; bytes and tensors are a Datum, which may also refer to an artifact."""
    if declared.type_name in LOOSE:
        return message_type(_LOOSE[declared.type_name], is_repeated=declared.is_list)
    return output_type(parameter.kind)


def output_type(kind: Kind) -> FieldType:
    """The type of an output; what is not known beforehand, and a list of lists, is any JSON value."""
    if kind.lists > 1:
        return message_type(ListValue.DESCRIPTOR)
    return _single(kind)._replace(is_repeated=kind.lists == 1)


def _single(kind: Kind) -> FieldType:
    if kind.base in _SCALARS:
        return FieldType(_SCALARS[kind.base])
    if kind.base is Base.BYTES or kind.type_name in _PAYLOADS:
        return message_type(Datum.DESCRIPTOR)
    if kind.base is Base.ENUM and kind.enum is not None:
        return _enum(kind.enum)
    if kind.base is Base.MAP:
        return message_type(Struct.DESCRIPTOR)
    return message_type(kind.message or Value.DESCRIPTOR)


def _enum(enum: EnumDescriptor) -> FieldType:
    """The enum, or text for one of proto2, which proto3 cannot name."""
    return FieldType(_TEXT) if enum.is_closed else FieldType(FieldDescriptorProto.TYPE_ENUM, enum)


def message_type(named: Descriptor, *, is_repeated: bool = False) -> FieldType:
    """A message."""
    return FieldType(FieldDescriptorProto.TYPE_MESSAGE, named, is_repeated)
