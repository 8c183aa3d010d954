"""The text of a definition: YAML 1.2 (its core schema) or JSON, with the place of every value.

Anchors, aliases, tags and duplicate keys are refused; size, depth and number of values are bounded before anything is
built from them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from processing_service.engine.definitions.faults import Faults, join
from processing_service.engine.definitions.template_context import MAX_DEPTH
from processing_service.wire.naming import fold, rotate, words

MAX_BYTES: Final = 1 << 20
"""Longest text of a definition, in bytes."""
_MAX_VALUES: Final = 50_000
_MAX_NESTING: Final = MAX_DEPTH + 8
_TOO_DEEP: Final = f"values are nested deeper than {_MAX_NESTING}"
_TOO_MANY: Final = f"holds more than {_MAX_VALUES} values"

INTEGER: Final = re.compile(r"[-+]?[0-9]+")
FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_MAX_DIGITS: Final = 400
_STRING_TAGS: Final = frozenset({None, "!", "tag:yaml.org,2002:str"})

_PROBLEMS: Final = (
    ("mapping values are not allowed", "a ':' where no key can stand; check the indentation, or quote the value"),
    ("expected ',' or", "a ',' or a closing bracket is missing before this"),
    ("expected key", "the indentation does not fit what stands above"),
    ("block end", "the indentation does not fit what stands above"),
    ("block mapping", "the indentation does not fit what stands above"),
    ("block collection", "the indentation does not fit what stands above"),
    (
        "cannot start any token",
        "a tab or a reserved character; indent with spaces, and quote a value that begins with it",
    ),
    ("unexpected end", "a quote or a bracket is not closed"),
    ("quoted scalar", "a quote is not closed, or a \\ in it does not fit"),
    ("could not find expected ':'", "a ':' is missing after a key"),
    ("nesting", _TOO_DEEP),
    ("escape", "an escape in a quoted text that does not exist"),
)


class Source:
    """A text that was read.

    Args:
        values: what it says, by key.
        lines: line and column, from 1, by path with the keys as they were spelled.
    """

    def __init__(self, values: dict[str, Any], lines: dict[str, tuple[int, int]]) -> None:
        self.values, self.lines = values, lines
        self._places: dict[str, tuple[int, int]] = {}

    def where(self, path: str) -> str:
        """`line 12:5` for a path in proto names, or of what it stands in; empty if the text has no such place."""
        if not self._places:
            self._places = {_spelled(known): place for known, place in self.lines.items()}
        while path:
            place = self._places.get(_spelled(path))
            if place is not None:
                return f"line {place[0]}:{place[1]}"
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return ""


def read_source(text: str) -> Source:
    """Reads a definition. Raises CoordinatorError: WORKFLOW_INVALID."""
    faults = Faults()
    _check_size(text, faults)
    faults.check()
    source = _read_json(text, faults) if text.lstrip()[:1] == "{" else None
    faults.check()
    if source is None:
        source = _read_yaml(text, faults)
    faults.check()
    return source


def _check_size(text: str, faults: Faults) -> None:
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        faults.add("source", f"longer than {MAX_BYTES} bytes; move what is large into artifacts or models")
    elif "\0" in text:
        faults.add("source", "holds a NUL character, so it is no text")


def _read_json(text: str, faults: Faults) -> Source | None:
    """The text as JSON; None if it is not."""
    doubled: list[str] = []

    def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            keys = [key for key, _ in pairs]
            doubled.append(next(key for key in keys if keys.count(key) > 1))
        return values

    try:
        values = json.loads(text, object_pairs_hook=read_object, parse_constant=_refuse_constant)
    except RecursionError:
        faults.add("source", _TOO_DEEP)
        return None
    except ValueError:
        return None
    if doubled:
        faults.add("source", f"the key {doubled[0][:64]!r} is given twice in one object")
    _check_values(values, faults)
    # YAML takes nearly all JSON, so its reader knows the places; where it does not, faults have their path alone.
    return Source(values, _read_yaml(text, Faults()).lines)


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _check_values(values: Any, faults: Faults) -> None:
    """Bounds of JSON; YAML is bounded while it is read."""
    level, depth, count = [values], 0, 1
    while level:
        below: list[Any] = []
        for value in level:
            below += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        level, depth, count = below, depth + 1, count + len(below)
    if depth > _MAX_NESTING:
        faults.add("source", _TOO_DEEP)
    elif count > _MAX_VALUES:
        faults.add("source", _TOO_MANY)
    elif re.search("[\ud800-\udfff]", json.dumps(values, ensure_ascii=False)):
        faults.add("source", "holds half of a surrogate pair, which is no character")


def _read_yaml(text: str, faults: Faults) -> Source:
    lines: dict[str, tuple[int, int]] = {}
    builder = _Builder(lines, faults)
    try:
        for event in _events(text):
            builder.take(event)
            if faults.violations:
                break
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}:{mark.column + 1}: " if mark else ""
        faults.add("source", f"{place}{_problem(str(error.problem or error.context or ''))}")
    except yaml.YAMLError:
        faults.add("source", "holds a character that YAML does not take")
    if not faults.violations and not isinstance(builder.root, dict):
        faults.add("source", "must be an object with workflow_id, parameters, steps and outputs")
    return Source(builder.root if isinstance(builder.root, dict) else {}, lines)


def _events(text: str) -> Iterator[Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.parse(text, Loader=loader)


def _problem(said: str) -> str:
    """What the parser found, in words that say what to mend."""
    known = (advice for part, advice in _PROBLEMS if part in said)
    return next(known, "cannot be read as YAML or JSON; check indentation, quotes and brackets")


class _Level:
    """A list or object that is being read."""

    __slots__ = ("key", "path", "values")

    def __init__(self, values: dict[str, Any] | list[Any], path: str) -> None:
        self.values, self.path = values, path
        self.key: str | None = None


class _Builder:
    """Builds values from the events of a YAML parser, without recursion."""

    def __init__(self, lines: dict[str, tuple[int, int]], faults: Faults) -> None:
        self._lines, self._faults = lines, faults
        self._levels: list[_Level] = []
        self._count = 0
        self._documents = 0
        self.root: Any = None

    def take(self, event: Any) -> None:
        """Takes the next event; a fault ends it."""
        kind = type(event).__name__
        if getattr(event, "anchor", None) is not None:
            self._fault(event, "anchors and aliases (& and *) are not taken; write the value out where it is used")
        elif kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                self._fault(event, "a second document begins; put each definition by itself")
        elif kind == "ScalarEvent":
            self._scalar(event)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            self._begin(event, {} if kind == "MappingStartEvent" else [])
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self._levels.pop()

    def _begin(self, event: Any, values: dict[str, Any] | list[Any]) -> None:
        level = self._levels[-1] if self._levels else None
        if event.tag is not None and not event.implicit:
            self._fault(event, "tags (!) are not taken")
        elif level is not None and isinstance(level.values, dict) and level.key is None:
            self._fault(event, "a key must be text")
        elif len(self._levels) >= _MAX_NESTING:
            self._fault(event, _TOO_DEEP)
        else:
            path = self._add(values, event)
            self._levels.append(_Level(values, path))

    def _scalar(self, event: Any) -> None:
        level = self._levels[-1] if self._levels else None
        if level is not None and isinstance(level.values, dict) and level.key is None:
            self._key(level, level.values, event)
        elif event.tag not in _STRING_TAGS:
            self._fault(event, "tags (!) are not taken")
        else:
            plain = event.implicit[0] and event.style in (None, "")
            self._add(_resolved(event.value) if plain else event.value, event)

    def _key(self, level: _Level, values: dict[str, Any], event: Any) -> None:
        if event.value in values:
            self._fault(event, f"the key {event.value[:64]!r} is given twice", join(level.path, event.value))
        level.key = event.value
        self._mark(join(level.path, event.value), event)

    def _add(self, value: Any, event: Any) -> str:
        """Puts a value where it belongs; its path."""
        self._count += 1
        if self._count > _MAX_VALUES:
            self._fault(event, _TOO_MANY)
        if not self._levels:
            self.root = value
            return ""
        level = self._levels[-1]
        if isinstance(level.values, list):
            path = f"{level.path}[{len(level.values)}]"
            level.values.append(value)
            self._mark(path, event)
            return path
        assert level.key is not None
        path = join(level.path, level.key)
        level.values[level.key], level.key = value, None
        return path

    def _mark(self, path: str, event: Any) -> None:
        self._lines[path] = (event.start_mark.line + 1, event.start_mark.column + 1)

    def _fault(self, event: Any, description: str, path: str = "source") -> None:
        mark = event.start_mark
        self._faults.add(path, f"line {mark.line + 1}:{mark.column + 1}: {description}")


def _resolved(text: str) -> Any:
    """A plain scalar as the core schema of YAML 1.2 reads it, without its octal and hexadecimal numbers."""
    if text in NULLS:
        return None
    if text in BOOLEANS:
        return BOOLEANS[text]
    if len(text) <= _MAX_DIGITS and INTEGER.fullmatch(text):
        return int(text)
    if len(text) <= _MAX_DIGITS and FLOAT.fullmatch(text):
        return float(text)
    return text


def _spelled(path: str) -> str:
    """The path in the form that all spellings of its names share."""
    return re.sub(r"[^.\[\]]+", lambda name: fold(rotate(words(name[0]))) or name[0], path)
