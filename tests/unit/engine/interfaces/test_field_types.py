"""Each kind of value has a type of protobuf."""

from __future__ import annotations

import pytest
from coordinator.payload.v1.payload_pb2 import Artifact, DataType, Tensor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from google.protobuf.duration_pb2 import Duration

from processing_service.engine.definitions.kinds import (
    ANY,
    BOOL,
    BYTES,
    FLOAT,
    INT,
    NUMBER,
    STRING,
    Base,
    Kind,
    message_kind,
)
from processing_service.engine.interfaces.field_types import output_type
from processing_service.engine.interfaces.proto_types import type_text

DATUM = "coordinator.payload.v1.Datum"
ENUM = Kind(Base.ENUM, DataType.DESCRIPTOR.full_name, enum=DataType.DESCRIPTOR)
LABEL = FieldDescriptorProto.Type.DESCRIPTOR
CLOSED = Kind(Base.ENUM, LABEL.full_name, enum=LABEL)


@pytest.mark.parametrize(
    ("kind", "text", "is_optional"),
    [
        pytest.param(BOOL, "bool", True, id="bool"),
        pytest.param(INT, "int64", True, id="int"),
        pytest.param(NUMBER, "double", True, id="number"),
        pytest.param(FLOAT, "double", True, id="float"),
        pytest.param(STRING, "string", True, id="string"),
        pytest.param(BYTES, DATUM, False, id="bytes"),
        pytest.param(message_kind(Tensor.DESCRIPTOR), DATUM, False, id="tensor"),
        pytest.param(message_kind(Artifact.DESCRIPTOR), DATUM, False, id="artifact"),
        pytest.param(message_kind(Duration.DESCRIPTOR), "google.protobuf.Duration", False, id="message"),
        pytest.param(ENUM, "coordinator.payload.v1.DataType", True, id="enum"),
        pytest.param(CLOSED, "string", True, id="enum of proto2"),
        pytest.param(Kind(Base.MAP, values=STRING), "google.protobuf.Struct", False, id="map"),
        pytest.param(ANY, "google.protobuf.Value", False, id="any"),
        pytest.param(Kind(Base.NULL), "google.protobuf.Value", False, id="null"),
        pytest.param(STRING.listed(2), "google.protobuf.ListValue", False, id="lists"),
    ],
)
def test_the_type_of_a_kind(kind: Kind, text: str, is_optional: bool) -> None:
    """A scalar tells unset from zero."""
    field = output_type(kind).field("f", 2)

    assert (type_text(field), field.proto3_optional) == (text, is_optional)
    assert field.label == FieldDescriptorProto.LABEL_OPTIONAL


@pytest.mark.parametrize("kind", [STRING, ENUM, message_kind(Duration.DESCRIPTOR), ANY])
def test_a_list_is_repeated(kind: Kind) -> None:
    """Of the same type."""
    field, one = output_type(kind.listed()).field("f", 2), output_type(kind).field("f", 2)

    assert (field.label, field.proto3_optional) == (FieldDescriptorProto.LABEL_REPEATED, False)
    assert type_text(field) == type_text(one)


def test_a_type_of_another_package_is_named_from_the_root() -> None:
    """`workflows.v1.Text` would be looked for inside of `coordinator` first."""
    field = FieldDescriptorProto(name="f", type_name=".workflows.v1.Text")

    assert type_text(field) == ".workflows.v1.Text"
