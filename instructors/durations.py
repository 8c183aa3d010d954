"""What calls took lately, by operation and subject: whether one can be done in time, and what a plan may expect.

Kept in memory, for this process alone: after a restart it is learned again.
"""

from __future__ import annotations

from collections import deque
from math import ceil
from time import monotonic
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import Code, CoordinatorError

KEPT: Final = 32
"""Calls of one kind that are remembered, the last ones."""
ENOUGH: Final = 5
"""Calls of one kind before one is refused by what they took."""
_FRESH_S: Final = 60.0
"""How long after the last of them that may be, in seconds, beside ten times the least."""
LOAD: Final = "load"
"""In place of an operation: the load of a model, as a call that waited for it was told."""
_MOST_KINDS: Final = 1024
"""Kinds that are remembered; the one that came first is forgotten first."""


class Pace:
    """What the last calls of one kind took that succeeded."""

    __slots__ = ("_last_at", "_seconds", "least")

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=KEPT)
        self._last_at = 0.0
        self.least = 0.0
        """The quickest of them, in seconds; 0 while there are too few."""

    def note(self, seconds: float, now: float) -> None:
        """One more call. The least is looked for again only when the one that it was is forgotten.

        Args:
            now: in seconds of `time.monotonic()`.
        """
        kept, self._last_at = self._seconds, now
        gone = kept[0] if len(kept) == KEPT else -1.0
        kept.append(seconds)
        if seconds < self.least:
            self.least = seconds
        elif gone == self.least or len(kept) == ENOUGH:
            self.least = min(kept)

    def needed(self, left: float, now: float | None = None) -> float:
        """Seconds that the next call takes at least, if that is more than it has; 0 if it may be done in time.

        The quickest of them and not a usual one, because inputs differ. Nothing is told by less than five, nor a minute
        (and ten times as long as the call) after the last success: the domain may have become quicker, and if no call
        went out any more, nobody would find out.

        Args:
            left: seconds that it has.
        """
        if self.least <= left:
            return 0.0
        age = (monotonic() if now is None else now) - self._last_at
        return self.least if age <= _FRESH_S + 10 * self.least else 0.0

    def quantile(self, share: float) -> float:
        """What that share of them took at most, in seconds (nearest rank); 0 if there was none."""
        ordered = sorted(self._seconds)
        return ordered[max(1, ceil(share * len(ordered))) - 1] if ordered else 0.0


NONE: Final = Pace()
"""Of calls of which nothing is known."""


class Durations:
    """The pace of each kind of calls, by operation and what it works on, such as a model_id."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], Pace] = {}

    def of(self, operation: str, subject: str = "") -> Pace:
        """What is known of calls of that kind; NONE if nothing is."""
        return self._kinds.get((operation, subject), NONE)

    def begin(self, operation: str, subject: str = "") -> Pace:
        """The pace of a kind whose first call has succeeded."""
        kind = operation, subject
        if kind not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]
        return self._kinds.setdefault(kind, Pace())


def budget_too_short(what: str, needed: float, left: float) -> CoordinatorError:
    """DEADLINE_EXCEEDED for a call that takes longer than what is left of its budget, both in seconds."""
    asked, had = f"{needed:.3g}", f"{max(0.0, left):.3g}"
    return CoordinatorError(
        Code.DEADLINE_EXCEEDED,
        ErrorReason.ERROR_REASON_BUDGET_TOO_SHORT,
        f"{what} takes {asked} s at least, as its last calls did, and {had} s are left of the budget; "
        "give the session a longer timeout",
        metadata={"needed_seconds": asked, "left_seconds": had},
    )


def described(operation: str, subject: str) -> str:
    """A kind of calls, for people."""
    return f"{operation} of {subject!r}" if subject else operation
