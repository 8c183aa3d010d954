"""The threads that run models, so that the event loop never does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from processing_service.domains.inference.runtimes.base import Stop

T = TypeVar("T")


class Executor:
    """A pool of as many threads as runs may go on at the same time; more wait in order.

    Args:
        workers: threads.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool = ThreadPoolExecutor(workers, "inference")

    async def run(self, work: Callable[[], T], stop: Stop) -> T:
        """The result of `work`, done in a thread.

        If the caller is cancelled, `stop` is set and the thread waited for, so that what the work uses is free when
        this returns. Work that no thread has begun is dropped.
        """
        done = self._pool.submit(work)
        running = asyncio.wrap_future(done)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            stop.set()
            if not done.cancel():
                await settled(running)
            raise

    def close(self) -> None:
        """Drop what waits and wait for what runs; blocks."""
        self._pool.shutdown(cancel_futures=True)


async def settled(future: asyncio.Future[T]) -> None:
    """Wait for the future's end however often the caller is cancelled meanwhile; its result is of no use."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()
