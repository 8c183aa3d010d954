"""When a client opens a broken stream again, and what makes a request safe to repeat."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from typing import Final

from processing_service.wire.errors import CoordinatorError
from processing_service.wire.retries import may_retry

_FIRST: Final = 0.2
_LONGEST: Final = 5.0


class Comeback:
    """How long a broken stream waits before it is opened again, and when it is given up.

    The waits double from 0.2 s to 5 s with full jitter (M. Brooker, "Exponential Backoff And Jitter", 2015).

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
        if not may_retry(error):
            raise error
        now = time.monotonic()
        if self._tries == 0:
            self._end = now + self._window
        delay = self._jitter() if error.retry_delay is None else error.retry_delay
        if now + delay > self._end:
            raise error
        self._tries += 1
        await asyncio.sleep(delay)

    def _jitter(self) -> float:
        return random.uniform(0, min(_LONGEST, _FIRST * 2**self._tries))  # noqa: S311 - spreads load, guards nothing


def new_request_id() -> str:
    """An id that makes one request safe to repeat."""
    return uuid.uuid4().hex
