"""Between messages and the pair in which their values travel as names: a mapping of what is readable, data by path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Artifact, Datum, Tensor
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct

from instructors.field_paths import entry, is_leaf, is_map, put
from processing_service.wire.errors import Code, CoordinatorError, Violation
from processing_service.wire.naming import resolve_keys

Leaf = bytes | Message
OnLegacy = Callable[[str, str], None]

STRUCT_LIMIT: Final = 1 << 20
"""Most bytes of what is readable in a reply."""

_MAX_DEPTH: Final = 100
_WELL_KNOWN: Final = "google.protobuf."
_KINDS: Final = {
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_STRING: "a text",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_MESSAGE: "an object",
}


def ignore_legacy(full_field_name: str, spelling: str) -> None:
    """Nobody wants to know of legacy spellings."""


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
    try:
        ParseDict(resolved.values, message)
    except (ParseError, ValueError, TypeError, RecursionError) as error:
        raise _invalid(list(_faults(resolved.values, descriptor, ""))) from error
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


_MOVED: Final = object()


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
            metadata={"size_bytes": str(size), "max_bytes": str(STRUCT_LIMIT)},
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


def _faults(values: object, descriptor: Descriptor, path: str, depth: int = 0) -> Iterator[Violation]:
    """The smallest values that a message does not take, with their paths."""
    if not isinstance(values, Mapping) or depth > _MAX_DEPTH:
        yield Violation(path, "wants an object by field name")
        return
    for name, value in values.items():
        field = descriptor.fields_by_name[name]
        if not _fits(descriptor, name, value):
            yield from _inner_faults(value, field, f"{path}.{name}" if path else name, depth)


def _inner_faults(value: object, field: FieldDescriptor, path: str, depth: int) -> Iterator[Violation]:
    inner = field.message_type
    if is_map(field):
        assert inner is not None
        parts = {entry(path, key): item for key, item in value.items()} if isinstance(value, Mapping) else {}
        yield from _part_faults(parts, inner.fields_by_name["value"], path, depth, "an object by key")
    elif field.is_repeated:
        elements: Sequence[object] = value if isinstance(value, list | tuple) else ()
        parts = {f"{path}[{index}]": item for index, item in enumerate(elements)}
        yield from _part_faults(parts, field, path, depth, "a list")
    else:
        yield from _value_faults(value, field, path, depth)


def _part_faults(
    parts: Mapping[str, object], field: FieldDescriptor, path: str, depth: int, wanted: str
) -> Iterator[Violation]:
    found = [fault for where, item in parts.items() for fault in _value_faults(item, field, where, depth)]
    yield from found or [Violation(path, f"wants {wanted}")]


def _value_faults(value: object, field: FieldDescriptor, path: str, depth: int) -> Iterator[Violation]:
    inner = field.message_type
    if inner is not None and not inner.full_name.startswith(_WELL_KNOWN):
        yield from _faults(value, inner, path, depth + 1)
    elif not _fits_scalar(value, field):
        yield Violation(path, f"wants {_wanted(field)}")


def _fits(descriptor: Descriptor, name: str, value: object) -> bool:
    try:
        ParseDict({name: value}, GetMessageClass(descriptor)())
    except (ParseError, ValueError, TypeError, RecursionError):
        return False
    return True


def _fits_scalar(value: object, field: FieldDescriptor) -> bool:
    """True if the field, or one element of it, takes the value."""
    owner = field.containing_type
    assert owner is not None
    return _fits(owner, field.name, [value] if field.is_repeated else value)


def _wanted(field: FieldDescriptor) -> str:
    if field.enum_type is not None:
        return f"one of {', '.join(value.name for value in field.enum_type.values)}"
    if field.type == FieldDescriptor.TYPE_BYTES:
        return "bytes: give them in payloads, by this path"
    if field.message_type is not None:
        return f"a {field.message_type.full_name} in its JSON form"
    return _KINDS.get(field.cpp_type, "a whole number within its range")


def _invalid(faults: Sequence[Violation]) -> CoordinatorError:
    first = faults[0] if faults else Violation("parameters", "does not fit the request")
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return CoordinatorError(
        Code.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_FIELD_INVALID,
        f"{first.field_path}: {first.description}{more}",
        violations=faults,
    )
