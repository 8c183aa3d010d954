"""The canary of a batch while it runs: which of its cells are out, and what they came to."""

from __future__ import annotations

from collections.abc import Iterable

from processing_service.engine.batches.records import Canary, Verdict
from processing_service.engine.batches.rules import judge
from processing_service.engine.records import SessionState


class Trial:
    """Gathers what the cells of a canary come to.

    Args:
        cells: of the canary, that have yet to end.
    """

    def __init__(self, canary: Canary, cells: Iterable[int]) -> None:
        self.canary = canary
        self._left = set(cells)
        self._found: dict[int, tuple[bool, int]] = {}

    def note(self, cell: int, state: SessionState, started_us: int, ended_us: int) -> None:
        """An attempt of a cell has ended; others than those of the canary do not count, nor does one twice.

        Args:
            started_us: when the attempt started; 0 = it was ended before it could.
        """
        if cell in self._left:
            self._left.discard(cell)
            self._found[cell] = state is not SessionState.SUCCEEDED, ended_us - started_us if started_us else 0

    def forget(self, cell: int) -> None:
        """What that cell came to was not stored: it runs once more."""
        if self._found.pop(cell, None) is not None:
            self._left.add(cell)

    @property
    def over(self) -> bool:
        """True once all of its cells have ended."""
        return not self._left

    def verdict(self) -> Verdict:
        """What it came to."""
        failed = sum(bad for bad, _ in self._found.values())
        return judge(self.canary, failed, max((took_us for _, took_us in self._found.values()), default=0))
