"""Watching a session: one stream of updates, also over broken connections and restarts of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client.retries import Comeback
from processing_service.client.sessions import SessionCalls
from processing_service.wire.errors import Code, CoordinatorError, Unavailable

ENDED: Final = frozenset(
    {
        pb.SESSION_STATE_SUCCEEDED,
        pb.SESSION_STATE_FAILED,
        pb.SESSION_STATE_CANCELLED,
        pb.SESSION_STATE_TERMINATED,
        pb.SESSION_STATE_TIMED_OUT,
    }
)
"""States in which an attempt has ended."""


class SessionWatching(SessionCalls):
    """The stream of a session, and what follows from it."""

    async def watch_session(
        self, session_id: str, after_sequence: int | None = None
    ) -> AsyncIterator[pb.WatchProcessingSessionResponse]:
        """A snapshot, then every event behind it (or behind `after_sequence`) once and in order, and progress.

        A connection that breaks is made anew behind the last event that was seen, for as long as the settings'
        `reconnect_window` lasts; a coordinator that has never answered is not waited for. Ends behind the terminal
        event.

        Raises:
            CoordinatorError: as the RPC; UNAVAILABLE once the window is over.
        """
        watch = _Watch(after_sequence)
        comeback = Comeback(self._caller)
        while True:
            try:
                async for update in self.watch_processing_session(session_id, watch.position):
                    comeback.reset()
                    if watch.is_new(update):
                        yield update
                if watch.ended:
                    return
                await comeback.wait(_cut())
            except CoordinatorError as error:
                if watch.is_complete:
                    return
                await comeback.wait(_cut() if error.code is Code.DEADLINE_EXCEEDED else error)

    async def watch_processing_session(
        self, session_id: str, after_sequence: int | None = None
    ) -> AsyncIterator[pb.WatchProcessingSessionResponse]:
        """The stream of one connection, as it comes."""
        request = pb.WatchProcessingSessionRequest(session_id=session_id, after_sequence=after_sequence)
        seconds = self._caller.settings.stream_deadline
        async for update in self._caller.stream(self._stub.WatchProcessingSession, request, seconds):
            yield update

    async def wait_session(self, session_id: str) -> pb.Session:
        """The session once its attempt has ended, with steps and outputs."""
        async for _ in self.watch_session(session_id):
            pass
        return (await self.get_processing_session(session_id)).session

    async def execute_workflow(self, workflow_id: str, /, *args: Any, **options: Any) -> pb.Session:
        """Runs a workflow to its end, however long that takes; arguments as `post_workflow_execute`.

        Returns:
            The session, ended; `failure` says why if it did not succeed.
        """
        session = (await self.post_workflow_execute(workflow_id, *args, **options)).session
        return session if session.state in ENDED else await self.wait_session(session.session_id)


class _Watch:
    """What was seen of a session's events."""

    def __init__(self, after_sequence: int | None) -> None:
        self.position = after_sequence
        """Number of the last event that was seen, or asked to begin behind; None before the snapshot."""
        self.ended = False
        """Whether the last thing that was seen of the session is its end."""
        self._last: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the end was seen and every event before it."""
        return self.ended and self._last is not None and self.position is not None and self.position >= self._last

    def is_new(self, update: pb.WatchProcessingSessionResponse) -> bool:
        """Takes note of an update; False for one that the caller has had."""
        kind = update.WhichOneof("update")
        if kind == "snapshot":
            return self._snapshot(update.snapshot)
        if kind == "event":
            return self._event(update.event)
        return kind is not None

    def _snapshot(self, session: pb.Session) -> bool:
        """Only the first one is news: behind a reconnection the events tell the rest."""
        first = self._last is None
        self._last = session.last_sequence
        if self.position is None:
            self.position = session.last_sequence
        self.ended = session.state in ENDED
        return first

    def _event(self, event: pb.SessionEvent) -> bool:
        if self.position is not None and event.sequence <= self.position:
            return False
        self.position = event.sequence
        self.ended = event.kind == pb.EVENT_KIND_SESSION_ENDED
        return True


def _cut() -> CoordinatorError:
    return Unavailable(ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE, "the watch ended before the session did")
