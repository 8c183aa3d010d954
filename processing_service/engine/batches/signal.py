"""A change that some wait for, without knowing which one it will be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Signal:
    """Wakes whoever waits; each looks then whether it is what they waited for."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed: asyncio.Future[None] = self._loop.create_future()

    def wake(self) -> None:
        """Has everybody look again."""
        if not self._changed.done():
            self._changed.set_result(None)

    async def change(self) -> None:
        """Returns after the next `wake`."""
        if self._changed.done():
            self._changed = self._loop.create_future()
        await asyncio.wait([self._changed])

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once that is so; looked at now, and after each change."""
        while not condition():
            await self.change()
