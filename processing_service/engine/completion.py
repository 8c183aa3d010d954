"""Work that is carried out to its end, also if the caller who waits for it leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

from processing_service.wire.errors import CoordinatorError

log = logging.getLogger(__name__)

T = TypeVar("T")


async def complete(work: Coroutine[Any, Any, T], name: str) -> T:
    """What the work gives, or raises; it goes on if its caller is cancelled.

    Args:
        name: of the work, for the log: there an unexpected error is told that nobody waits for any more.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(partial(_hear, name))
        raise


def _hear(name: str, task: asyncio.Future[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, CoordinatorError):
        log.error("unexpected %s in %s, whose caller has left", type(error).__name__, name, exc_info=error)
