"""When a client opens a broken stream again, and what makes a request safe to repeat."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from typing import TYPE_CHECKING, Final

from processing_service.wire.errors import CoordinatorError
from processing_service.wire.retries import may_retry

if TYPE_CHECKING:
    from processing_service.client.caller import Caller

_FIRST: Final = 0.2
_LONGEST: Final = 5.0


class Comeback:
    """How long a broken stream waits before it is opened again, and when it is given up.

    The waits double from 0.2 s to 5 s with full jitter (M. Brooker, "Exponential Backoff And Jitter", 2015).

    A coordinator that has not answered yet is tried as often as for any other call; one that has is waited for, for
    the `reconnect_window` of the settings.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
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
            self._end = now + self._caller.settings.reconnect_window
        self._check_answered(error)
        delay = self._jitter() if error.retry_delay is None else error.retry_delay
        if now + delay > self._end:
            raise error
        self._tries += 1
        await asyncio.sleep(delay)

    def _check_answered(self, error: CoordinatorError) -> None:
        """The first try again is soon and often enough; from the second on somebody may want to know."""
        if not self._caller.answered and self._tries + 1 >= self._caller.settings.attempts:
            raise error
        if self._caller.answered and self._tries == 1:
            self._caller.on_break(error)

    def _jitter(self) -> float:
        return random.uniform(0, min(_LONGEST, _FIRST * 2**self._tries))  # noqa: S311 - spreads load, guards nothing


def new_request_id() -> str:
    """An id that makes one request safe to repeat."""
    return uuid.uuid4().hex
