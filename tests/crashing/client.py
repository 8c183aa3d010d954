"""The client of the load: asks until it has an answer, and keeps a log of its own of what it was told.

A call that broke may have been carried out or not, so it is asked again, with the same request_id, until the server
says what became of it. So each answer in the log is one that the server has to stand by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import grpc
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub

from processing_service.wire.errors import Code, CoordinatorError
from processing_service.wire.interceptors.errors import DETAILS, from_rpc_error

_OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 100),
)
ANSWER_S: Final = 60.0
"""How long an answer may take, restarts of the server included, in seconds."""


class BrokenPromiseError(Exception):
    """What a client itself sees to be wrong."""


class Told:
    """What a client was told of one session."""

    def __init__(self) -> None:
        self.events: list[pb.SessionEvent] = []
        """As Watch gave them, over all its streams."""
        self.ends: dict[int, pb.Session] = {}
        """Sessions that were seen to have ended, by attempt."""
        self.applied: list[str] = []
        """request_id of the commands that were answered as applied, in their order."""
        self.refused: list[str] = []
        """request_id of those that were refused."""
        self.perhaps: set[str] = set()
        """request_id of commands that may have reached it or not."""
        self.removed = False
        """True once the server said that it is removed."""
        self.cuts = 0
        """Streams that broke or were cut."""


class Client:
    """Asks one coordinator.

    Args:
        cut_after: gives the number of events behind which a stream is cut.
        on_start: told of each start that was answered.
    """

    def __init__(self, address: str, cut_after: Callable[[], int], on_start: Callable[[], None] = lambda: None) -> None:
        self.channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self.stub: Any = ProcessingServiceStub(self.channel)
        self.cut_after, self._on_start = cut_after, on_start
        self.told: defaultdict[str, Told] = defaultdict(Told)
        """By session_id."""
        self.broken = 0
        """Calls that broke and were made again."""
        self.batch_cuts = 0
        """Streams of batches that broke or were cut."""

    async def ask(self, method: str, request: Any) -> Any:
        """The answer. Raises CoordinatorError: what the server refused."""
        while True:
            try:
                return await getattr(self.stub, method)(request, wait_for_ready=True, timeout=ANSWER_S)
            except grpc.aio.AioRpcError as error:
                self.check_broken(error)

    def check_broken(self, error: grpc.aio.AioRpcError) -> None:
        """Raises what the server itself said; what no server said is that the connection broke."""
        details = error.trailing_metadata() is not None and DETAILS in dict(error.trailing_metadata())
        if details or error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNIMPLEMENTED):
            raise from_rpc_error(error, "the coordinator") from error
        self.broken += 1

    async def start(self, request: pb.PostWorkflowExecuteRequest) -> pb.Session:
        """Starts a session; its answer, or how the session stands if it turns out to be there already."""
        try:
            session = (await self.ask("PostWorkflowExecute", request)).session
        except CoordinatorError as error:
            if request.request_id or error.reason_name != "SESSION_ALREADY_EXISTS":
                raise
            session = await self.session(request.session_id)
        self._see(session)
        self._on_start()
        return session

    async def session(self, session_id: str) -> pb.Session:
        """The session as it stands. Raises CoordinatorError: SESSION_NOT_FOUND."""
        reply = await self.ask("GetProcessingSession", pb.GetProcessingSessionRequest(session_id=session_id))
        self._see(reply.session)
        return reply.session

    async def control(self, session_id: str, action: pb.ControlAction.ValueType, request_id: str) -> bool:
        """Gives a command; False if it was refused because the session stood otherwise."""
        request = pb.PostSessionControlRequest(session_id=session_id, control_action=action, request_id=request_id)
        told = self.told[session_id]
        try:
            reply = await self.ask("PostSessionControl", request)
            while not reply.applied:  # durable and not applied yet
                reply = await self.ask("PostSessionControl", request)
        except CoordinatorError as error:
            if error.code is not Code.FAILED_PRECONDITION:
                raise
            told.refused.append(request_id)
            return False
        told.applied.append(request_id)
        self._see(reply.session)
        return True

    async def control_all(
        self, labels: Mapping[str, str], action: pb.ControlAction.ValueType, request_id: str, session_ids: Sequence[str]
    ) -> None:
        """Gives a command to all sessions with these labels, which are among those."""
        request = pb.PostSessionControlRequest(control_action=action, request_id=request_id)
        request.selector.labels.update(labels)
        for session_id in session_ids:
            self.told[session_id].perhaps.add(request_id)
        await self.ask("PostSessionControl", request)

    async def delete(self, session_id: str, request_id: str, *, force: bool) -> None:
        """Removes a session."""
        request = pb.DeleteProcessingSessionRequest(session_id=session_id, request_id=request_id, force=force)
        await self.ask("DeleteProcessingSession", request)
        self.told[session_id].removed = True

    async def until(self, session_id: str, wanted: Callable[[pb.SessionEvent], bool]) -> None:
        """Watches on from where it was until an event is wanted, or the session has ended."""
        while not await self._watch(session_id, wanted):
            self.told[session_id].cuts += 1

    async def ended(self, session_id: str) -> pb.Session:
        """The session, once its attempt has ended."""
        await self.until(session_id, lambda event: False)
        return await self.session(session_id)

    async def _watch(self, session_id: str, wanted: Callable[[pb.SessionEvent], bool]) -> bool:
        """One stream; False if it broke, or was cut, before that."""
        told, left = self.told[session_id], self.cut_after()
        after = len(told.events)
        request = pb.WatchProcessingSessionRequest(session_id=session_id, after_sequence=after)
        stream = self.stub.WatchProcessingSession(request, wait_for_ready=True, timeout=ANSWER_S)
        try:
            async for update in stream:
                if update.HasField("snapshot"):
                    self._see(update.snapshot)
                if not update.HasField("event"):
                    continue
                self._hear(session_id, update.event)
                left -= 1
                if wanted(update.event):
                    return True
                if not left:
                    return False
        except grpc.aio.AioRpcError as error:
            self.check_broken(error)
            return False
        finally:
            stream.cancel()
        return True

    def _hear(self, session_id: str, event: pb.SessionEvent) -> None:
        events = self.told[session_id].events
        if event.sequence != len(events) + 1:
            raise BrokenPromiseError(f"G5: Watch of {session_id} gave event {event.sequence} behind {len(events)}")
        events.append(event)

    def _see(self, session: pb.Session) -> None:
        told = self.told[session.session_id]
        if session.state >= pb.SESSION_STATE_SUCCEEDED:
            told.ends.setdefault(session.attempt, session)

    async def all_sessions(self) -> list[pb.Session]:
        """All that the server has, newest first."""
        found: list[pb.Session] = []
        request = pb.GetProcessingSessionsRequest(page_size=1000)
        while True:
            page = await self.ask("GetProcessingSessions", request)
            found += page.sessions
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    async def count(self, *states: pb.SessionState.ValueType) -> int:
        """How many the server counts in some states, or in all."""
        request = pb.GetProcessingSessionsRequest(page_size=1, selector=pb.SessionSelector(states=states))
        return int((await self.ask("GetProcessingSessions", request)).total_count)

    async def history(self, session_id: str) -> list[pb.SessionEvent]:
        """All events of a session."""
        found: list[pb.SessionEvent] = []
        request = pb.GetProcessingSessionEventsRequest(session_id=session_id, page_size=1000)
        while True:
            page = await self.ask("GetProcessingSessionEvents", request)
            found += page.events
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    async def artifact(self, digest: str) -> bytes:
        """A content. Raises CoordinatorError: ARTIFACT_NOT_FOUND."""
        try:
            chunks = self.stub.GetProcessingArtifact(pb.GetProcessingArtifactRequest(digest=digest))
            return b"".join([chunk.data async for chunk in chunks])
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, "the coordinator") from error

    async def put(self, source: str) -> None:
        """Stores a workflow."""
        await self.ask("PutProcessingWorkflow", pb.PutProcessingWorkflowRequest(source=source))

    async def close(self) -> None:
        """Gives the connection up."""
        await self.channel.close()
