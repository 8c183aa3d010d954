"""Snapshots of sessions, made once for all who ask meanwhile: a long history takes many milliseconds to read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from coordinator.processing.v1 import processing_pb2 as pb

from instructors.sessions import SessionReader

Snapshot = tuple[pb.Session, Mapping[int, str]]
"""A session with its steps, and step_id by index."""
_Key = tuple[str, str]


class Snapshots:
    """At most one of a session is being made; who comes meanwhile waits for the next, which has all that was before."""

    def __init__(self, reader: SessionReader) -> None:
        self._reader = reader
        self._running: dict[_Key, asyncio.Task[Snapshot]] = {}
        self._next: dict[_Key, asyncio.Task[Snapshot]] = {}

    async def of(self, session_id: str, tenant: str) -> Snapshot:
        """The session as it is durable by now, at least. Raises CoordinatorError: SESSION_NOT_FOUND."""
        key = session_id, tenant
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.ensure_future(self._make(key))
            task.add_done_callback(_forget_error)
        return await asyncio.shield(task)

    async def _make(self, key: _Key) -> Snapshot:
        if (running := self._running.get(key)) is not None:
            await asyncio.wait((running,))
        self._running[key] = self._next.pop(key)
        try:
            return await self._reader.snapshot(*key)
        finally:
            del self._running[key]


def _forget_error(task: asyncio.Task[Snapshot]) -> None:
    """Everybody who asked may have left, and then nobody wants to hear of it."""
    if not task.cancelled():
        task.exception()
