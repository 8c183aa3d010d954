"""Modules that no package has: scripts, and code that a test generated."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

_SCRIPTS: Final = Path(__file__).parents[1] / "scripts"


def load(file: Path) -> ModuleType:
    """The module of that file, run anew; nobody else can import it."""
    spec = spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_script(name: str) -> ModuleType:
    """One of the scripts of the project."""
    return load(_SCRIPTS / f"{name}.py")
