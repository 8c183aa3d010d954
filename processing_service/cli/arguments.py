"""`key=value` arguments as Python values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer
from coordinator.processing.v1 import processing_pb2 as pb


def to_values(arguments: Iterable[str]) -> dict[str, Any]:
    """Values by key; a key may be a path such as `decode.max_pixels`.

    Raises:
        typer.BadParameter: without `=`, or with a key twice.
    """
    values: dict[str, Any] = {}
    for argument in arguments:
        key, value = _pair(argument)
        put(values, key, Path(value[1:]) if value.startswith("@") else parse(value))
    return values


def to_labels(arguments: Iterable[str] | None) -> dict[str, str]:
    """Texts by key. Raises typer.BadParameter without `=`."""
    return dict(map(_pair, arguments or ()))


def _pair(argument: str) -> tuple[str, str]:
    key, separator, value = argument.partition("=")
    if not separator or not key:
        raise typer.BadParameter(f"{argument!r} is not key=value")
    return key, value


def parse(text: str) -> Any:
    """The JSON value that a text is; the text itself if it is none."""
    try:
        return json.loads(text, parse_constant=refuse)
    except ValueError:
        return text


def refuse(constant: str) -> None:
    """NaN and Infinity are text: JSON has no such numbers."""
    raise ValueError(constant)


def put(values: dict[str, Any], key: str, value: Any) -> None:
    """Puts a value where its key, a path such as `decode.max_pixels`, says.

    Files stay beside each other under their whole path, which is how payloads are named; the rest is nested.

    Raises:
        typer.BadParameter: for a key that is there, or that leads through a value.
    """
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
    return [pb.SessionState.Value(_full(name, "SESSION_STATE_", pb.SessionState.keys())) for name in names or ()]


def to_batch_states(names: Iterable[str] | None) -> list[pb.BatchState.ValueType]:
    """Batch states by name. Raises as `to_states`."""
    return [pb.BatchState.Value(_full(name, "BATCH_STATE_", pb.BatchState.keys())) for name in names or ()]


def _full(name: str, prefix: str, names: Sequence[str]) -> str:
    known = {full.removeprefix(prefix): full for full in names[1:]}
    full = known.get(name.upper().replace("-", "_").removeprefix(prefix))
    if full is None:
        raise typer.BadParameter(f"{name!r} is no state; it is one of {', '.join(known)}")
    return full
