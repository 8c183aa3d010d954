"""The store in one SQLite file, its artifacts beside it."""

from processing_service.engine.store.sqlite.store import SqliteStore, StoreSettings

__all__ = ["SqliteStore", "StoreSettings"]
