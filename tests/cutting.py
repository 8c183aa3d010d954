"""A TCP hop that breaks connections in the middle of what comes back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Self


class Cutting:
    """Passes bytes both ways.

    Args:
        address: `host:port` behind it.
        limits: bytes that come back by the first, second, ... connection before it breaks; later ones do not.
    """

    def __init__(self, address: str, limits: Iterable[float] = ()) -> None:
        self._host, _, self._port = address.rpartition(":")
        self._limits = deque(limits)
        self._writers: set[asyncio.StreamWriter] = set()
        self.address = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> bool:
        """Breaks every connection, now; false if there is none."""
        writers, self._writers = self._writers, set()
        for writer in writers:
            writer.transport.abort()
        return bool(writers)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limit = self._limits.popleft() if self._limits else float("inf")
        try:
            behind, to_behind = await asyncio.open_connection(self._host, int(self._port))
        except OSError:  # nobody is there, which is told as it would be without this hop
            writer.transport.abort()
            return
        both = {writer, to_behind}
        self._writers |= both
        try:
            ways = _pass(reader, to_behind, float("inf")), _pass(behind, writer, limit)
            await asyncio.wait([asyncio.ensure_future(way) for way in ways], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.transport.abort()
            self._writers -= both


async def _pass(source: asyncio.StreamReader, to: asyncio.StreamWriter, limit: float) -> None:
    try:
        while limit > 0 and (data := await source.read(1 << 16)):
            to.write(data)
            limit -= len(data)
            await to.drain()
    except ConnectionError:
        pass
