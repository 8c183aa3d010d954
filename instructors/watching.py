"""Watches sessions: a snapshot, then every event in order, and progress between them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from instructors.event_batches import History
from instructors.session_feeds import Feed, SessionFeeds
from instructors.sessions import SessionReader, check_sequence
from instructors.snapshots import Snapshots
from processing_service.engine.roster import Roster
from processing_service.engine.store.base import SessionStore
from processing_service.wire.callcontext import current
from processing_service.wire.errors import Unavailable


class SessionWatch:
    """Follows histories. The store is the only source of events, so a watcher sees what is durable."""

    def __init__(self, store: SessionStore, reader: SessionReader, roster: Roster) -> None:
        self._reader, self._snapshots = reader, Snapshots(reader)
        self._feeds = SessionFeeds(store, roster)

    def close(self) -> None:
        """Ends all watches with UNAVAILABLE: their clients go on elsewhere, from where they were."""
        self._feeds.close(draining())

    async def watch(
        self, request: pb.WatchProcessingSessionRequest
    ) -> AsyncIterator[pb.WatchProcessingSessionResponse | bytes]:
        """The updates of a session until its end; what many are sent is serialised already.

        Raises:
            CoordinatorError: SESSION_NOT_FOUND, SESSION_NOT_STORED, SEQUENCE_OUT_OF_RANGE, SERVER_DRAINING.
        """
        session_id, tenant = request.session_id, current().tenant
        await self._reader.row(session_id, tenant)
        snapshot, step_ids = await self._snapshots.of(session_id, tenant)
        last = snapshot.last_sequence
        after = request.after_sequence if request.HasField("after_sequence") else last
        check_sequence(after, last)
        yield pb.WatchProcessingSessionResponse(snapshot=snapshot)
        if snapshot.state >= pb.SESSION_STATE_SUCCEEDED and after == last:
            return
        history = History(session_id, tenant, snapshot.created_at.ToMicroseconds())
        async with self._feeds.join(history, step_ids, last) as feed:
            async for message in _updates(feed, after, grouped=request.grouped_events):
                yield message


def draining() -> Unavailable:
    """UNAVAILABLE for a watch that ends because its server does."""
    text = "the server is shutting down; watch again with after_sequence"
    return Unavailable(ErrorReason.ERROR_REASON_SERVER_DRAINING, text, retry_delay=1.0)


async def _updates(feed: Feed, after: int, *, grouped: bool) -> AsyncIterator[bytes]:
    """Events behind that number, and progress while there are none.

    No line between a look at the feed and `news` gives up its turn, so no wave is missed.
    """
    progress = b""
    while True:
        if after < feed.last:
            for piece in (await feed.behind(after)).pieces:
                for message in piece.grouped if grouped else piece.singles:
                    yield message
                after = piece.last
                if piece.ended_attempt and await feed.is_over(piece.ended_attempt):
                    return
        elif feed.error is not None:
            raise feed.error
        elif feed.over:
            return
        elif after == feed.last and progress is not feed.progress:
            progress = feed.progress
            yield progress
        else:
            await feed.news()
