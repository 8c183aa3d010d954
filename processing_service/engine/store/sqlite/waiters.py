"""Who waits for the next commit of what."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Waiters:
    """Futures by the name of what is waited for."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    def notify(self, name: str) -> None:
        """Wakes whoever waits for that."""
        for future in self._waiting.pop(name, ()):
            if not future.done():
                future.set_result(None)

    async def changed(self, name: str) -> None:
        """Returns after the next `notify`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[name].add(future)
        try:
            await future
        finally:
            if waiting := self._waiting.get(name):
                waiting.discard(future)
                if not waiting:
                    del self._waiting[name]
