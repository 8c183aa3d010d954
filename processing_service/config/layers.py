"""Where settings come from: each layer gives values by dotted key, and says in its own words where they stood."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import Code, CoordinatorError

DEFAULT_FILE: Final = Path("processing-service.toml")
"""The file that is read if none is named; it may be absent."""

PREFIX: Final = "PROCESSING_SERVICE__"
"""Start of every environment variable that is a setting; `__` stands for the dot of its key."""


@dataclass(frozen=True, slots=True)
class Given:
    """One value that someone gave."""

    key: str
    """Dotted, such as `store.folder`; not checked yet."""
    value: object
    """As the layer holds it: text, or what TOML makes of it."""
    source: str
    """Where: the file, the variable or the flag."""


def from_file(path: Path | None) -> tuple[Given, ...]:
    """The values of a TOML file; of `DEFAULT_FILE`, if it is there, for None.

    Raises:
        CoordinatorError: FIELD_INVALID if the file is missing, cannot be read or is not TOML.
    """
    if path is None and not DEFAULT_FILE.is_file():
        return ()
    found = path or DEFAULT_FILE
    try:
        with found.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise _unreadable(f"the configuration file {found} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _unreadable(f"the configuration file {found} is not TOML: {error}") from error
    return tuple(_flatten(table, "", str(found)))


def from_environment(environment: Mapping[str, str]) -> tuple[Given, ...]:
    """The variables that start with `PREFIX`."""
    return tuple(
        Given(name.removeprefix(PREFIX).lower().replace("__", "."), text, name)
        for name, text in sorted(environment.items())
        if name.startswith(PREFIX)
    )


def variable_of(key: str) -> str:
    """The environment variable of a key."""
    return PREFIX + key.replace(".", "__").upper()


def _flatten(table: Mapping[str, object], prefix: str, source: str) -> Iterator[Given]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.", source)
        else:
            yield Given(prefix + name, value, source)


def _unreadable(text: str) -> CoordinatorError:
    return CoordinatorError(Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_FIELD_INVALID, text)
