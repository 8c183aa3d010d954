"""The folder of the demo's results: begun afresh by each run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

PICTURE: Final = ".annotated.png"
"""What the name of a page's picture ends with."""
_STORE: Final = "store"


def begin(folder: Path) -> Path:
    """Removes what an earlier demo left, and nothing else; the folder of the store.

    Raises:
        CoordinatorError: STORE_LOCKED while another demo works there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_store(folder / _STORE)
    for picture in folder.glob(f"*{PICTURE}"):
        picture.with_name(picture.name.removesuffix(PICTURE) + ".json").unlink(missing_ok=True)
        picture.unlink()
    return folder / _STORE


def _remove_store(store: Path) -> None:
    from processing_service.engine.store.sqlite.lock import Lock

    if not (store / "lock").exists():
        return
    lock = Lock(store)  # nobody works with what is removed
    try:
        for file in store.glob("coordinator.sqlite*"):
            file.unlink()
        shutil.rmtree(store / "artifacts", ignore_errors=True)
    finally:
        lock.close()
