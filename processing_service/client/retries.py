"""When a client tries again: only what may succeed later, with growing waits, never past the deadline."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_before_delay

from processing_service.wire.errors import Code, CoordinatorError

T = TypeVar("T")

FIRST_DELAY: Final = 0.2
"""Seconds before the second try at most; it doubles from try to try."""
LONGEST_DELAY: Final = 5.0
"""Seconds before any try at most, unless the server asks for more."""

_RETRIED: Final = frozenset({Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.ABORTED})


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later. RESOURCE_EXHAUSTED counts only if the server said when."""
    if not isinstance(error, CoordinatorError) or error.code not in _RETRIED:
        return False
    return error.code is not Code.RESOURCE_EXHAUSTED or error.retry_delay is not None


async def repeat(attempt: Callable[[float], Awaitable[T]], seconds: float, attempts: int) -> T:
    """Awaits `attempt(seconds left)` until it succeeds or may not be tried again.

    Args:
        attempt: one try, safe to make again.
        seconds: for all tries and the waits between them.
        attempts: tries at most.

    Raises:
        CoordinatorError: what the last try ended with.
    """
    end = time.monotonic() + seconds
    retrying = AsyncRetrying(
        stop=stop_after_attempt(attempts) | stop_before_delay(seconds),
        wait=_wait,
        retry=retry_if_exception(is_transient),
        reraise=True,
    )
    async for trial in retrying:
        with trial:
            return await attempt(max(0.001, end - time.monotonic()))
    raise AssertionError("tenacity ends with a result or an exception")


class Comeback:
    """How long a broken stream waits before it is opened again, and when it is given up.

    Args:
        window: seconds from the first failure in a row to the last try.
    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._tries = 0
        self._end = 0.0

    def reset(self) -> None:
        """The stream works again."""
        self._tries = 0

    async def wait(self, error: CoordinatorError) -> None:
        """Waits for the next try; raises `error` if it is for good or the window is over."""
        if not is_transient(error):
            raise error
        now = time.monotonic()
        if self._tries == 0:
            self._end = now + self._window
        delay = _jitter(self._tries) if error.retry_delay is None else error.retry_delay
        if now + delay > self._end:
            raise error
        self._tries += 1
        await asyncio.sleep(delay)


def new_request_id() -> str:
    """An id that makes one request safe to repeat."""
    return uuid.uuid4().hex


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, CoordinatorError) and error.retry_delay is not None:
        return error.retry_delay
    return _jitter(state.attempt_number - 1)


def _jitter(tries: int) -> float:
    """Full jitter: anywhere up to the doubled delay (M. Brooker, Exponential Backoff And Jitter, 2015)."""
    return random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2**tries))  # noqa: S311 - spreads load, guards nothing
