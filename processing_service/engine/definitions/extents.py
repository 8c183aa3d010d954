"""How large the values are that an expression reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple

from google.protobuf.message import Message

_UNSET: Final = 16
"""Added to a message, for fields that are not set and can be read all the same."""
_OPAQUE: Final = "google.protobuf."
"""Messages that an expression sees as something else, such as a Struct as a map."""
_MOST_FIELDS: Final = 20_000
"""Fields of messages that are looked at; it takes about 20 ms."""
_LETTERS: Final = 16
"""Characters of a text, or bytes, that weigh as much as a number."""
_NUMBERS: Final = frozenset({int, float, bool, type(None)})


class Extent(NamedTuple):
    """Upper bounds for a value and all that can be read out of it."""

    length: int
    """Items of a list, entries of a map, sixteens of characters of a text."""
    weight: int
    """All that a comparison touches: values at every depth, and sixteens of characters."""
    element: Extent | None = None
    """Of each item, key or value; None if it is no larger than the whole, as in a message or a text."""

    @property
    def inner(self) -> Extent:
        """What is read out of it."""
        return self if self.element is None else self.element


SCALAR: Final = Extent(1, 1)


def text_extent(length: int) -> Extent:
    """The extent of a text of so many characters, or of so many bytes."""
    return Extent(length // _LETTERS + 1, length // _LETTERS + 1)


def measure(value: Any, *, inside: bool = False) -> Extent:
    """The extent of a value as `to_cel` gives it.

    Args:
        inside: whether to look into messages, which is exact and slow, or only at their bytes.
    """
    return _Ruler(_MOST_FIELDS if inside else 0).measure(value)


class _Ruler:
    def __init__(self, most_fields: int) -> None:
        self._left = most_fields

    def measure(self, value: Any) -> Extent:
        if isinstance(value, str | bytes):
            return text_extent(len(value))
        if isinstance(value, Message):
            return self._message(value)
        if hasattr(value, "keys"):
            return self._gathered([part for key in value for part in (key, value[key])], len(value))
        if hasattr(value, "__getitem__"):
            return self._gathered(value, len(value))
        return SCALAR

    def _gathered(self, parts: Collection[Any], count: int) -> Extent:
        kinds = set(map(type, parts))
        if kinds <= _NUMBERS:
            return Extent(count, 1 + len(parts), SCALAR)
        if kinds == {str}:
            longest, total = max(map(len, parts)), sum(map(len, parts))
            return Extent(count, 1 + len(parts) + total // _LETTERS, text_extent(longest))
        measured = [self.measure(part) for part in parts]
        return Extent(count, 1 + sum(extent.weight for extent in measured), widest(measured))

    def _message(self, message: Message) -> Extent:
        if self._left > 0 and not message.DESCRIPTOR.full_name.startswith(_OPAQUE):
            values = [value for _, value in message.ListFields()]
            self._left -= len(values)
            gathered = self._gathered(values, len(values))
            return gathered._replace(weight=gathered.weight + _UNSET)
        size = message.ByteSize() + _UNSET
        return Extent(size, size)


def widest(extents: Iterable[Extent]) -> Extent:
    """An extent that none of these is larger than."""
    found: Extent | None = None
    for extent in extents:
        if found is None:
            found = extent
        elif found != extent:
            found = _wider(found, extent)
    return found or SCALAR


def _wider(one: Extent, other: Extent) -> Extent:
    both_flat = one.element is None and other.element is None
    element = None if both_flat else _wider(one.inner, other.inner)
    return Extent(max(one.length, other.length), max(one.weight, other.weight), element)
