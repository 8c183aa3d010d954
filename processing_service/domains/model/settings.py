"""Where the Model service finds its models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """Where the models are."""

    path: Path = Path("models")
    """Folder of the repository; read anew at each call, so models may be added while the server runs."""
