"""Tensors on the wire and in numpy: element types, shapes and raw little-endian bytes."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import DataType, Tensor

from processing_service.wire.errors import CoordinatorError, invalid

Array = np.ndarray[Any, np.dtype[Any]]

MAX_RANK: Final = 8
"""Most axes of a tensor."""

MAX_ELEMENTS: Final = 1 << 31
"""Most elements of a tensor; what a message can carry is far less."""

_PREFIX: Final = "DATA_TYPE_"

DTYPES: Final[dict[DataType.ValueType, np.dtype[Any]]] = {
    DataType.DATA_TYPE_BOOL: np.dtype("?"),
    DataType.DATA_TYPE_UINT8: np.dtype("u1"),
    DataType.DATA_TYPE_UINT16: np.dtype("<u2"),
    DataType.DATA_TYPE_UINT32: np.dtype("<u4"),
    DataType.DATA_TYPE_UINT64: np.dtype("<u8"),
    DataType.DATA_TYPE_INT8: np.dtype("i1"),
    DataType.DATA_TYPE_INT16: np.dtype("<i2"),
    DataType.DATA_TYPE_INT32: np.dtype("<i4"),
    DataType.DATA_TYPE_INT64: np.dtype("<i8"),
    DataType.DATA_TYPE_FLOAT16: np.dtype("<f2"),
    DataType.DATA_TYPE_FLOAT32: np.dtype("<f4"),
    DataType.DATA_TYPE_FLOAT64: np.dtype("<f8"),
}
"""numpy's dtype of each element type, little-endian as on the wire."""

_DATA_TYPES: Final = {dtype: data_type for data_type, dtype in DTYPES.items()}


def to_array(tensor: Tensor, field_path: str) -> Array:
    """A read-only array over the tensor's own bytes.

    Args:
        tensor: as it came over the wire.
        field_path: where it stands in the request, in proto names, such as `inputs[x]`.

    Raises:
        CoordinatorError: TENSOR_INVALID for an element type, shape or byte length that does not fit.
    """
    dtype = DTYPES.get(tensor.data_type)
    if dtype is None:
        raise _invalid(f"{field_path}.data_type", f"{tensor.data_type} is not an element type; set one of DataType")
    shape = tuple(tensor.shape)
    _check_shape(shape, f"{field_path}.shape")
    data = tensor.data
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise _invalid(
            f"{field_path}.data",
            f"{len(data)} bytes, but shape {list(shape)} of {name_of(tensor.data_type)} takes {expected}",
        )
    if dtype.kind == "b" and data.strip(b"\x00\x01"):
        raise _invalid(f"{field_path}.data", "a BOOL element is one byte, 0 or 1")
    return np.frombuffer(data, dtype).reshape(shape)


def from_array(array: Array, field_path: str = "tensor") -> Tensor:
    """The tensor of an array of any byte order and memory layout; its bytes are copied once.

    Raises:
        CoordinatorError: TENSOR_INVALID for a dtype that the contract has no element type for.
    """
    data_type = data_type_of(array.dtype)
    if data_type == DataType.DATA_TYPE_UNSPECIFIED:
        raise _invalid(field_path, f"elements of dtype {array.dtype} cannot be sent")
    native = array.astype(DTYPES[data_type], copy=False)
    return Tensor(data_type=data_type, shape=array.shape, data=native.tobytes())


def data_type_of(dtype: np.dtype[Any]) -> DataType.ValueType:
    """The element type of a dtype, whatever its byte order; DATA_TYPE_UNSPECIFIED if the contract has none."""
    return _DATA_TYPES.get(dtype.newbyteorder("<"), DataType.DATA_TYPE_UNSPECIFIED)


def name_of(data_type: DataType.ValueType) -> str:
    """The element type's name for people: FLOAT32; its number if the contract has no such type."""
    known = DataType.DESCRIPTOR.values_by_number.get(data_type)
    return known.name.removeprefix(_PREFIX) if known is not None else str(data_type)


def _check_shape(shape: tuple[int, ...], field_path: str) -> None:
    if len(shape) > MAX_RANK:
        raise _invalid(field_path, f"{len(shape)} axes; a tensor has at most {MAX_RANK}")
    negative = next((axis for axis, size in enumerate(shape) if size < 0), None)
    if negative is not None:
        raise _invalid(f"{field_path}[{negative}]", f"{shape[negative]} is negative; a size is 0 or more")
    if math.prod(shape) > MAX_ELEMENTS:
        raise _invalid(field_path, f"{math.prod(shape)} elements; a tensor has at most {MAX_ELEMENTS}")


def _invalid(field_path: str, description: str) -> CoordinatorError:
    return invalid(ErrorReason.ERROR_REASON_TENSOR_INVALID, field_path, description)
