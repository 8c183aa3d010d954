"""The model repository: a folder with `<model_id>/<version>/model.onnx` and an optional `model.yaml` beside it."""

from __future__ import annotations

import contextlib
import re
import threading
from pathlib import Path
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.domains.model.settings import RepositorySettings
from processing_service.domains.model.version import MANIFEST_FILE, MODEL_FILE, digest_of, read_version
from processing_service.domains.models import ModelVersion
from processing_service.wire.errors import CoordinatorError, not_found

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NUMBERS: Final = re.compile(r"v?(\d{1,18}(?:\.\d{1,18})*)")

Stamp = tuple[int, int, int] | None

__all__ = ["ModelRepository", "RepositorySettings", "version_key"]


class ModelRepository:
    """Reads the repository's folder; may be used by several threads. Its calls read the disk, so make them in a thread.

    What was read is kept until a file's time, length or inode changes; a model file is hashed once.
    """

    def __init__(self, settings: RepositorySettings) -> None:
        self._path = settings.path
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[tuple[Stamp, Stamp], ModelVersion]] = {}

    def lack(self) -> str:
        """Why there is no model at all, and what to do; empty if there are some. For its owner: it names the folder."""
        if self.model_ids():
            return ""
        lack = "there are no models in" if self._path.is_dir() else "there is no folder"
        return f"{lack} {str(self._path)!r}; `make models` makes `models`, `model import` any other"

    def model_ids(self) -> list[str]:
        """All models, by name."""
        return sorted(name for name in _folders(self._path) if self.versions(name))

    def versions(self, model_id: str) -> list[str]:
        """All versions of the model, newest first; empty if there is no such model."""
        if not _NAME.fullmatch(model_id):
            return []
        folder = self._path / model_id
        return sorted(
            (name for name in _folders(folder) if (folder / name / MODEL_FILE).is_file()), key=version_key, reverse=True
        )

    def models(self) -> list[ModelVersion]:
        """Every version of every model, by name, newest version first; those that cannot be used too."""
        found = []
        for model_id in self.model_ids():
            for version in self.versions(model_id):
                with contextlib.suppress(FileNotFoundError, CoordinatorError):  # it went while we looked
                    found.append(self.describe(model_id, version))
        return found

    def find(self, model_id: str, model_version: str) -> str:
        """The version of that name; an empty one is the newest.

        Raises:
            CoordinatorError: MODEL_NOT_FOUND with the nearest name.
        """
        versions = self.versions(model_id)
        if not versions:
            known, hint = self.model_ids(), "model.get_models lists them"
            raise not_found(ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, "model", model_id, known, hint)
        version = model_version or versions[0]
        if version not in versions:
            name, known = f"{model_id}/{version}", [f"{model_id}/{known}" for known in versions]
            hint = f"its versions are {', '.join(versions)}"
            raise not_found(ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, "model version", name, known, hint)
        return version

    def resolve(self, model_id: str, model_version: str) -> ModelVersion:
        """The model of that name and version; an empty version is the newest.

        Raises:
            CoordinatorError: MODEL_NOT_FOUND with the nearest name, or MODEL_INVALID for one that cannot be used.
        """
        return self._read(model_id, self.find(model_id, model_version))

    def describe(self, model_id: str, model_version: str) -> ModelVersion:
        """As `resolve`, but one that cannot be used is described by digest and size instead of raising."""
        version = self.find(model_id, model_version)
        try:
            return self._read(model_id, version)
        except CoordinatorError:
            path = self._path / model_id / version / MODEL_FILE
            size = path.stat().st_size
            return ModelVersion(model_id, version, path, digest_of(path), size, size)

    def _read(self, model_id: str, version: str) -> ModelVersion:
        path = self._path / model_id / version / MODEL_FILE
        stamps = (_stamp(path), _stamp(path.with_name(MANIFEST_FILE)))
        with self._lock:
            known = self._known.get((model_id, version))
            if known is None or known[0] != stamps:
                known = stamps, read_version(model_id, version, path.parent)
                self._known[model_id, version] = known
            return known[1]


def version_key(version: str) -> tuple[tuple[int, ...], str]:
    """Sorts versions by their leading numbers, then by text: beta, 1, 1.2, 1.10, 2-rc, 10."""
    numbers = _NUMBERS.match(version)
    return tuple(map(int, numbers[1].split("."))) if numbers else (), version


def _folders(path: Path) -> list[str]:
    try:
        return [entry.name for entry in path.iterdir() if _NAME.fullmatch(entry.name) and entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
