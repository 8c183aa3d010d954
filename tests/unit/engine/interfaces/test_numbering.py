"""Field numbers are given once."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from processing_service.engine.definitions.kinds import INT, STRING
from processing_service.engine.interfaces.field_types import output_type
from processing_service.engine.interfaces.numbering import number, reserved_numbers

TEXT, WHOLE = output_type(STRING), output_type(INT)


def numbered(before: DescriptorProto, texts: Iterable[str], wholes: Iterable[str] = ()) -> DescriptorProto:
    """The next revision of a message that has one fixed field."""
    message = DescriptorProto(name="M")
    message.field.append(TEXT.field("fixed", 1))
    fields = [TEXT.field(name) for name in texts] + [WHOLE.field(name) for name in wholes]
    number(message, sorted(fields, key=lambda field: field.name), before)
    return message


def numbers(message: DescriptorProto) -> dict[str, int]:
    return {field.name: field.number for field in message.field}


def test_new_fields_are_numbered_by_name_behind_the_fixed_ones() -> None:
    """So that a first put is the same everywhere."""
    assert numbers(numbered(DescriptorProto(), ["b", "a"])) == {"fixed": 1, "a": 2, "b": 3}


def test_fields_that_stay_keep_their_numbers() -> None:
    """Wherever a new one stands in the alphabet."""
    first = numbered(DescriptorProto(), ["b"])
    assert numbers(numbered(first, ["a", "b"])) == {"fixed": 1, "b": 2, "a": 3}


def test_what_is_removed_stays_reserved_over_all_revisions() -> None:
    """Number and name; a name that comes back has a new number."""
    first = numbered(DescriptorProto(), ["a", "b", "c"])
    second = numbered(first, ["c"])
    third = numbered(second, ["b", "c"])

    assert (list(reserved_numbers(second)), list(second.reserved_name)) == ([2, 3], ["a", "b"])
    assert numbers(third) == {"fixed": 1, "b": 5, "c": 4}
    assert (list(reserved_numbers(third)), list(third.reserved_name)) == ([2, 3], ["a"])


def test_another_type_is_another_field() -> None:
    """Its old number would be read as what it was."""
    first = numbered(DescriptorProto(), ["a"])
    second = numbered(first, [], ["a"])

    assert numbers(second) == {"fixed": 1, "a": 3}
    assert (list(reserved_numbers(second)), list(second.reserved_name)) == ([2], [])


def test_numbers_that_are_not_protobufs_own_are_left_out() -> None:
    """19,000 to 19,999."""
    before = DescriptorProto()
    before.reserved_range.add(start=2, end=19_000)

    assert numbers(numbered(before, ["a"])) == {"fixed": 1, "a": 20_000}


@pytest.mark.parametrize("kept", [["a"], ["a", "b"], []])
def test_no_number_is_given_twice(kept: list[str]) -> None:
    """Through any way back and forth."""
    seen: dict[int, tuple[str, FieldDescriptorProto.Type.ValueType]] = {}
    message = DescriptorProto()
    for texts, wholes in ((["a", "b"], []), (kept, ["c"]), (["a", "c"], ["b"]), (["b"], ["a", "c"]), (["a", "b"], [])):
        message = numbered(message, texts, wholes)
        for field in message.field:
            assert seen.setdefault(field.number, (field.name, field.type)) == (field.name, field.type)
