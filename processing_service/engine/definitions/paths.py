"""Field paths into parameters, steps and items: `steps.page.decode.image`, read without an expression.

On a list a name projects: `steps.recognise.outputs.index` is that field of every item. What is not there (a step that
was skipped, an optional parameter, a message that is unset) is ABSENT.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from processing_service.engine.definitions.kinds import ANY, INT, Base, Kind, kind_of
from processing_service.wire.errors import nearest
from processing_service.wire.naming import Spellings, spellings_of

ROOTS: Final = ("parameters", "steps", "item", "item_index")

_PATH: Final = re.compile(
    r"(?:item_index|item|(?:parameters|steps)\.[A-Za-z_]\w*)"
    r"""(?:\.[A-Za-z_]\w*|\[[0-9]{1,9}\]|\["[^"\\]*"\]|\['[^'\\]*'\])*"""
)
_SEGMENT: Final = re.compile(r"""\.?([A-Za-z_]\w*)|\[([0-9]+)\]|\[["']([^"']*)["']\]""")
_MAX_SHOWN: Final = 8


class Absent(Enum):
    """Stands for a value that is not there."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


class Unfit(Exception):
    """A binding that cannot be: its text, or a value that it came to. Caught where the place is known.

    Args:
        description: what is wrong.
        suggestion: the nearest right name.
    """

    def __init__(self, description: str, suggestion: str = "") -> None:
        super().__init__(description)
        self.description, self.suggestion = description, suggestion


class Names(NamedTuple):
    """What bindings may name, and of what kind it is."""

    parameters: Mapping[str, Kind]
    steps: Mapping[str, Kind]
    item: Kind | None = None
    """Kind of the items; None outside a foreach."""


class Path(NamedTuple):
    """A path: its root, and names, keys and indexes from there."""

    root: str
    segments: tuple[str | int, ...]


Reader = Callable[[Any], Any]


class Lookup(NamedTuple):
    """A path that was checked."""

    path: Path
    kind: Kind
    readers: tuple[Reader, ...]
    """From the value of the root's name to that of the path, one after the other."""
    by_value: bool
    """True for a field without presence: it is there if it is not its default."""


def parse_path(text: str) -> Path | None:
    """The path that a text is; None if it is not a plain path."""
    if not _PATH.fullmatch(text):
        return None
    found = [
        name or (int(index) if index else key) for name, index, key in (m.groups() for m in _SEGMENT.finditer(text))
    ]
    return Path(str(found[0]), tuple(found[1:]))


def look_up(path: Path, names: Names) -> Lookup:
    """The kind of what a path leads to, and how it is read. Raises Unfit."""
    kind, rest = _root(path, names)
    readers: list[Reader] = []
    by_value = False
    for segment in rest:
        by_value = _is_without_presence(kind, segment)
        kind, reader = _into(kind, segment)
        readers.append(reader)
    return Lookup(path, kind, tuple(readers), by_value)


def _is_without_presence(kind: Kind, segment: str | int) -> bool:
    field = kind.message.fields_by_name.get(str(segment)) if kind.message and not kind.lists else None
    return field is not None and not field.has_presence


def _root(path: Path, names: Names) -> tuple[Kind, tuple[str | int, ...]]:
    if path.root in ("item", "item_index"):
        if names.item is None:
            raise Unfit(f"{path.root} exists only in the parameters of a step with foreach")
        return (INT if path.root == "item_index" else names.item), path.segments
    if not path.segments:
        raise Unfit(f"{path.root} as a whole cannot be read; write {path.root}.<name>")
    known = names.parameters if path.root == "parameters" else names.steps
    name = str(path.segments[0])
    if name not in known:
        raise Unfit(f"there is no {path.root.removesuffix('s')} {name!r}", _near(name, known))
    return known[name], path.segments[1:]


def _near(name: str, known: Mapping[str, object]) -> str:
    return Spellings.of(known).find(name) or nearest(name, known)


def _into(kind: Kind, segment: str | int) -> tuple[Kind, Reader]:
    """One segment further."""
    if kind.lists:
        if isinstance(segment, int):
            return kind.element, _index(segment)
        inner, reader = _into(kind.element, segment)
        return inner.listed(), _projection(reader, segment)
    if kind.base is Base.ANY:
        return ANY, _dig(segment)
    if kind.base is Base.MAP and kind.values is not None:
        return kind.values, _key(segment)
    if kind.message is None or isinstance(segment, int):
        shown = f"[{segment}]" if isinstance(segment, int) else f"field {segment!r}"
        raise Unfit(f"{kind} has no {shown}")
    field = kind.message.fields_by_name.get(segment)
    if field is None:
        suggestion = spellings_of(kind.message).find(segment) or nearest(segment, kind.message.fields_by_name)
        raise Unfit(f"{kind} has no field {segment!r}", suggestion)
    return kind_of(field), _field(field)


def _field(field: FieldDescriptor) -> Reader:
    name = field.name
    if not field.has_presence:
        return lambda message: getattr(message, name)
    return lambda message: getattr(message, name) if message.HasField(name) else ABSENT


def _index(index: int) -> Reader:
    def read(values: Any) -> Any:
        if index >= len(values):
            raise Unfit(f"[{index}] is past the end of a list of {len(values)}")
        return values[index]

    return read


def _key(key: str | int) -> Reader:
    def read(values: Any) -> Any:
        if key not in values:
            shown = ", ".join(sorted(map(str, values))[:_MAX_SHOWN]) or "nothing"
            raise Unfit(f"there is no key {key!r}; there is {shown}", nearest(str(key), map(str, values)))
        return values[key]

    return read


def _projection(reader: Reader, segment: str) -> Reader:
    def read(values: Any) -> Any:
        projected = [reader(value) for value in values]
        missing = next((index for index, value in enumerate(projected) if value is ABSENT), None)
        if missing is not None:
            raise Unfit(f"item {missing} of the list has no {segment!r}")
        return projected

    return read


def _dig(segment: str | int) -> Reader:
    """Into a value of any kind: what JSON gave, or a message that holds JSON."""

    def read(value: Any) -> Any:
        value = json_value(value)
        if isinstance(value, list):
            return _index(segment)(value) if isinstance(segment, int) else _projection(read, segment)(value)
        if isinstance(value, Mapping):
            return _key(segment)(value)
        known: Any = value.DESCRIPTOR.fields_by_name if isinstance(value, Message) else {}
        field = known.get(segment)
        if field is None:
            raise Unfit(f"there is no {segment!r} in it")
        return _field(field)(value)

    return read


def json_value(value: Any) -> Any:
    """The plain value of a Struct, Value or ListValue; any other value as it is. Numbers are floats."""
    if not isinstance(value, Message):
        return value
    name = value.DESCRIPTOR.full_name
    if name == "google.protobuf.Struct":
        fields: Mapping[str, Any] = value.fields  # type: ignore[attr-defined]  # a Struct
        return {key: json_value(fields[key]) for key in sorted(fields)}
    if name == "google.protobuf.ListValue":
        return [json_value(item) for item in value.values]  # type: ignore[attr-defined]  # a ListValue
    if name != "google.protobuf.Value":
        return value
    kind = value.WhichOneof("kind")
    if kind is None or kind == "null_value":
        return None
    return json_value(getattr(value, kind))
