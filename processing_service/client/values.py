"""Python values as parameters, and results as Python values."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Artifact, Datum, Tensor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from processing_service.wire.errors import invalid

if TYPE_CHECKING:
    from processing_service.wire.tensors import Array

Plain: TypeAlias = "str | int | float | bool | Mapping[str, Plain] | Sequence[Plain] | None"
Value: TypeAlias = "Plain | bytes | Path | Array | Tensor | Artifact | Datum"
"""What a parameter can be. A path stands for the content of its file."""

INLINE_BYTES: Final = 256 << 10
"""Largest content that goes inside a request, in bytes; what is larger goes as an artifact."""

_EXACT: Final = 1 << 53
"""Whole numbers up to here are exact in a Struct; larger ones go as decimal strings."""


def is_plain(value: object) -> bool:
    """Whether the value goes into a Struct; else it is a payload."""
    return value is None or isinstance(value, str | bool | int | float | Mapping | list | tuple)


def to_struct(values: Mapping[str, Any]) -> Struct:
    """Plain values by name as a Struct.

    Raises:
        CoordinatorError: FIELD_INVALID at the path of a value that a Struct cannot hold.
    """
    struct = Struct()
    struct.update(_plain(values, "parameters"))
    return struct


def from_struct(struct: Struct) -> dict[str, Any]:
    """The Python values of a Struct; whole numbers are int."""
    found: dict[str, Any] = whole(MessageToDict(struct))
    return found


def whole(value: Any) -> Any:
    """JSON with its whole numbers as int, as far as a double tells them apart."""
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT
    return int(value) if is_whole else value


def tensor_of(array: Array) -> Tensor:
    """A numpy array as it crosses the wire."""
    from processing_service.wire.tensors import from_array

    return from_array(array)


def media_type_of(path: Path) -> str:
    """Media type by the file's name; empty if it tells nothing."""
    return mimetypes.guess_type(path.name)[0] or ""


def to_duration(seconds: float | None) -> Duration | None:
    """Seconds as a Duration; None stays unset."""
    if seconds is None:
        return None
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def to_timestamp(moment: datetime | None) -> Timestamp | None:
    """A moment with a time zone as a Timestamp; None stays unset."""
    if moment is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def _plain(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _EXACT:
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    kind = type(value).__name__
    fault = f"a {kind} cannot stand inside a list or table; give it as a parameter of its own"
    raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, path, fault)
