"""What is known of a batch: plain data that is stored and compared. The enums have the numbers of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final, NamedTuple

from processing_service.engine.priorities import DEFAULT_PRIORITY
from processing_service.engine.records import Fault, SessionState

DEFAULT_PARALLEL: Final = 8
"""Cells at the same time where a batch does not say it."""


class BatchState(IntEnum):
    """State of a batch."""

    CREATED = 1
    RUNNING = 2
    PAUSING = 3
    PAUSED = 4
    CANCELLING = 5
    SUCCEEDED = 6
    PARTIALLY_SUCCEEDED = 7
    FAILED = 8
    CANCELLED = 9

    @property
    def terminal(self) -> bool:
        """True if no cell runs or will, unless failed ones are retried."""
        return self >= BatchState.SUCCEEDED


class PausedReason(IntEnum):
    """Who paused a batch."""

    NOBODY = 0
    OPERATOR = 1
    CANARY = 2
    BREAKER = 3


class BatchAction(IntEnum):
    """What a client may ask of a batch."""

    PAUSE = 1
    RESUME = 2
    CANCEL = 3
    RETRY_FAILED = 4
    REPRIORITIZE = 5


class BatchKind(IntEnum):
    """What happened to a batch; BatchEventKind of the contract."""

    BATCH_CREATED = 1
    BATCH_STATE_CHANGED = 2
    CELL_ENDED = 3
    CANARY_PASSED = 4
    CANARY_FAILED = 5
    PRIORITY_CHANGED = 6
    BATCH_ENDED = 7


class Canary(NamedTuple):
    """The cells that must pass before the rest."""

    cell_count: int
    max_failures: int = 0
    max_cell_us: int = 0
    """Longest time of each, in microseconds; 0 = any."""


class Verdict(NamedTuple):
    """What the canary came to."""

    decided: bool = False
    passed: bool = False
    failed_count: int = 0
    longest_us: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a batch stands."""

    state: BatchState = BatchState.CREATED
    paused_reason: PausedReason = PausedReason.NOBODY
    priority: int = DEFAULT_PRIORITY
    started_us: int = 0
    ended_us: int = 0
    retry_before_us: int = 0
    """Cells that ended before this without success are run again; 0 = none are."""
    canary: Verdict = field(default=Verdict())
    fault: Fault | None = None
    """Why it failed, or why the canary did not pass."""

    def moved(self, state: BatchState, **changes: object) -> Standing:
        """The same in another state."""
        return replace(self, state=state, **changes)  # type: ignore[arg-type]  # its own fields


class BatchRecord(NamedTuple):
    """Something that happened to a batch."""

    at: int
    kind: BatchKind
    state: BatchState
    """After it."""
    cell: int = -1
    """Of CELL_ENDED."""
    cell_state: int = 0
    cell_attempt: int = 0
    request_id: str = ""
    actor: str = ""
    message: str = ""


class Counts(NamedTuple):
    """Cells by state; they always add up to total."""

    items: int
    total: int
    begun: Mapping[int, int]
    """Those that have a session, by its state."""
    over: bool
    """True if the batch has ended: what never began is cancelled then, and not pending."""

    @property
    def unbegun(self) -> int:
        """Cells that have no session."""
        return self.total - sum(self.begun.values())

    def of(self, state: SessionState) -> int:
        """Cells in that state of their session."""
        return self.begun.get(state, 0)

    @property
    def pending(self) -> int:
        """Cells that are yet to begin, also those whose session waits for its start to be durable."""
        return self.of(SessionState.PENDING) + (0 if self.over else self.unbegun)

    @property
    def running(self) -> int:
        """Cells whose session has begun and not ended."""
        return sum(
            count for state, count in self.begun.items() if SessionState.PENDING < state < SessionState.SUCCEEDED
        )

    @property
    def cancelled(self) -> int:
        """Cells that were cancelled, also before they began."""
        return self.of(SessionState.CANCELLED) + (self.unbegun if self.over else 0)

    @property
    def unsuccessful(self) -> int:
        """Cells that ended otherwise than with success."""
        return sum(count for state, count in self.begun.items() if state > SessionState.SUCCEEDED)
