"""Deadlines of served calls: what a caller may ask for, and what it gets that asks for none."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import Code, CoordinatorError


@dataclass(frozen=True, slots=True)
class DeadlineSettings:
    """For calls with one response. Streams of responses have the deadline that their callers give them, if any."""

    default: float = 600.0
    """Seconds for a call without a deadline."""
    maximum: float = 3600.0
    """Seconds for a call with a longer one."""


def deadline_of(remaining: float | None) -> float | None:
    """The caller's deadline in seconds of `time.monotonic()`; raises DEADLINE_EXCEEDED if it has passed."""
    if remaining is None:
        return None
    if remaining <= 0:
        raise exceeded()
    return time.monotonic() + remaining


def exceeded() -> CoordinatorError:
    """DEADLINE_EXCEEDED, with what to do about it."""
    return CoordinatorError(
        Code.DEADLINE_EXCEEDED,
        ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED,
        "the deadline of the call has passed; give it more time, or run the work in the background",
    )


class Limit:
    """Cancels the task that serves a call when the server's own limit is over. Made only where it is needed."""

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)
        self.expired = False

    def _expire(self) -> None:
        self.expired = True
        self._task.cancel()

    def lift(self) -> None:
        """Ends the limit; a task that it has cancelled is no longer cancelled."""
        self._timer.cancel()
        if self.expired:
            self._task.uncancel()


def own_limit(settings: DeadlineSettings, remaining: float | None) -> float | None:
    """Seconds after which the server ends the call itself; None where the caller's deadline does it."""
    if remaining is None:
        return settings.default
    return settings.maximum if remaining > settings.maximum else None
