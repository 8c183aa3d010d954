"""JSON with bindings at any depth: what stands in a Struct, and what an output may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from processing_service.engine.bindings import (
    Binding,
    Read,
    Scope,
    binding_text,
    compile_binding,
    literal_text,
    written,
)
from processing_service.engine.definition_faults import Faults, failed, join
from processing_service.engine.kinds import readable
from processing_service.engine.literals import exact_integer
from processing_service.engine.paths import ABSENT, Names, Unfit
from processing_service.engine.values import plain

MAX_DEPTH: Final = 24
"""Values inside values, at most: each takes up to three levels of a Struct, and protobuf reads 100."""


class JsonReader:
    """Reads one JSON value.

    Args:
        faults: gathers what is wrong.
        names: what bindings may name; None where there are no bindings.
        owner: whose value it is, for messages.
    """

    def __init__(self, faults: Faults, names: Names | None, owner: str) -> None:
        self._faults, self._names, self._owner = faults, names, owner
        self.bindings: list[Binding] = []
        """All that were met."""

    def value(self, value: Any, path: str, depth: int = 0) -> tuple[Any, Read]:
        """Its canonical form, and what makes it from a scope; an object or list leaves out what is ABSENT."""
        if depth > MAX_DEPTH:
            self._faults.add(path, f"values are nested deeper than {MAX_DEPTH}")
            return None, _constant(None)
        text = binding_text(value) if self._names is not None else None
        if text is not None:
            return self._bound(text, path)
        if isinstance(value, Mapping):
            items = {str(key): self.value(item, join(path, str(key)), depth + 1) for key, item in value.items()}
            return {key: form for key, (form, _) in items.items()}, _object(
                {key: read for key, (_, read) in items.items()}
            )
        if isinstance(value, list | tuple):
            parts = [self.value(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
            return [form for form, _ in parts], _array([read for _, read in parts])
        return self._single(value, path)

    def _bound(self, text: str, path: str) -> tuple[Any, Read]:
        assert self._names is not None
        try:
            binding = compile_binding(text, self._names)
        except Unfit as fault:
            self._faults.add_unfit(path, fault)
            return written(text), _constant(ABSENT)
        self.bindings.append(binding)
        if not readable(binding.kind):
            self._faults.add(path, f"{written(text)} is {binding.kind}; bytes cannot stand in JSON")
        owner = self._owner

        def read(scope: Scope) -> Any:
            try:
                value = binding.read(scope)
                return value if value is ABSENT else plain(value, binding.kind)
            except Unfit as fault:
                raise failed(owner, path, text, fault) from None

        return written(text), read

    def _single(self, value: Any, path: str) -> tuple[Any, Read]:
        if isinstance(value, str) and self._names is not None:
            try:
                return value, _constant(literal_text(value))
            except Unfit as fault:
                self._faults.add_unfit(path, fault)
        elif isinstance(value, float) and not math.isfinite(value):
            self._faults.add(path, "JSON has no such number")
            return 0.0, _constant(0.0)
        elif isinstance(value, int) and not isinstance(value, bool):
            value = exact_integer(value)
        return value, _constant(value)


def _constant(value: Any) -> Read:
    return lambda scope: value


def _object(readers: Mapping[str, Read]) -> Read:
    def read(scope: Scope) -> dict[str, Any]:
        made = {key: reader(scope) for key, reader in readers.items()}
        return {key: item for key, item in made.items() if item is not ABSENT}

    return read


def _array(readers: list[Read]) -> Read:
    def read(scope: Scope) -> list[Any]:
        return [item for item in (reader(scope) for reader in readers) if item is not ABSENT]

    return read
