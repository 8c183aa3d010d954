"""Events as watchers are sent them, read and made once for all who watch the same session."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from coordinator.processing.v1 import processing_pb2 as pb

from instructors.views import event_of
from processing_service.engine.records import Record
from processing_service.engine.store.base import SessionStore

_EVENTS: Final = 500
"""Events that are read at a time."""
_AT_ONCE: Final = 100
"""Events that are made without a turn for others; it takes about a millisecond."""


class History(NamedTuple):
    """Whose events."""

    session_id: str
    tenant: str
    created_us: int
    """When it was made: another may have its session_id after it is deleted."""


class Batch:
    """Updates with the events behind some number, in order; empty if there are none yet."""

    __slots__ = ("__weakref__", "updates")

    def __init__(self, updates: Sequence[pb.WatchProcessingSessionResponse]) -> None:
        self.updates = updates


_Place = tuple[History, int]


class EventBatches:
    """Batches by history and number, for as long as a watcher is at them."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._kept: WeakValueDictionary[_Place, Batch] = WeakValueDictionary()
        self._reading: dict[_Place, asyncio.Task[Batch]] = {}

    async def behind(self, history: History, after: int, step_ids: Mapping[int, str]) -> Batch:
        """What is durable behind that number by now, or the beginning of it.

        Args:
            step_ids: step_id by index.

        Raises:
            CoordinatorError: SESSION_NOT_FOUND.
        """
        place = history, after
        batch = self._kept.get(place)
        if batch is not None:
            return batch
        while True:
            reading = self._reading.get(place)
            joined = reading is not None
            if reading is None:
                reading = self._reading[place] = asyncio.ensure_future(self._read(place, step_ids))
            # it goes on for the others when one of them leaves
            batch = await asyncio.shield(reading)
            if batch.updates or not joined:
                return batch
            # it may have begun before its caller listened for changes; what is under way now has begun since
            if (reading := self._reading.get(place)) is not None:
                return await asyncio.shield(reading)

    async def _read(self, place: _Place, step_ids: Mapping[int, str]) -> Batch:
        history, after = place
        try:
            records = await self._store.records(*history[:2], after, _EVENTS, history.created_us)
            batch = Batch(await _updates(records, history.session_id, step_ids))
        finally:
            del self._reading[place]
        if batch.updates:
            self._kept[place] = batch
        return batch


async def _updates(
    records: Sequence[Record], session_id: str, step_ids: Mapping[int, str]
) -> list[pb.WatchProcessingSessionResponse]:
    updates: list[pb.WatchProcessingSessionResponse] = []
    for first in range(0, len(records), _AT_ONCE):
        if first:
            await asyncio.sleep(0)
        some = records[first : first + _AT_ONCE]
        updates += [pb.WatchProcessingSessionResponse(event=event_of(record, session_id, step_ids)) for record in some]
    return updates
