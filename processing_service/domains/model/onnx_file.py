"""What an ONNX file says of itself, read without a runtime and without its weights.

The file is one protobuf message (onnx.proto3, ONNX IR specification). Only the fields that describe inputs, outputs,
metadata and external data are walked; the weights, which are nearly all of the file, are stepped over and never read.
(Not over a memory map: a file that somebody truncates meanwhile would end the process.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO, Final

from coordinator.payload.v1.payload_pb2 import DataType

from processing_service.domains.models import Axis, TensorSpec

_DATA_TYPES: Final = {
    1: DataType.DATA_TYPE_FLOAT32,
    2: DataType.DATA_TYPE_UINT8,
    3: DataType.DATA_TYPE_INT8,
    4: DataType.DATA_TYPE_UINT16,
    5: DataType.DATA_TYPE_INT16,
    6: DataType.DATA_TYPE_INT32,
    7: DataType.DATA_TYPE_INT64,
    9: DataType.DATA_TYPE_BOOL,
    10: DataType.DATA_TYPE_FLOAT16,
    11: DataType.DATA_TYPE_FLOAT64,
    12: DataType.DATA_TYPE_UINT32,
    13: DataType.DATA_TYPE_UINT64,
}
"""TensorProto.DataType to ours; strings, complex and 8-bit floats cannot be sent."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EXTERNAL: Final = 1
_MAX_AXES: Final = 64


class OnnxFileError(ValueError):
    """The file is not an ONNX model, or a damaged one; the text says why and holds no path."""


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What the file says of itself."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: dict[str, str]
    external_locations: frozenset[str]
    """Files that hold weights, relative to the model file's folder, as the file spells them."""


@dataclass(frozen=True, slots=True)
class _Slice:
    """A message, text or bytes inside the file."""

    file: BinaryIO
    start: int
    end: int

    def text(self) -> str:
        self.file.seek(self.start)
        return self.file.read(self.end - self.start).decode("utf-8", "replace")


def read(path: Path) -> OnnxFile:
    """Describe the ONNX file.

    Raises:
        OnnxFileError: it is empty, no protobuf message, cut short, or has no graph with outputs.
    """
    with path.open("rb") as file:
        size = file.seek(0, SEEK_END)
        if not size:
            raise OnnxFileError("it is empty")
        return _model(_Slice(file, 0, size))


def _model(model: _Slice) -> OnnxFile:
    graph = None
    metadata: dict[str, str] = {}
    for number, value in _fields(model):
        if number == 7 and isinstance(value, _Slice):
            graph = value
        elif number == 14 and isinstance(value, _Slice):
            metadata.update([_entry(value)])
    if graph is None:
        raise OnnxFileError("it holds no graph")
    return _graph(graph, metadata)


def _graph(graph: _Slice, metadata: dict[str, str]) -> OnnxFile:
    inputs, outputs, initializers, locations = [], [], set(), set()
    for number, value in _fields(graph):
        if not isinstance(value, _Slice):
            continue
        if number == 5:
            name, location = _initializer(value)
            initializers.add(name)
            locations.add(location)
        elif number == 11:
            inputs.append(_value_info(value))
        elif number == 12:
            outputs.append(_value_info(value))
    if not outputs:
        raise OnnxFileError("its graph has no output")
    # Before IR version 4 every initializer stands among the inputs too.
    wanted = tuple(spec for spec in inputs if spec.name not in initializers)
    return OnnxFile(wanted, tuple(outputs), metadata, frozenset(locations - {""}))


def _initializer(tensor: _Slice) -> tuple[str, str]:
    """Name, and the file that holds its data; empty if it lies in the model file."""
    name, data_location = "", 0
    entries: dict[str, str] = {}
    for number, value in _fields(tensor):
        if number == 8 and isinstance(value, _Slice):
            name = value.text()
        elif number == 13 and isinstance(value, _Slice):
            entries.update([_entry(value)])
        elif number == 14 and isinstance(value, int):
            data_location = value
    return name, entries.get("location", "") if data_location == _EXTERNAL else ""


def _entry(entry: _Slice) -> tuple[str, str]:
    found = {number: value.text() for number, value in _fields(entry) if isinstance(value, _Slice)}
    return found.get(1, ""), found.get(2, "")


def _value_info(info: _Slice) -> TensorSpec:
    name, tensor_type = "", None
    for number, value in _fields(info):
        if number == 1 and isinstance(value, _Slice):
            name = value.text()
        elif number == 2 and isinstance(value, _Slice):
            tensor_type = _child(value, 1)
    if tensor_type is None:
        return TensorSpec(name, DataType.DATA_TYPE_UNSPECIFIED, None)
    element, shape = 0, None
    for number, value in _fields(tensor_type):
        if number == 1 and isinstance(value, int):
            element = value
        elif number == 2 and isinstance(value, _Slice):
            shape = value
    return TensorSpec(name, _DATA_TYPES.get(element, DataType.DATA_TYPE_UNSPECIFIED), _axes(shape))


def _axes(shape: _Slice | None) -> tuple[Axis, ...] | None:
    if shape is None:
        return None
    axes = tuple(_axis(dim) for number, dim in _fields(shape) if number == 1 and isinstance(dim, _Slice))
    if len(axes) > _MAX_AXES:
        raise OnnxFileError(f"a tensor with {len(axes)} axes")
    return axes


def _axis(dim: _Slice) -> Axis:
    size = next((value for number, value in _fields(dim) if number == 1 and isinstance(value, int)), 0)
    return Axis(size=size if 0 < size < 1 << 63 else 0)


def _child(parent: _Slice, number: int) -> _Slice | None:
    return next((value for found, value in _fields(parent) if found == number and isinstance(value, _Slice)), None)


def _fields(message: _Slice) -> Iterator[tuple[int, int | _Slice]]:
    """Field numbers and values of one message, in order; sub-messages, texts and bytes as slices."""
    position = message.start
    while position < message.end:
        message.file.seek(position)
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if not number or wire_type not in (_VARINT, _FIXED64, _BYTES, _FIXED32):
            raise OnnxFileError("it is not an ONNX file")
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(wire_type, 0)
        if wire_type == _BYTES:
            length, position = _varint(message, position)
        if length > message.end - position:
            raise OnnxFileError("it is cut short or not an ONNX file")
        yield number, _Slice(message.file, position, position + length)
        position += length


def _varint(message: _Slice, position: int) -> tuple[int, int]:
    """The number at the file's position, which is `position`, and where the next field begins."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message.file.read(1) if position < message.end else b""
        if not byte:
            raise OnnxFileError("it is cut short or not an ONNX file")
        position += 1
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value, position
    raise OnnxFileError("it is not an ONNX file")
