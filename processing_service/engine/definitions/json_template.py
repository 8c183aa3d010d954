"""JSON with bindings at any depth: what stands in a Struct, and what an output may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from processing_service.engine.definitions.bindings import Read, Scope, written
from processing_service.engine.definitions.faults import failed, join
from processing_service.engine.definitions.kinds import readable
from processing_service.engine.definitions.literals import exact_float, exact_integer
from processing_service.engine.definitions.paths import ABSENT, Unfit
from processing_service.engine.definitions.template_context import MAX_DEPTH, TemplateContext
from processing_service.engine.definitions.values import plain


class JsonReader:
    """Reads one JSON value."""

    def __init__(self, context: TemplateContext) -> None:
        self._context = context
        self.bound = False
        """True once a binding was met."""

    def value(self, value: Any, path: str, depth: int = 0) -> tuple[Any, Read]:
        """Its canonical form, and what makes it from a scope; an object or list leaves out what is ABSENT."""
        if depth > MAX_DEPTH:
            self._context.faults.add(path, f"values are nested deeper than {MAX_DEPTH}")
            return None, _constant(None)
        text = self._context.binding_text(value)
        if text is not None:
            return self._bound(text, path)
        if isinstance(value, Mapping):
            return self._object(value, path, depth)
        if isinstance(value, list | tuple):
            parts = [self.value(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
            return [form for form, _ in parts], _array([read for _, read in parts])
        return self._single(value, path)

    def _object(self, value: Mapping[str, Any], path: str, depth: int) -> tuple[Any, Read]:
        items = {str(key): self.value(item, join(path, str(key)), depth + 1) for key, item in value.items()}
        return {key: form for key, (form, _) in items.items()}, _object({key: read for key, (_, read) in items.items()})

    def _bound(self, text: str, path: str) -> tuple[Any, Read]:
        self.bound = True
        binding = self._context.compile(text, path)
        if binding is None:
            return written(text), _constant(ABSENT)
        kind, read_bound, owner = binding.kind, binding.read, self._context.owner
        if not readable(kind):
            self._context.faults.add(path, f"{written(text)} is {kind}; bytes cannot stand in JSON")

        def read(scope: Scope) -> Any:
            try:
                value = read_bound(scope)
                return value if value is ABSENT else plain(value, kind)
            except Unfit as fault:
                raise failed(owner, path, text, fault) from None

        return written(text), read

    def _single(self, value: Any, path: str) -> tuple[Any, Read]:
        if isinstance(value, float):
            if not math.isfinite(value):
                self._context.faults.add(path, "JSON has no such number")
            value = exact_float(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            value = exact_integer(value)
        return value, _constant(self._context.literal(value, path))


def check_bindings(value: Any, path: str, context: TemplateContext, depth: int = 0) -> None:
    """Notes the faults of the bindings in a value of which nobody knows what it is for."""
    text = context.binding_text(value)
    if depth > MAX_DEPTH:
        context.faults.add(path, f"values are nested deeper than {MAX_DEPTH}")
    elif text is not None:
        context.compile(text, path)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            check_bindings(item, join(path, str(key)), context, depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_bindings(item, f"{path}[{index}]", context, depth + 1)


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
