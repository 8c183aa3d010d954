"""Sessions that wait until their start is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from processing_service.engine.live import Live, SessionKey
from processing_service.engine.roster import Roster
from processing_service.engine.store.base import Opened

OnLeave = Callable[[Live], None]
"""Called with the session of a caller that left before its start was durable, once it runs."""


class Openings:
    """Begins each in the very turn of the loop that hears that it is stored, whoever waits for it.

    Args:
        roster: the sessions that run.
        begin: runs a session that is stored, unless the engine lets go of its own.
    """

    def __init__(self, roster: Roster, begin: Callable[[Live], None]) -> None:
        self._roster, self._begin = roster, begin
        self._loop = asyncio.get_running_loop()
        self._durable: dict[SessionKey, asyncio.Future[Opened]] = {}

    def __contains__(self, key: SessionKey) -> bool:
        """Whether one of that name waits."""
        return key in self._durable

    async def wait(self, key: SessionKey) -> None:
        """Returns once the last of that name runs or was refused: a start is stored a moment before it does."""
        if (durable := self._durable.get(key)) is not None:
            await asyncio.wait([durable])

    async def opened(self, live: Live, durable: asyncio.Future[Opened], on_leave: OnLeave | None) -> Opened:
        """Returns when its start is durable and, unless that was a repeat, it has begun. Raises as `Engine.submit`."""
        self._durable[live.key] = durable
        told: asyncio.Future[Opened] = self._loop.create_future()  # a caller that leaves cancels this one only
        durable.add_done_callback(partial(self._stored, live, told))
        try:
            return await told
        except asyncio.CancelledError:
            if on_leave is not None:
                durable.add_done_callback(partial(self._leave, live, on_leave))
            raise

    def _stored(self, live: Live, told: asyncio.Future[Opened], durable: asyncio.Future[Opened]) -> None:
        if self._durable.get(live.key) is durable:  # else another of its name waits by now
            del self._durable[live.key]
        error = durable.exception()
        if error is None and not durable.result().repeated:
            self._begin(live)
        if not told.done():
            told.set_result(durable.result()) if error is None else told.set_exception(error)

    def _leave(self, live: Live, on_leave: OnLeave, durable: asyncio.Future[Opened]) -> None:
        if live in self._roster:
            on_leave(live)
