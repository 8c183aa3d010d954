"""How much memory a model takes, by the growth of the process while it loads and runs.

The operating system counts memory by process, so growth is put down to a model only where nothing of another model
went on meanwhile. A run's growth stays: the runtime's arena keeps the peak. It is therefore measured only for the first
runs of a shape class: input elements to the next power of two, and how many runs of the model go on at the same time.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from processing_service.domains.inference.memory import resident_bytes

Key = tuple[str, str, str]

_SAMPLES = 2
"""Runs of one shape class that are measured."""


@dataclass(eq=False, slots=True)
class Size:
    """What one model takes, as far as it was measured; outlives its stay in memory."""

    loaded_bytes: int = 0
    grown_bytes: int = 0
    """Growth by runs since it was loaded."""

    known_bytes: int = 0
    """Largest growth by runs in its earlier stays."""

    samples: Counter[tuple[int, int]] = field(default_factory=Counter)

    @property
    def run_bytes(self) -> int:
        """Largest memory that runs took beside the loaded model."""
        return max(self.grown_bytes, self.known_bytes)


@dataclass(eq=False, slots=True)
class _Interval:
    size: Size | None
    mixed: bool


class Meter:
    """Measures loads and runs; may be used by several threads.

    Args:
        read: memory of the process now, in bytes.
    """

    def __init__(self, read: Callable[[], int] = resident_bytes) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._sizes: dict[Key, Size] = {}
        self._active: set[_Interval] = set()
        self._level = 0
        """Memory up to which growth was looked at, since something began to go on."""

    def size(self, key: Key) -> Size:
        """What is known of the model."""
        return self._sizes.setdefault(key, Size())

    @contextmanager
    def loading(self, size: Size, least: int) -> Iterator[None]:
        """A load goes on; the model takes no less than `least` bytes.

        Growth shows less where the process freed memory of its own meanwhile, and nothing where other models ran.
        """
        interval = self._enter(size)
        try:
            yield
        finally:
            grown = self._leave(interval)
        if grown is not None:
            size.loaded_bytes = grown
        size.loaded_bytes = max(size.loaded_bytes, least)
        size.known_bytes, size.grown_bytes = size.run_bytes, 0
        size.samples.clear()

    @contextmanager
    def running(self, size: Size, elements: int) -> Iterator[None]:
        """A run on inputs of so many elements goes on."""
        interval = self._enter(size)
        shape_class = elements.bit_length(), len(self._active)
        try:
            yield
        finally:
            grown = self._leave(interval)
            if grown is not None and size.samples[shape_class] < _SAMPLES:
                size.samples[shape_class] += 1
                size.grown_bytes += grown

    @contextmanager
    def disturbed(self) -> Iterator[None]:
        """Memory changes that belong to no load and no run go on."""
        interval = self._enter(None)
        try:
            yield
        finally:
            self._leave(interval)

    def _enter(self, size: Size | None) -> _Interval:
        with self._lock:
            if not self._active:
                self._level = self._read()
            others = [each for each in self._active if each.size is not size]
            for each in others:
                each.mixed = True
            interval = _Interval(size, bool(others))
            self._active.add(interval)
        return interval

    def _leave(self, interval: _Interval) -> int | None:
        """The growth that is this interval's own, and no other's of the same model; None where it cannot be told."""
        with self._lock:
            self._active.remove(interval)
            grown = max(0, self._read() - self._level)
            self._level += grown
        return None if interval.mixed else grown
