"""The settings of a command: file, environment and flags, in rising order. Nothing else reads the environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from processing_service.config import Given, Loaded


def load(config: Path | None, flags: Mapping[str, tuple[str, object]], assignments: Iterable[str] = ()) -> Loaded:
    """The settings.

    Args:
        config: the file of `--config`.
        flags: key and value by flag; None was not given.
        assignments: `--set` options, `key=value`.

    Raises:
        CoordinatorError: as `config.load`.
    """
    from processing_service.config import Given, from_environment, from_file
    from processing_service.config import load as combine

    given = tuple(Given(key, value, flag) for flag, (key, value) in flags.items() if value is not None)
    return combine(from_file(config), from_environment(os.environ), given, tuple(map(_assigned, assignments)))


def _assigned(text: str) -> Given:
    from processing_service.config import Given

    key, separator, value = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"{text!r} has no `=`; write --set key=value")
    return Given(key.strip(), value, f"--set {key}")
