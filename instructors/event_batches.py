"""Events as watchers are sent them: read, made and serialised once for all who watch the same session."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from coordinator.processing.v1 import processing_pb2 as pb

from instructors.views import event_of
from processing_service.engine.records import Kind, Record
from processing_service.engine.store.base import SessionStore

_EVENTS: Final = 500
"""Events that are read at a time."""
_AT_ONCE: Final = 100
"""Events that are made without a turn for others, and that come in one group at most; it takes about a millisecond."""
_GROUP_BYTES: Final = 1 << 20
"""Where a group ends; a client takes messages of 4 MiB by default."""


class History(NamedTuple):
    """Whose events."""

    session_id: str
    tenant: str
    created_us: int
    """When it was made: another may have its session_id after it is deleted."""


class Piece:
    """Some events that stand in one message, or in one each."""

    def __init__(self, events: Sequence[pb.SessionEvent]) -> None:
        self.events = events
        self.last = events[-1].sequence
        """Number of the last."""
        self.ended_attempt = events[-1].session_attempt if events[-1].kind == pb.EVENT_KIND_SESSION_ENDED else 0
        """Which attempt of the session ends with it; 0 = none."""

    @cached_property
    def singles(self) -> list[bytes]:
        """A WatchProcessingSessionResponse for each."""
        return [pb.WatchProcessingSessionResponse(event=event).SerializeToString() for event in self.events]

    @cached_property
    def grouped(self) -> list[bytes]:
        """One for all."""
        if len(self.events) == 1:
            return self.singles
        group = pb.SessionEventGroup(events=self.events)
        return [pb.WatchProcessingSessionResponse(event_group=group).SerializeToString()]


class Batch:
    """The events behind some number, in order; no pieces if there are none yet."""

    __slots__ = ("__weakref__", "after", "pieces")

    def __init__(self, after: int, pieces: Sequence[Piece]) -> None:
        self.after, self.pieces = after, pieces

    @property
    def last(self) -> int:
        """Number of the last event; that in front of it if there is none."""
        return self.pieces[-1].last if self.pieces else self.after


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
            if batch.pieces or not joined:
                return batch
            # it may have begun before its caller listened for changes; what is under way now has begun since
            if (reading := self._reading.get(place)) is not None:
                return await asyncio.shield(reading)

    async def _read(self, place: _Place, step_ids: Mapping[int, str]) -> Batch:
        history, after = place
        try:
            records = await self._store.records(*history[:2], after, _EVENTS, history.created_us)
            batch = Batch(after, await _pieces(records, history.session_id, step_ids))
        finally:
            del self._reading[place]
        if batch.pieces:
            self._kept[place] = batch
        return batch


async def _pieces(records: Sequence[Record], session_id: str, step_ids: Mapping[int, str]) -> list[Piece]:
    """A piece ends behind the end of an attempt, since a watch may, and before it is too large for a message."""
    pieces: list[Piece] = []
    events: list[pb.SessionEvent] = []
    size = 0
    for record in records:
        event = event_of(record, session_id, step_ids)
        events.append(event)
        size += event.ByteSize()
        full = len(events) == _AT_ONCE or size > _GROUP_BYTES
        if full or record.kind is Kind.SESSION_ENDED:
            pieces.append(Piece(events))
            events, size = [], 0
        if full:
            await asyncio.sleep(0)
    return [*pieces, Piece(events)] if events else pieces
