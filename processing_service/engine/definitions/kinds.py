"""The type of a value, as far as it can be told before a session runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

DATUM: Final = "coordinator.payload.v1.Datum"
TENSOR: Final = "coordinator.payload.v1.Tensor"
ARTIFACT: Final = "coordinator.payload.v1.Artifact"
LOOSE: Final = frozenset({"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"})
"""Messages that hold any JSON value."""


class Base(Enum):
    """What a value is, its list and map layers aside."""

    ANY = "any value"
    BOOL = "true or false"
    INT = "an integer"
    NUMBER = "a number"
    STRING = "text"
    BYTES = "bytes"
    ENUM = "an enum value"
    MESSAGE = "a message"
    MAP = "a map"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class Kind:
    """A type: `lists` lists around a base."""

    base: Base
    type_name: str = ""
    """Full name of a message or enum; `float` for a number of 32 bits."""
    message: Descriptor | None = None
    """The message's type; None where it is not known."""
    values: Kind | None = None
    """Values of a map."""
    enum: EnumDescriptor | None = None
    """The enum's type."""
    lists: int = 0
    """Lists around it."""

    @property
    def element(self) -> Kind:
        """What a list holds."""
        return replace(self, lists=max(self.lists - 1, 0))

    def listed(self, layers: int = 1) -> Kind:
        """A list of it."""
        return replace(self, lists=self.lists + layers)

    def __str__(self) -> str:
        inner = self.base.value if self.base is Base.NUMBER else self.type_name.rpartition(".")[2] or self.base.value
        if self.base is Base.MAP:
            inner = f"a map of {self.values}"
        return "a list of " * self.lists + inner


ANY: Final = Kind(Base.ANY)
BOOL: Final = Kind(Base.BOOL)
INT: Final = Kind(Base.INT)
NUMBER: Final = Kind(Base.NUMBER)
FLOAT: Final = Kind(Base.NUMBER, "float")
STRING: Final = Kind(Base.STRING)
BYTES: Final = Kind(Base.BYTES)

_SCALARS: Final = {
    FieldDescriptor.CPPTYPE_BOOL: BOOL,
    FieldDescriptor.CPPTYPE_INT32: INT,
    FieldDescriptor.CPPTYPE_INT64: INT,
    FieldDescriptor.CPPTYPE_UINT32: INT,
    FieldDescriptor.CPPTYPE_UINT64: INT,
    FieldDescriptor.CPPTYPE_FLOAT: FLOAT,
    FieldDescriptor.CPPTYPE_DOUBLE: NUMBER,
    FieldDescriptor.CPPTYPE_STRING: STRING,
}

_ALSO: Final = {
    Base.INT: frozenset({Base.NUMBER, Base.ENUM}),
    Base.NUMBER: frozenset({Base.INT}),
    Base.STRING: frozenset({Base.ENUM}),
    Base.ENUM: frozenset({Base.INT, Base.NUMBER}),
}
"""Bases that a base turns into, as proto JSON does it; whether the value fits is seen when it is there."""

_INTO_MESSAGE: Final[dict[str, Callable[[Kind], bool]]] = {
    DATUM: lambda source: source.base is Base.BYTES or source.type_name in (TENSOR, ARTIFACT),
    TENSOR: lambda source: source.type_name == DATUM,
    "google.protobuf.Duration": lambda source: source.base is Base.STRING,
    "google.protobuf.Timestamp": lambda source: source.base is Base.STRING,
}
"""Other values that a message can be made of."""


def message_kind(message: Descriptor) -> Kind:
    """The kind of a message; one that holds any JSON value is ANY."""
    return ANY if message.full_name in LOOSE else Kind(Base.MESSAGE, message.full_name, message)


def kind_of(field: FieldDescriptor) -> Kind:
    """The kind of what a field holds."""
    if (entry := map_entry(field)) is not None:
        return Kind(Base.MAP, values=kind_of(entry.fields_by_name["value"]))
    kind = element_kind(field)
    return kind.listed() if field.is_repeated else kind


def element_kind(field: FieldDescriptor) -> Kind:
    """The kind of one value of a field that is no map."""
    if field.message_type is not None:
        return message_kind(field.message_type)
    if field.enum_type is not None:
        return Kind(Base.ENUM, field.enum_type.full_name, enum=field.enum_type)
    return BYTES if field.type == FieldDescriptor.TYPE_BYTES else _SCALARS[field.cpp_type]


def map_entry(field: FieldDescriptor) -> Descriptor | None:
    """The entry of a map field, with fields `key` and `value`; None for another field."""
    inner = field.message_type
    return inner if inner is not None and inner.GetOptions().map_entry else None


def fits(source: Kind, target: Kind) -> bool:
    """False if a value of `source` can never be put where `target` is wanted; null leaves a field unset."""
    if source.base is Base.NULL or target.base is Base.ANY:
        return True
    if source.base is Base.ANY:
        return source.lists <= target.lists
    if source.lists != target.lists:
        return False
    if source.base is Base.MAP and target.base is Base.MAP:
        return source.values is None or target.values is None or fits(source.values, target.values)
    return _fits_message(source, target) if target.base is Base.MESSAGE else _fits_scalar(source, target)


def _fits_scalar(source: Kind, target: Kind) -> bool:
    if source.base is target.base:
        return source.base is not Base.ENUM or source.type_name == target.type_name
    return target.base in _ALSO.get(source.base, ()) or (target.base is Base.BYTES and source.type_name == DATUM)


def _fits_message(source: Kind, target: Kind) -> bool:
    if source.type_name == target.type_name or source.base is Base.MAP:
        return True
    also = _INTO_MESSAGE.get(target.type_name)
    return also is not None and also(source)


def readable(kind: Kind) -> bool:
    """False for what holds bytes, a tensor or a datum at some depth: it cannot stand in a Struct."""
    return _readable(kind, set())


def _readable(kind: Kind, seen: set[str]) -> bool:
    if kind.base is Base.MAP:
        return kind.values is None or _readable(kind.values, seen)
    if kind.message is None:
        return kind.base is not Base.BYTES
    if kind.type_name in seen or kind.type_name.startswith("google.protobuf."):
        return True
    seen.add(kind.type_name)
    return all(_readable(kind_of(field), seen) for field in kind.message.fields)
