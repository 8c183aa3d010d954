"""Field numbers that are kept for ever: what is removed, or gets another type, leaves its number reserved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

_PROTOBUF_OWN: Final = range(19_000, 20_000)
"""Numbers that protobuf keeps for itself."""


def number(message: DescriptorProto, fields: Sequence[FieldDescriptorProto], before: DescriptorProto) -> None:
    """Adds fields to a message.

    Args:
        message: has its fixed fields.
        fields: by name in the order in which new ones get their numbers; their own numbers are not looked at.
        before: the message as it was, with what it has reserved; empty if there was none.
    """
    former = {field.name: field for field in before.field}
    reserved = set(reserved_numbers(before))
    fixed = {field.number for field in message.field}
    numbers = _numbers_behind(max({*fixed, *reserved, *(field.number for field in before.field)}))
    for field in fields:
        old = former.get(field.name)
        field.number = old.number if old is not None and same_type(old, field) else next(numbers)
        message.field.append(field)
    reserved |= {field.number for field in before.field} - {field.number for field in message.field}
    names = {*before.reserved_name, *former} - {field.name for field in message.field}
    _reserve(message, reserved, names)


def same_type(one: FieldDescriptorProto, other: FieldDescriptorProto) -> bool:
    """Whether bytes and generated code of one field are those of the other."""
    return (one.type, one.type_name, one.label) == (other.type, other.type_name, other.label)


def reserved_numbers(message: DescriptorProto) -> Iterator[int]:
    """The numbers that a message does not give away any more."""
    for reserved in message.reserved_range:
        yield from range(reserved.start, reserved.end)


def _numbers_behind(last: int) -> Iterator[int]:
    while True:
        last = last + 1 if last + 1 not in _PROTOBUF_OWN else _PROTOBUF_OWN.stop
        yield last


def _reserve(message: DescriptorProto, numbers: Iterable[int], names: Iterable[str]) -> None:
    for reserved in sorted(numbers):
        ranges = message.reserved_range
        if ranges and ranges[-1].end == reserved:
            ranges[-1].end = reserved + 1
        else:
            ranges.add(start=reserved, end=reserved + 1)
    message.reserved_name.extend(sorted(names))
