"""Between messages and the pair in which their values travel as names: a mapping of what is readable, data by path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Artifact, Datum, Tensor
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from instructors.field_paths import entry, is_leaf, is_map, put
from processing_service.engine.definitions.faults import Faults
from processing_service.engine.definitions.template_context import OnLegacy, TemplateContext, ignore_legacy
from processing_service.engine.definitions.template_reader import TemplateReader
from processing_service.wire.errors import Code, CoordinatorError, invalid_all
from processing_service.wire.naming import resolve_keys

Leaf = bytes | Message

STRUCT_LIMIT: Final = 1 << 20
"""Most bytes of what is readable in a reply."""

_WELL_KNOWN: Final = "google.protobuf."
_MOVED: Final = object()


def build(
    message: Message,
    values: Mapping[str, object],
    payloads: Mapping[str, Leaf],
    on_legacy: OnLegacy = ignore_legacy,
) -> tuple[str, ...]:
    """Fills an empty message; a warning for each legacy spelling.

    Args:
        message: gets the values.
        values: by field name at any depth, as in JSON.
        payloads: by field path.
        on_legacy: called for each legacy spelling met, with the field's full name and the spelling.

    Raises:
        CoordinatorError: FIELD_UNKNOWN with the nearest name, FIELD_CONFLICT, FIELD_INVALID.
    """
    descriptor: Any = message.DESCRIPTOR
    resolved = resolve_keys(values, descriptor, on_legacy=on_legacy)
    faults = Faults()
    TemplateReader(TemplateContext(faults)).fill(message, resolved.values, "")
    if faults.violations:
        raise invalid_all(ErrorReason.ERROR_REASON_FIELD_INVALID, faults.violations)
    for path, value in payloads.items():
        put(message, path, value)
    return resolved.warnings


def separate(values: Mapping[str, object]) -> tuple[dict[str, object], dict[str, Leaf]]:
    """Splits the values of a Python caller into what is readable, and bytes and messages by field path."""
    leaves: dict[str, Leaf] = {}
    plain = _separate(values, "", leaves)
    assert isinstance(plain, dict)
    return plain, leaves


def _separate(value: object, path: str, leaves: dict[str, Leaf]) -> object:
    if isinstance(value, Mapping):
        inner = {key: _separate(item, entry(path, key).lstrip("."), leaves) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item is not _MOVED}
    if isinstance(value, list | tuple):
        elements = [_separate(item, f"{path}[{index}]", leaves) for index, item in enumerate(value)]
        return [item for item in elements if item is not _MOVED]
    if isinstance(value, bytes | bytearray | memoryview):
        leaves[path] = bytes(value)
        return _MOVED
    if isinstance(value, Message):
        leaves[path] = value
        return _MOVED
    return value


def split(message: Message) -> tuple[Struct, dict[str, Datum]]:
    """What is readable of a message, and its bytes, tensors, data and artifacts by field path. Empties the message.

    Raises:
        CoordinatorError: PAYLOAD_TOO_LARGE if more is readable than `STRUCT_LIMIT`.
    """
    payloads: dict[str, Datum] = {}
    _take_leaves(message, "", payloads)
    result = Struct()
    ParseDict(MessageToDict(message, preserving_proto_field_name=True), result)
    check_size(result, "the result")
    return result, payloads


def check_size(values: Struct, noun: str) -> None:
    """Raises CoordinatorError: PAYLOAD_TOO_LARGE for values above `STRUCT_LIMIT`."""
    size = values.ByteSize()
    if size > STRUCT_LIMIT:
        raise CoordinatorError(
            Code.RESOURCE_EXHAUSTED,
            ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE,
            f"{noun} has {size} readable bytes, at most {STRUCT_LIMIT} are allowed; give large values as bytes",
            metadata={"size_bytes": str(size), "limit_bytes": str(STRUCT_LIMIT)},
        )


def _take_leaves(message: Message, path: str, payloads: dict[str, Datum]) -> None:
    for field, value in message.ListFields():
        here = f"{path}.{field.name}" if path else field.name
        if is_leaf(field):
            for where, leaf in _each(field, value, here, is_last=True):
                payloads[where] = _datum(leaf)
            message.ClearField(field.name)
        elif field.message_type is not None and carries_leaves(field.message_type):
            for where, inner in _each(field, value, here, is_last=False):
                _take_leaves(inner, where, payloads)


def _each(field: FieldDescriptor, value: Any, path: str, *, is_last: bool) -> Iterator[tuple[str, Any]]:
    """The values of a field with their paths."""
    if is_map(field):
        for key in sorted(value):
            yield (f"{path}.{key}" if is_last else entry(path, key)), value[key]
    elif field.is_repeated:
        for index, element in enumerate(value):
            yield f"{path}[{index}]", element
    else:
        yield path, value


def _datum(leaf: Any) -> Datum:
    if isinstance(leaf, bytes):
        return Datum(inline_bytes=leaf)
    name = leaf.DESCRIPTOR.full_name
    if name == Tensor.DESCRIPTOR.full_name:
        datum = Datum()
        datum.tensor.MergeFromString(leaf.SerializeToString())
        return datum
    if name == Artifact.DESCRIPTOR.full_name:
        return Datum(artifact=Artifact.FromString(leaf.SerializeToString()), media_type=leaf.media_type)
    return Datum.FromString(leaf.SerializeToString())


@lru_cache(maxsize=1024)
def carries_leaves(descriptor: Descriptor) -> bool:
    """True if a message of that type can hold bytes, tensors, data or artifacts at any depth."""
    seen: set[str] = set()
    waiting = [descriptor]
    while waiting:
        current = waiting.pop()
        if current.full_name in seen or current.full_name.startswith(_WELL_KNOWN):
            continue
        seen.add(current.full_name)
        if any(is_leaf(field) for field in current.fields):
            return True
        waiting.extend(field.message_type for field in current.fields if field.message_type is not None)
    return False
