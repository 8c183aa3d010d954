"""Retries of calls outside of sessions; inside one a call goes out once and the engine decides."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from coordinator.error.v1.error_pb2 import ErrorReason
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from processing_service.wire.errors import Code, CoordinatorError

Reply = TypeVar("Reply")

_AGAIN: Final = (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.ABORTED)
_NEVER: Final = (ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE, ErrorReason.ERROR_REASON_MODEL_BUDGET_EXCEEDED)
"""The next try would end alike."""


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """Exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", 2015)."""

    max_attempts: int = 3
    """Tries in all."""
    initial: float = 0.2
    """Longest wait before the second try, in seconds; doubles from try to try."""
    maximum: float = 5.0
    """Longest wait of all, in seconds; a peer may ask for more."""


async def retried(work: Callable[[], Awaitable[Reply]], settings: RetrySettings, deadline: float | None) -> Reply:
    """What `work` gives, tried again while its error says that nothing was done.

    What the peer asked to wait is waited. No try begins past the deadline; then the last error is raised.

    Args:
        deadline: in seconds of `time.monotonic()`.
    """
    jitter = wait_random_exponential(multiplier=settings.initial, max=settings.maximum)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        asked = error.retry_delay if isinstance(error, CoordinatorError) else None
        return jitter(state) if asked is None else asked

    def too_late(state: RetryCallState) -> bool:
        return deadline is not None and time.monotonic() + state.upcoming_sleep >= deadline

    tries = AsyncRetrying(
        stop=lambda state: stop_after_attempt(settings.max_attempts)(state) or too_late(state),
        wait=wait,
        retry=retry_if_exception(may_retry),
        reraise=True,
    )
    return await tries(work)


def may_retry(error: BaseException) -> bool:
    """True if the error says that nothing was done and that another try may end better."""
    return isinstance(error, CoordinatorError) and error.code in _AGAIN and error.reason not in _NEVER
