"""Values on their way between messages: what JSON shows of a message, and a message made of something else."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from coordinator.payload.v1.payload_pb2 import Artifact, Datum, Tensor
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from processing_service.engine.definitions.kinds import ANY, ARTIFACT, DATUM, LOOSE, TENSOR, Kind, kind_of
from processing_service.engine.definitions.literals import duration, exact_float, exact_integer, shown
from processing_service.engine.definitions.paths import ABSENT, Unfit, json_value

Contents = Mapping[str, bytes]
"""Content of artifacts, by digest."""

_DURATION: Final = "google.protobuf.Duration"
_TIMESTAMP: Final = "google.protobuf.Timestamp"


def plain(value: Any, kind: Kind = ANY) -> Any:
    """The value as JSON has it: messages as objects with every field that has no presence, enums by name.

    Integers beyond 2^53 and numbers that are not finite become text. Raises Unfit for bytes, tensors and data.

    Args:
        kind: what is known of the value: a number may be an enum value, or have 32 bits.
    """
    value = json_value(value)
    if isinstance(value, Message):
        return _plain_message(value)
    if isinstance(value, str | bool | None):
        return value
    if isinstance(value, int):
        named = kind.enum.values_by_number.get(value) if kind.enum else None
        return named.name if named else exact_integer(value)
    if isinstance(value, float):
        return exact_float(short_float(value) if kind.type_name == "float" else value)
    if isinstance(value, bytes):
        raise Unfit("bytes cannot stand in JSON; bind the value alone")
    if hasattr(value, "keys"):
        return {str(key): plain(value[key], kind.values or ANY) for key in sorted(value, key=str)}
    return [plain(item, kind.element) for item in value]


def _plain_message(message: Message) -> Any:
    name = message.DESCRIPTOR.full_name
    if name in (DATUM, TENSOR):
        raise Unfit(f"a {message.DESCRIPTOR.name} cannot stand in JSON; bind it alone")
    if name.startswith("google.protobuf."):
        return json_format.MessageToDict(message, preserving_proto_field_name=True)
    fields: dict[str, Any] = {}
    declared: Any = message.DESCRIPTOR.fields
    for field in declared:
        if not field.has_presence or message.HasField(field.name):
            fields[field.name] = plain(getattr(message, field.name), kind_of(field))
    return fields


def short_float(value: float) -> float:
    """The double with the fewest digits that is this 32-bit float."""
    for digits in (6, 7, 8):
        shorter = float(f"{value:.{digits}g}")
        if struct.pack("f", shorter) == struct.pack("f", value):
            return shorter
    return value


def as_datum(value: Any) -> Datum | None:
    """The value if it is a Datum, of whatever pool; None if it is something else."""
    if not isinstance(value, Message) or value.DESCRIPTOR.full_name != DATUM:
        return None
    return value if isinstance(value, Datum) else Datum.FromString(value.SerializePartialToString())


def is_sequence(value: Any) -> bool:
    """True for a list, of Python or of a message."""
    if isinstance(value, list):
        return True
    single = isinstance(value, str | bytes | Message) or hasattr(value, "keys")
    return not single and hasattr(value, "__getitem__")


def content(datum: Datum, contents: Contents) -> Any:
    """What a datum holds: bytes or a Tensor; ABSENT if it is empty. Raises Unfit for an artifact that is not here."""
    which = datum.WhichOneof("content")
    if which is None:
        return ABSENT
    if which != "artifact":
        return getattr(datum, which)
    data = contents.get(datum.artifact.digest)
    if data is None:
        raise Unfit(f"the content of artifact {datum.artifact.digest[:12]!r} is not here")
    return _tensor(data, datum.artifact.digest) if datum.artifact.type_name == TENSOR else data


def _tensor(data: bytes, digest: str) -> Tensor:
    try:
        return Tensor.FromString(data)
    except DecodeError:
        raise Unfit(f"the content of artifact {digest[:12]!r} is not a Tensor") from None


def datum_of(value: Any) -> Datum:
    """A datum that holds the value. Raises Unfit."""
    if (datum := as_datum(value)) is not None:
        return datum
    if isinstance(value, bytes):
        return Datum(inline_bytes=value)
    if isinstance(value, Message) and value.DESCRIPTOR.full_name == TENSOR:
        return Datum(tensor=same(Tensor.DESCRIPTOR, value))  # type: ignore[arg-type]  # it is a Tensor
    if isinstance(value, Message) and value.DESCRIPTOR.full_name == ARTIFACT:
        return Datum(artifact=same(Artifact.DESCRIPTOR, value))  # type: ignore[arg-type]  # it is an Artifact
    raise Unfit(f"must be bytes, a tensor or an artifact, not {_shown(value)}")


def same(target: Descriptor, message: Message) -> Message:
    """The message as one of the pool of `target`, which has the same full name."""
    if message.DESCRIPTOR is target:
        return message
    copy = GetMessageClass(target)()
    copy.MergeFromString(message.SerializePartialToString())
    return copy


def to_message(
    target: Descriptor, from_fields: Callable[[Message, Mapping[str, Any]], None]
) -> Callable[[Any, Contents], Message]:
    """What makes a message of a value.

    Args:
        target: its type.
        from_fields: fills a message from JSON-like values; raises Unfit.

    Returns:
        From a value and the content of artifacts to the message; raises Unfit. A Datum that is empty, and is wanted as
        a tensor, gives an empty Tensor.
    """
    name, make = target.full_name, GetMessageClass(target)

    def convert(value: Any, contents: Contents) -> Message:
        if name == DATUM:
            return same(target, datum_of(value))
        if name == TENSOR and (datum := as_datum(value)) is not None:
            value = content(datum, contents)
        if isinstance(value, Message) and value.DESCRIPTOR.full_name == name:
            return same(target, value)
        if name.startswith("google.protobuf."):
            return _known(make(), value)
        value = json_value(value)
        if not isinstance(value, Mapping):
            raise Unfit(f"must be a {target.name}, not {_shown(value)}")
        made = make()
        from_fields(made, value)
        return made

    return convert


def _known(made: Message, value: Any) -> Message:
    """A message with a JSON form of its own."""
    descriptor: Any = made.DESCRIPTOR
    name = descriptor.full_name
    if name in LOOSE:
        put_json(made, plain(value))
        return made
    if name == _DURATION:
        return same(descriptor, duration(value))
    if name == _TIMESTAMP and isinstance(value, datetime):
        stamp = Timestamp()
        stamp.FromDatetime(value)
        return same(descriptor, stamp)
    return _parsed(made, json_value(value))


def put_json(made: Message, value: Any) -> None:
    """Fills a Struct, Value or ListValue. Raises Unfit."""
    name = made.DESCRIPTOR.name
    if (name == "Struct" and not isinstance(value, dict)) or (name == "ListValue" and not isinstance(value, list)):
        raise Unfit(f"must be {'an object' if name == 'Struct' else 'a list'}, not {_shown(value)}")
    _parsed(made, value)


def _parsed(made: Message, value: Any) -> Message:
    try:
        json_format.ParseDict(value, made)
    except (json_format.ParseError, TypeError, ValueError):
        raise Unfit(f"cannot be read as a {made.DESCRIPTOR.name}: {_shown(value)}") from None
    return made


def _shown(value: Any) -> str:
    return f"a {value.DESCRIPTOR.name}" if isinstance(value, Message) else shown(value)
