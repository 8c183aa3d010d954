"""What the engine asks of a store. One suite, `tests/contract/test_store.py`, runs on every implementation."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from coordinator.payload.v1.payload_pb2 import Artifact
from coordinator.processing.v1.processing_pb2 import Workflow

from processing_service.engine.records import Output, Record, SessionState
from processing_service.engine.state import State
from processing_service.wire.errors import CoordinatorError


class SessionStart(NamedTuple):
    """What is known of a session before anything happens; never changes."""

    session_id: str
    tenant: str
    workflow_id: str
    definition_digest: bytes
    """SHA-256 of the definition, 32 bytes."""
    definition: bytes
    """The definition, a serialised processing.v1.Workflow."""
    request: bytes
    """Its start, a serialised processing.v1.PostWorkflowExecuteRequest, large payloads as artifacts."""
    created_us: int
    budget_us: int
    request_id: str = ""
    request_digest: bytes = b""
    """SHA-256 of the request as it came, 32 bytes."""
    model_id: str = ""
    priority: int = 5
    admission_class: int = 0
    durability: int = 1
    labels: str = ""
    """Labels as a JSON object; empty = none."""
    parent_session_id: str = ""
    batch_id: str = ""
    item_id: str = ""
    depth: int = 0
    traceparent: str = ""
    model_pin: str = ""
    """Version and digest of its model, `version@digest`."""
    batch_number: int = 0
    """The store's own number of its batch; 0 = it has none."""
    cell: int = -1
    """Which cell of its batch it is."""


class Opened(NamedTuple):
    """What came of `open`."""

    number: int
    """The store's own number of the session."""
    session_id: str
    repeated: bool
    """True if the request_id was seen before: session_id is the first one's."""


class Opening(NamedTuple):
    """A start that was enqueued."""

    number: int
    """The store's own number of the session, if it comes to be."""
    durable: Future[Opened]


class CellKey(NamedTuple):
    """A cell of a batch."""

    batch_number: int
    """The store's own number of the batch."""
    cell: int


class SessionRow(NamedTuple):
    """A session as lists show it."""

    number: int
    start: SessionStart
    """Without its definition."""
    state: SessionState
    attempt: int
    started_us: int
    ended_us: int
    deadline_us: int
    """When its budget ends; 0 while it is paused."""
    budget_us: int
    """Its budget; what is left of it while it is paused."""
    last_sequence: int
    in_flight: int
    recoveries: int
    result: bytes
    """A serialised processing.v1.Session with outputs, payloads and failure; empty while it is live."""


class SessionFilter(NamedTuple):
    """Which sessions; what is empty matches all."""

    tenant: str = ""
    workflow_id: str = ""
    model_id: str = ""
    batch_id: str = ""
    parent_session_id: str = ""
    states: tuple[SessionState, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    created_after_us: int = 0
    created_before_us: int = 0


class RequestNote(NamedTuple):
    """That a request was carried out; written in the transaction that carries it out."""

    tenant: str
    method: str
    """Name of the RPC."""
    request_id: str
    digest: bytes
    """SHA-256 of the request as it came, 32 bytes."""
    subject: str
    """What it made or named."""
    now_us: int


class Reusable(NamedTuple):
    """A result that other sessions may take."""

    tenant: str
    identity: bytes
    """SHA-256 of the computation: operation, request, model; 32 bytes."""
    step_key: str
    """The call that made it."""
    output: Output


class SessionStore(Protocol):
    """Sessions and their histories. What is awaited is durable."""

    def open(self, start: SessionStart, holds: Sequence[bytes] = ()) -> Opening:
        """Enqueues a session and its request_id, for one transaction.

        Its future raises CoordinatorError: SESSION_ALREADY_EXISTS, REQUEST_ID_REUSED, SESSION_NOT_FOUND if the session
        that the request_id began was removed, STORE_FULL, STORE_UNAVAILABLE.

        Args:
            holds: digests of artifacts that the session needs.
        """

    def commit(
        self,
        number: int,
        state: State,
        records: Sequence[Record],
        *,
        result: bytes = b"",
        holds: Sequence[bytes] = (),
        wait: bool = False,
        note: RequestNote | None = None,
        cell: CellKey | None = None,
        told: Callable[[CoordinatorError | None], None] | None = None,
        reusable: Sequence[Reusable] = (),
    ) -> Future[None] | None:
        """Enqueues records at once and in order. With `wait`, a future that is done when they are durable.

        The future raises Fenced if another coordinator owns the session now, SESSION_NOT_FOUND if it was removed.

        Args:
            holds: digests of artifacts that the records or the result name.
            note: the request that they come from.
            cell: of a batch, whose history hears of the end.
            told: called once they are durable, or with why they are not; cheaper than a future.
            reusable: those of their results that others may take, as long as the session is there.
        """

    def open_behind(
        self, start: SessionStart, holds: Sequence[bytes], refused: Callable[[CoordinatorError], None]
    ) -> int:
        """As `open`, for a start that nobody waits for; the store's own number of the session.

        Args:
            refused: called with what the future would raise.
        """

    async def read(self, session_id: str, tenant: str) -> SessionRow:
        """The session with its definition. Raises CoordinatorError SESSION_NOT_FOUND."""

    async def load(self, session_id: str, tenant: str) -> tuple[SessionRow, list[Record]]:
        """The session with its definition and its whole history."""

    async def first(self, request_id: str, digest: bytes, tenant: str) -> str:
        """session_id of the session that this request_id began, empty if none.

        Raises CoordinatorError REQUEST_ID_REUSED if its request had another digest, SESSION_NOT_FOUND if it is removed.
        """

    async def page(self, which: SessionFilter, before: int, limit: int) -> Sequence[SessionRow]:
        """Sessions with a number below `before` (0 = all), newest first."""

    async def count(self, which: SessionFilter) -> int | None:
        """How many there are, if a kept counter answers."""

    async def records(
        self, session_id: str, tenant: str, after: int, limit: int, created_us: int = 0
    ) -> Sequence[Record]:
        """History behind that sequence number, oldest first. Raises CoordinatorError SESSION_NOT_FOUND.

        Args:
            created_us: when the session was created that is meant, 0 = any: its session_id may be another's by now.
        """

    async def changed(self, session_id: str) -> None:
        """Returns after the next commit of that session, or its removal; to be called before what is there is read."""

    async def unfinished(self) -> Sequence[tuple[SessionRow, list[Record]]]:
        """All sessions that have not ended; charges each a recovery."""


class SessionRemover(Protocol):
    """Removes sessions and all that belongs to them but their request_id, which is known for its time."""

    async def delete_session(self, session_id: str, tenant: str, note: RequestNote | None = None) -> bool:
        """Removes a session and its history; False if it is not there, and then nothing is noted.

        Raises:
            CoordinatorError: REQUEST_ID_REUSED; SESSION_STATE_ILLEGAL if it runs, or runs again. Nothing is removed.
        """


class Published(NamedTuple):
    """The service that a workflow has of its own, as it is stored."""

    files: bytes
    """A serialised FileDescriptorSet: the service's file, behind those it needs that are not of the contract. Of a
    service that is not served any more it keeps the numbers."""
    is_live: bool
    """Whether it is served."""


NEVER: Final = Published(b"", is_live=False)
"""Of a workflow that never had a service."""


class WorkflowStore(Protocol):
    """Workflow definitions."""

    async def put(
        self,
        tenant: str,
        workflow: Workflow,
        digest: bytes,
        now_us: int,
        note: RequestNote | None = None,
        service: Published | None = None,
    ) -> tuple[Workflow, bool]:
        """Stores a definition, and its service unless it is None; what is stored then, and whether its meaning changed.

        Raises:
            CoordinatorError: FIELD_INVALID, REQUEST_ID_REUSED, and nothing is stored.
        """

    async def published(self, tenant: str, workflow_id: str) -> Published:
        """The service of a workflow; also that of one that is gone."""

    async def services(self) -> Sequence[tuple[str, str, bytes]]:
        """The services that are served: tenant, workflow_id, files."""

    async def unpublished(self) -> Sequence[tuple[str, Workflow]]:
        """Tenant and definition of workflows of which nobody has made a service, or tried to."""

    async def get(self, tenant: str, workflow_id: str) -> Workflow | None:
        """The definition."""

    async def page(self, tenant: str, after: str, limit: int, labels: Mapping[str, str]) -> Sequence[Workflow]:
        """Definitions behind that workflow_id, by workflow_id."""

    async def ids(self, tenant: str) -> Sequence[str]:
        """All workflow ids."""

    async def count(self, tenant: str) -> int:
        """How many there are."""

    async def delete(self, tenant: str, workflow_id: str, note: RequestNote | None = None) -> bool:
        """Removes a definition, and its service is served no more; False if it is not there.

        Notes and raises as SessionRemover.delete_session.
        """


class RequestLog(Protocol):
    """request_id of mutating calls, by tenant and method; what changes something notes its own."""

    async def note(self, note: RequestNote) -> None:
        """Notes a request on its own."""

    async def find(self, tenant: str, method: str, request_id: str, digest: bytes) -> str | None:
        """Subject of the first request with that id and content; None if it is new.

        Raises:
            CoordinatorError: REQUEST_ID_REUSED with both digests.
        """

    async def forget(self, before_us: int) -> int:
        """Forgets what came before that time, unless what it made is there; how many."""


class ReuseStore(Protocol):
    """Results by what they were computed from."""

    async def find(self, tenant: str, identity: bytes) -> Reusable | None:
        """The result of that computation; None if no session of the tenant has it."""


class ArtifactStore(Protocol):
    """Content by its SHA-256."""

    async def put(self, data: bytes, *, media_type: str = "", type_name: str = "") -> Artifact:
        """Stores content once; durable on return."""

    async def get(self, digest: str) -> bytes:
        """The content. Raises CoordinatorError ARTIFACT_NOT_FOUND."""
