"""Puts the layers together and checks them, all faults in one error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.config.keys import Key, keys_of, section_of, typed_fields
from processing_service.config.layers import PREFIX, Given, variable_of
from processing_service.config.settings import Settings
from processing_service.wire.errors import CoordinatorError, Violation, invalid_all, nearest

DEFAULT: Final = "default"
"""The source of a value that nobody gave."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and who gave what."""

    settings: Settings
    sources: Mapping[str, str]
    """Where each value that somebody gave stood, by dotted key: a file, a variable or a flag."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of `explain`."""

    key: str
    value: object
    source: str
    """A file, a variable, a flag, or `default`."""


def load(*layers: tuple[Given, ...]) -> Loaded:
    """The settings that the layers make together; a later layer wins.

    Raises:
        CoordinatorError: INVALID_ARGUMENT with a violation for every fault: FIELD_UNKNOWN with the nearest key,
            FIELD_INVALID for a value that does not fit.
    """
    loading = _Loading()
    for given in (given for layer in layers for given in layer):
        loading.take(given)
    settings = loading.build(Settings, "", None)
    if loading.faults:
        raise invalid_all(loading.faults[0][0], [violation for _, violation in loading.faults])
    return Loaded(settings, loading.sources)


def explain(loaded: Loaded) -> Iterator[Setting]:
    """Every value with its source, in the order of the classes."""
    for key, value in _values(loaded.settings, ""):
        yield Setting(key, value, loaded.sources.get(key, DEFAULT))


def _values(settings: Any, prefix: str) -> Iterator[tuple[str, object]]:
    for declared in fields(settings):
        value = getattr(settings, declared.name)
        if is_dataclass(value):
            yield from _values(value, f"{prefix}{declared.name}.")
        else:
            yield prefix + declared.name, value


_Fault = tuple[ErrorReason.ValueType, Violation]


class _Loading:
    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.sources: dict[str, str] = {}
        self.faults: list[_Fault] = []
        self._keys = keys_of(Settings)

    def take(self, given: Given) -> None:
        key = self._keys.get(given.key)
        if key is None:
            return self.refuse(given)
        try:
            self.values[key.name] = key.convert(given.value)
            self.sources[key.name] = given.source
        except ValueError as error:
            self.fault(ErrorReason.ERROR_REASON_FIELD_INVALID, key.name, _sentence(given, error))
        return None

    def refuse(self, given: Given) -> None:
        near = nearest(given.key, self._keys) or _same_leaf(given.key, self._keys)
        if given.source.startswith(PREFIX) and near:
            near = variable_of(near)
        self.fault(
            ErrorReason.ERROR_REASON_FIELD_UNKNOWN, given.key, f"there is no such setting ({given.source})", near
        )

    def build(self, settings: type[Any], prefix: str, base: Any) -> Any:
        """An instance of a settings class: `base`, or its defaults, with the values given below `prefix`."""
        given = dict(self._arguments(settings, prefix, base))
        try:
            return settings(**given) if base is None else replace(base, **given)
        except CoordinatorError as error:
            self.refuse_section(prefix, error)
            return base

    def refuse_section(self, prefix: str, error: CoordinatorError) -> None:
        """Takes over what the class itself says of its values."""
        for one in error.violations or (Violation("", error.message),):
            key = (prefix + one.field_path).rstrip(".")
            source = f" ({self.sources[key]})" if key in self.sources else ""
            self.fault(error.reason, key, one.description + source, one.suggestion)

    def _arguments(self, settings: type[Any], prefix: str, base: Any) -> Iterator[tuple[str, object]]:
        for declared, kind in typed_fields(settings):
            name, section = prefix + declared.name, section_of(kind)
            if section is None and name in self.values:
                yield declared.name, self.values[name]
            elif section is not None and any(key.startswith(name + ".") for key in self.values):
                inner = getattr(base, declared.name) if base is not None else _default(declared)
                yield declared.name, self.build(section, name + ".", inner)

    def fault(self, reason: ErrorReason.ValueType, key: str, text: str, suggestion: str = "") -> None:
        self.faults.append((reason, Violation(key, text, suggestion)))


def _default(declared: Any) -> Any:
    if declared.default_factory is not MISSING:
        return declared.default_factory()
    return None if declared.default is MISSING else declared.default


def _same_leaf(key: str, known: Mapping[str, Key]) -> str:
    """The key that ends as `key` does, for a value that stands in the wrong section."""
    leaf = key.rpartition(".")[2]
    return next((name for name in known if name.rpartition(".")[2] == leaf), "")


def _sentence(given: Given, error: ValueError) -> str:
    return f"{given.value!r} {error} ({given.source})"
