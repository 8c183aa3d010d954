"""Watching a session: one stream of updates, also over broken connections and restarts of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client.resuming import Ending, resumed
from processing_service.client.retries import Comeback
from processing_service.client.sessions import SessionCalls

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

_ENDING: Final = Ending("session", ENDED, pb.EVENT_KIND_SESSION_ENDED)


class SessionWatching(SessionCalls):
    """The stream of a session, and what follows from it."""

    def watch_session(
        self, session_id: str, after_sequence: int | None = None
    ) -> AsyncIterator[pb.WatchProcessingSessionResponse]:
        """A snapshot, then every event behind it (or behind `after_sequence`) once and in order, and progress.

        A connection that breaks is made anew behind the last event that was seen, for as long as the settings'
        `reconnect_window` lasts; a coordinator that has never answered is not waited for. Ends behind the terminal
        event.

        Raises:
            CoordinatorError: as the RPC; UNAVAILABLE once the window is over.
        """

        async def open_at(position: int | None) -> AsyncIterator[pb.WatchProcessingSessionResponse]:
            async for update in self.watch_processing_session(session_id, position, grouped=True):
                for each in _each(update):
                    yield each

        return resumed(open_at, after_sequence, _ENDING, Comeback(self._caller))

    async def watch_processing_session(
        self, session_id: str, after_sequence: int | None = None, *, grouped: bool = False
    ) -> AsyncIterator[pb.WatchProcessingSessionResponse]:
        """The stream of one connection, as it comes; `grouped` allows several events in one message."""
        request = pb.WatchProcessingSessionRequest(
            session_id=session_id, after_sequence=after_sequence, grouped_events=grouped
        )
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


def _each(update: pb.WatchProcessingSessionResponse) -> Iterable[pb.WatchProcessingSessionResponse]:
    """An update for each event of a group."""
    if not update.HasField("event_group"):
        return (update,)
    return (pb.WatchProcessingSessionResponse(event=event) for event in update.event_group.events)
