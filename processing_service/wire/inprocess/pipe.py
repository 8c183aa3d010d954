"""A bounded way for messages from one side of an in-process stream to the other."""

from __future__ import annotations

import asyncio
from collections import deque

_ROOM = 4
"""Messages that wait unread before the writer waits."""


class Pipe:
    """One writer, one reader; both on one event loop. Messages are bytes, so that the sides share no object."""

    def __init__(self) -> None:
        self._items: deque[bytes] = deque()
        self._closed = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    async def put(self, item: bytes) -> bool:
        """Hands `item` over, waiting for room; False if the pipe is closed."""
        while len(self._items) >= _ROOM and not self._closed:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
        return self.push(item)

    def push(self, item: bytes) -> bool:
        """Hands `item` over whether there is room or not; False if the pipe is closed."""
        if not self._closed:
            self._items.append(item)
            _wake(self._reader)
        return not self._closed

    async def get(self) -> bytes | None:
        """The next message, waiting for it; None after the last one."""
        while not self._items and not self._closed:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        if not self._items:
            return None
        _wake(self._writer)
        return self._items.popleft()

    def close(self, *, discard: bool = False) -> None:
        """No more messages; the reader still gets those that wait unless they are discarded."""
        self._closed = True
        if discard:
            self._items.clear()
        _wake(self._reader)
        _wake(self._writer)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
