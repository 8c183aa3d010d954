"""`key=value` arguments as Python values."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import typer
from coordinator.processing.v1 import processing_pb2 as pb

_STATE: Final = "SESSION_STATE_"


def to_values(arguments: Iterable[str]) -> dict[str, Any]:
    """Values by key; a key may be a path such as `decode.max_pixels`.

    Raises:
        typer.BadParameter: without `=`, or with a key twice.
    """
    values: dict[str, Any] = {}
    for argument in arguments:
        key, value = _pair(argument)
        _put(values, key, Path(value[1:]) if value.startswith("@") else _parse(value))
    return values


def to_labels(arguments: Iterable[str] | None) -> dict[str, str]:
    """Texts by key. Raises typer.BadParameter without `=`."""
    return dict(map(_pair, arguments or ()))


def _pair(argument: str) -> tuple[str, str]:
    key, separator, value = argument.partition("=")
    if not separator or not key:
        raise typer.BadParameter(f"{argument!r} is not key=value")
    return key, value


def _parse(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(constant: str) -> None:
    """NaN and Infinity are text: JSON has no such numbers."""
    raise ValueError(constant)


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    """Files stay beside each other under their whole path, which is how payloads are named; the rest is nested."""
    path, name = ([], key) if isinstance(value, Path) else (key.split(".")[:-1], key.rpartition(".")[2])
    table = _table(values, path, key)
    if name in table:
        raise typer.BadParameter(f"{key!r} is given twice")
    table[name] = value


def _table(values: dict[str, Any], path: Iterable[str], key: str) -> dict[str, Any]:
    table = values
    for part in path:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise typer.BadParameter(f"{key!r}: {part!r} is given as a value already")
        table = inner
    return table


def to_states(names: Iterable[str] | None) -> list[pb.SessionState.ValueType]:
    """Session states by name, in any case, with or without prefix. Raises typer.BadParameter for another name."""
    return [_state(name) for name in names or ()]


def _state(name: str) -> pb.SessionState.ValueType:
    known = {state.removeprefix(_STATE): state for state in pb.SessionState.keys()[1:]}
    full = known.get(name.upper().removeprefix(_STATE))
    if full is None:
        raise typer.BadParameter(f"{name!r} is no state; it is one of {', '.join(known)}")
    return pb.SessionState.Value(full)
