"""Parsed results of steps, kept while their session may need them; the stored bytes are the truth."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

_SMALL: Final = 4096
"""Results up to this many bytes are not counted: they go with their session."""

Key = tuple[int, int]
"""Step and item; -1 = no item."""


class Results:
    """What one session keeps."""

    __slots__ = ("large", "values")

    def __init__(self) -> None:
        self.values: dict[Key, Any] = {}
        self.large: dict[Key, int] = {}
        """Bytes of those that are counted."""


class ResultCache:
    """Keeps the results of all sessions within a number of bytes; what was used longest ago goes first.

    Args:
        limit_bytes: most bytes of large results; one that is larger alone is kept until the next one comes.
    """

    def __init__(self, limit_bytes: int = 40 << 20) -> None:
        self._limit = limit_bytes
        self._used: OrderedDict[tuple[int, Key], Results] = OrderedDict()
        self.size_bytes = 0
        """Bytes of large results that are kept."""

    def put(self, results: Results, key: Key, value: Any, size: int) -> None:
        """Keeps a value of so many bytes."""
        if key in results.large:
            self.drop(results, key)
        results.values[key] = value
        if size > _SMALL:
            results.large[key] = size
            self._used[id(results), key] = results
            self.size_bytes += size
            self._shrink()

    def get(self, results: Results, key: Key) -> Any:
        """The value, or None if it is not kept."""
        value = results.values.get(key)
        if value is not None and key in results.large:
            self._used.move_to_end((id(results), key))
        return value

    def drop(self, results: Results, key: Key) -> None:
        """Forgets a value."""
        results.values.pop(key, None)
        size = results.large.pop(key, 0)
        if size:
            self.size_bytes -= size
            del self._used[id(results), key]

    def drop_all(self, results: Results) -> None:
        """Forgets all values of a session."""
        for key in tuple(results.large):
            self.drop(results, key)
        results.values.clear()

    def _shrink(self) -> None:
        while self.size_bytes > self._limit and len(self._used) > 1:
            (_, key), results = next(iter(self._used.items()))
            self.drop(results, key)
