"""Streams of updates that go on over broken connections: one snapshot, then every event once and in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeVar

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client.retries import Comeback
from processing_service.wire.errors import Code, CoordinatorError, Unavailable

Update = TypeVar("Update", pb.WatchProcessingSessionResponse, pb.WatchProcessingBatchResponse)


@dataclass(frozen=True, slots=True)
class Ending:
    """How the end of what is watched shows."""

    noun: str
    """What it is, for messages."""
    states: frozenset[int]
    """States of a snapshot that has ended."""
    event_kind: int
    """Kind of the last event."""


async def resumed(
    open_at: Callable[[int | None], AsyncIterator[Update]],
    after_sequence: int | None,
    ending: Ending,
    comeback: Comeback,
) -> AsyncIterator[Update]:
    """The updates of a watch until what is watched has ended.

    A connection that breaks is made anew behind the last event that was seen, for as long as the settings'
    `reconnect_window` lasts; a coordinator that has never answered is not waited for.

    Args:
        open_at: opens one connection behind a number; None = behind its snapshot.

    Raises:
        CoordinatorError: as the RPC; UNAVAILABLE once the window is over.
    """
    watch = _Watch(after_sequence, ending)
    while True:
        try:
            async for update in open_at(watch.position):
                comeback.reset()
                if watch.is_new(update):
                    yield update
            if watch.ended:
                return
            await comeback.wait(_cut(ending))
        except CoordinatorError as error:
            if watch.is_complete:
                return
            await comeback.wait(_cut(ending) if error.code is Code.DEADLINE_EXCEEDED else error)


class _Watch:
    """What was seen of the events."""

    def __init__(self, after_sequence: int | None, ending: Ending) -> None:
        self.position = after_sequence
        """Number of the last event that was seen, or asked to begin behind; None before the snapshot."""
        self.ended = False
        """Whether the last thing that was seen is the end."""
        self._ending = ending
        self._last: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the end was seen and every event before it."""
        return self.ended and self._last is not None and self.position is not None and self.position >= self._last

    def is_new(self, update: pb.WatchProcessingSessionResponse | pb.WatchProcessingBatchResponse) -> bool:
        """Takes note of an update; False for one that the caller has had."""
        kind = update.WhichOneof("update")
        if kind == "snapshot":
            return self._snapshot(update.snapshot)
        if kind == "event":
            return self._event(update.event)
        return kind is not None

    def _snapshot(self, snapshot: pb.Session | pb.Batch) -> bool:
        """Only the first one is news: behind a reconnection the events tell the rest."""
        first = self._last is None
        self._last = snapshot.last_sequence
        if self.position is None:
            self.position = snapshot.last_sequence
        self.ended = snapshot.state in self._ending.states
        return first

    def _event(self, event: pb.SessionEvent | pb.BatchEvent) -> bool:
        if self.position is not None and event.sequence <= self.position:
            return False
        self.position = event.sequence
        self.ended = event.kind == self._ending.event_kind
        return True


def _cut(ending: Ending) -> CoordinatorError:
    text = f"the watch ended before the {ending.noun} did"
    return Unavailable(ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE, text)
