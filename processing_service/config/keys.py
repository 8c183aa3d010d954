"""The keys of a settings class: `store.folder` for each value, `store` for each section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError


@dataclass(frozen=True, slots=True)
class Key:
    """One value of the settings."""

    name: str
    """Dotted, such as `store.folder`."""
    kind: Any
    """Its type, as annotated."""

    @property
    def may_be_none(self) -> bool:
        """Whether None is a value of it."""
        return NoneType in get_args(self.kind)

    def convert(self, value: object) -> object:
        """The value in the type of the key.

        Args:
            value: as TOML gave it, or text; text of a list or table is JSON. Empty text is None where that is allowed.

        Raises:
            ValueError: what is wrong with it, as the end of a sentence.
        """
        if value == "" and self.may_be_none:
            return None
        try:
            if isinstance(value, str) and self._is_composed:
                return _adapter(self.kind).validate_json(value)
            return _adapter(self.kind).validate_python(value)
        except ValidationError as error:
            raise ValueError(_fault(error)) from None

    @property
    def _is_composed(self) -> bool:
        return getattr(self.kind, "__origin__", None) in (tuple, list, dict, Mapping)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind, config=ConfigDict(extra="forbid"))


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    text = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"{place} {text}".strip() if place else text


@cache
def keys_of(settings: type) -> Mapping[str, Key]:
    """All keys of a settings class by their dotted names."""
    return {key.name: key for key in _walk(settings, "")}


def _walk(settings: type, prefix: str) -> Iterator[Key]:
    for declared, kind in typed_fields(settings):
        section = section_of(kind)
        if section is None:
            yield Key(prefix + declared.name, kind)
        else:
            yield from _walk(section, f"{prefix}{declared.name}.")


def typed_fields(settings: type) -> Iterator[tuple[Field[Any], Any]]:
    """The fields of a settings class with their types."""
    hints = get_type_hints(settings)
    return ((declared, hints[declared.name]) for declared in fields(settings) if declared.init)


def section_of(kind: Any) -> type | None:
    """The settings class that a field holds, also where it may be None; None for a field with a plain value."""
    kinds = (kind, *get_args(kind)) if NoneType in get_args(kind) else (kind,)
    return next((one for one in kinds if isinstance(one, type) and is_dataclass(one)), None)
