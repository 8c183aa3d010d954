"""What is done for a batch although nobody waits for it, or although the store does not take it at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final, TypeVar

from processing_service.wire.errors import Code, CoordinatorError, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

PAUSE_S: Final = 1.0
"""How long after the store refused something it is tried again, in seconds."""


class Chores:
    """The chores of one batch.

    Args:
        batch_id: for the log.
    """

    def __init__(self, batch_id: str) -> None:
        self._batch_id = batch_id
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def insist(self, work: Callable[[], Awaitable[T]]) -> T:
        """Does it, and once more after a pause as long as the store does not take it."""
        while True:
            try:
                return await work()
            except CoordinatorError as error:
                if not may_pass(error):
                    raise
                log.warning("batch %s waits for the store: %s", self._batch_id, error)
            await asyncio.sleep(PAUSE_S)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Carries out what nobody waits for; nothing once the batch does not run here any more."""
        if self._closed:
            work.close()
            return
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._heard)

    def close(self) -> None:
        """The batch does not run here any more: ends what is under way, and begins nothing."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    def _heard(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("batch %s: %s", self._batch_id, error, exc_info=error)


def may_pass(error: CoordinatorError) -> bool:
    """True if the same may be taken later: the store or the server is in trouble, and not what was asked."""
    return isinstance(error, Unavailable) or error.code is Code.RESOURCE_EXHAUSTED
