"""Messages made of literals and bindings: read once from JSON-like values, built many times.

What is literal is parsed once; what is bound is a slot, with its place in the message and its converter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

from coordinator.payload.v1.payload_pb2 import Artifact
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from processing_service.engine.definitions.bindings import Binding, Read, Scope, artifacts
from processing_service.engine.definitions.faults import failed
from processing_service.engine.definitions.kinds import DATUM, TENSOR, Base, Kind
from processing_service.engine.definitions.literals import Convert, scalar, shown
from processing_service.engine.definitions.paths import ABSENT, Unfit, json_value
from processing_service.engine.definitions.values import as_datum, content, is_sequence, to_message

Put = Callable[[Any, Any, Scope], None]
"""Puts a value into the message, map or list that a slot stands in. Raises Unfit."""
ConvertIn = Callable[[Any, Scope], Any]
"""Makes a value of a field. Raises Unfit."""


class Place(NamedTuple):
    """Where something stands in a message."""

    base: Callable[[Message], Any] | None = None
    names: tuple[str, ...] = ()

    def field(self, name: str) -> Place:
        """A field of it."""
        return Place(self.base, (*self.names, name))

    def entry(self, key: Any) -> Place:
        """An item of a list or map."""
        reach = self.reach()
        return Place(lambda message: reach(message)[key])

    def reach(self) -> Callable[[Message], Any]:
        """From the whole message to there."""
        base = self.base
        if not self.names:
            return base or (lambda message: message)
        getter = attrgetter(".".join(self.names))
        return (lambda message: getter(base(message))) if base else getter


class Slot(NamedTuple):
    """One place that a binding fills."""

    path: str
    """Where it stands in the definition, such as `steps[1].parameters.decode.image_bytes`."""
    text: str
    """What stands inside `${...}`."""
    read: Read
    reach: Callable[[Message], Any]
    put: Put


@dataclass(frozen=True, slots=True)
class Template:
    """A message with its literals set and its bindings open."""

    owner: str
    """Whose it is, for messages: `step 'page'`."""
    literals: Message
    """What is literal."""
    slots: tuple[Slot, ...]
    openings: tuple[Read, ...]
    """What may read a Datum whose content is wanted."""

    def build(self, scope: Scope) -> Message:
        """The message; what a binding finds ABSENT or null stays unset. Raises CoordinatorError: EXPRESSION_FAILED."""
        message = type(self.literals)()
        message.CopyFrom(self.literals)
        for path, text, read, reach, put in self.slots:
            try:
                value = read(scope)
                if value is not ABSENT and value is not None:
                    put(reach(message), value, scope)
            except Unfit as fault:
                raise failed(self.owner, path, text, fault) from None
        return message

    def wanted(self, scope: Scope) -> list[Artifact]:
        """Artifacts whose content `build` needs and the scope does not have."""
        return wanted(self.openings, scope) if self.openings else []


def wanted(openings: Sequence[Read], scope: Scope) -> list[Artifact]:
    """Artifacts whose content those reads need and the scope does not have."""
    found: dict[str, Artifact] = {}
    for read in openings:
        try:
            value = read(scope)
        except Unfit:
            continue  # what uses it will say so
        found.update((artifact.digest, artifact) for artifact in artifacts(value, scope))
    return list(found.values())


def openings_of(binding: Binding, wants_content: bool) -> tuple[Read, ...]:
    """What of a binding may read a Datum whose content is wanted.

    Args:
        wants_content: True where the value itself is wanted as bytes or tensor.
    """
    kind = binding.kind
    may_be_datum = kind.base in (Base.ANY, Base.BYTES) or kind.type_name in (DATUM, TENSOR)
    return (*binding.data, binding.read) if binding.is_path and wants_content and may_be_datum else binding.data


def wants_content(kind: Kind) -> bool:
    """True for bytes and tensors, and for lists and maps of them."""
    if kind.base is Base.MAP and kind.values is not None:
        return wants_content(kind.values)
    return kind.base is Base.BYTES or kind.type_name == TENSOR


def put_single(field: FieldDescriptor, from_fields: FromFields) -> Put:
    """Puts a value into a field of a message."""
    name, convert = field.name, converter(field, from_fields)
    if field.message_type is not None:
        return lambda message, value, scope: getattr(message, name).CopyFrom(convert(value, scope))
    return lambda message, value, scope: setattr(message, name, convert(value, scope))


def put_list(field: FieldDescriptor, from_fields: FromFields) -> Put:
    """Puts a list into a field of a message."""
    name, convert = field.name, converter(field, from_fields)

    def put(message: Message, value: Any, scope: Scope) -> None:
        getattr(message, name).extend([convert(item, scope) for item in as_list(value)])

    return put


def put_appended(field: FieldDescriptor, from_fields: FromFields) -> Put:
    """Appends a value to a list of a message."""
    name, convert = field.name, converter(field, from_fields)
    return lambda message, value, scope: getattr(message, name).append(convert(value, scope))


def put_map(field: FieldDescriptor, entry: Descriptor, from_fields: FromFields) -> Put:
    """Puts a map into a field of a message."""
    name, key_of = field.name, scalar(entry.fields_by_name["key"])
    put_one = put_entry(entry, from_fields)

    def put(message: Message, value: Any, scope: Scope) -> None:
        value = json_value(value)
        if not hasattr(value, "keys"):
            raise Unfit(f"must be a map, not {shown(value)}")
        for key in value:
            put_one(key_of(key))(getattr(message, name), value[key], scope)

    return put


def put_entry(entry: Descriptor, from_fields: FromFields) -> Callable[[Any], Put]:
    """What puts a value under a key of a map."""
    field = entry.fields_by_name["value"]
    convert = converter(field, from_fields)

    def at(key: Any) -> Put:
        if field.message_type is not None:
            return lambda values, value, scope: values[key].CopyFrom(convert(value, scope))
        return lambda values, value, scope: values.__setitem__(key, convert(value, scope))

    return at


FromFields = Callable[[Message, Mapping[str, Any]], None]
"""Fills a message from JSON-like values. Raises Unfit."""


def converter(field: FieldDescriptor, from_fields: FromFields) -> ConvertIn:
    """What makes one value of a field."""
    if field.message_type is not None:
        make = to_message(field.message_type, from_fields)
        return lambda value, scope: make(value, scope.contents)
    single = scalar(field)
    if field.type != FieldDescriptor.TYPE_BYTES:
        return lambda value, scope: single(json_value(value))
    return lambda value, scope: _content(value, scope, single)


def _content(value: Any, scope: Scope, single: Convert) -> bytes:
    if (datum := as_datum(value)) is not None:
        value = content(datum, scope.contents)
        if not isinstance(value, bytes):
            raise Unfit("must be bytes, not " + ("nothing" if value is ABSENT else "a tensor"))
    return bytes(single(value))


def as_list(value: Any) -> Sequence[Any]:
    """The value, if it is a list. Raises Unfit."""
    value = json_value(value)
    if not is_sequence(value):
        raise Unfit(f"must be a list, not {shown(value)}")
    return value if isinstance(value, list) else list(value)
