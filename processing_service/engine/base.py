"""The engine, and what it needs from outside. What it needs of a store is in `store/base.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest
    from google.protobuf.descriptor import Descriptor

    from processing_service.engine.definitions import Definition
    from processing_service.engine.events import Command
    from processing_service.engine.live import Live
    from processing_service.engine.records import Output, Plan
    from processing_service.engine.state import State, Step
    from processing_service.engine.store.base import Opened, RequestNote, SessionStart


@dataclass(slots=True)
class SessionContext:
    """What stays the same while a session runs; one object a live session, shared by all its calls."""

    session_id: str
    tenant: str
    definition: Definition
    request: PostWorkflowExecuteRequest
    """Its start: parameters, payloads, labels, priority."""
    parameters: Mapping[str, Any]
    """Its parameters by name, defaults filled in."""
    parent_session_id: str = ""
    """The session whose step it is; empty if it is none's."""
    depth: int = 0
    """Sessions above it."""
    traceparent: str = ""
    """W3C trace context of the session's own span; its calls are children of it. Empty if there is no trace."""
    parent_traceparent: str = ""
    """That of whoever started it."""
    model_pin: str = ""
    """Version and digest of its model, `version@digest`, as they were when it began; empty if it has none."""
    cache: dict[object, object] = field(default_factory=dict)
    """The runner's own: parsed results, evaluated items. Gone with the live session."""

    @property
    def workflow_id(self) -> str:
        """The workflow that it runs."""
        return self.definition.workflow.workflow_id

    def operation(self, step: int) -> str:
        """The operation of a step, `domain.rpc_in_snake_case`."""
        return self.definition.steps[step].operation.operation


class StepCall(NamedTuple):
    """One call that the engine asks its runner to make."""

    session: SessionContext
    step: int
    item: int
    """Item of a foreach, from 0; -1 = none."""
    attempt: int
    key: str
    """`session/step[item]#attempt`."""
    deadline_us: int
    """When it has to be done, in microseconds since the Unix epoch."""
    steps: Sequence[Step]
    """All steps as they stand: where its inputs come from."""


class Resolution(NamedTuple):
    """What a condition and a foreach came to."""

    skipped: bool = False
    items_total: int = 0


class Times(NamedTuple):
    """Where the time of a call went, in seconds, as far as the domain said so."""

    queued: float = 0.0
    loading: float = 0.0
    computing: float = 0.0


UNKNOWN_TIMES: Final = Times()


class Result(NamedTuple):
    """What a call came to."""

    output: Output
    times: Times = UNKNOWN_TIMES


class Progress(NamedTuple):
    """How far a call is: last value wins, nothing is stored."""

    fraction: float
    message: str = ""


class StepRunner(Protocol):
    """Makes the calls of steps. Cancelled by asyncio cancellation; raises CoordinatorError."""

    async def resolve(self, call: StepCall) -> Resolution:
        """Evaluates condition and items; nothing leaves the process."""

    async def run(self, call: StepCall, report: Callable[[Progress], None]) -> Result:
        """Makes the call once and gives its result."""

    async def conclude(self, call: StepCall) -> bytes:
        """Evaluates the outputs of the workflow: a serialised processing.v1.Session with outputs and payloads."""


class Engine(Protocol):
    """Runs sessions durably. The local one is `engine/local.py`."""

    async def submit(
        self,
        start: SessionStart,
        context: SessionContext,
        plan: Plan,
        holds: Sequence[bytes] = (),
        on_leave: Callable[[Live], None] | None = None,
    ) -> tuple[Opened, Live | None]:
        """Begins a session; durable on return. A request_id that was seen before gives the first one, and no live one.

        A session whose caller leaves before that runs all the same; `on_leave` is then called with it.

        Raises:
            CoordinatorError: SERVER_DRAINING, SESSION_ALREADY_EXISTS, REQUEST_ID_REUSED, STORE_*.
        """

    def live(self, session_id: str, tenant: str) -> Live | None:
        """The session, if it runs in this process."""

    def begun_by(self, request_id: str, tenant: str) -> Live | None:
        """The session that this request_id began, if it runs in this process."""

    def children(self, session_id: str, tenant: str) -> list[Live]:
        """The sessions that its steps began, those that run in this process."""

    def post(self, live: Live, command: Command) -> None:
        """Gives a command to a live session, without waiting for anything."""

    async def deliver(self, session_id: str, tenant: str, command: Command, note: RequestNote | None = None) -> State:
        """Gives a command to a session, live or ended; its record, and the note with it, is durable on return.

        Raises:
            CoordinatorError: SESSION_NOT_FOUND, SESSION_STATE_ILLEGAL, SERVER_DRAINING.
        """


@dataclass(frozen=True, slots=True)
class OperationType:
    """An operation as definitions are checked against it."""

    operation: str
    """`domain.rpc_in_snake_case`."""
    request: Descriptor
    response: Descriptor
    idempotent: bool
    """True if the contract says that it may be called again."""
    callable: bool
    """False for streams and for what a step may not do."""


class OperationCatalog(Protocol):
    """The operations that definitions may name; implemented from descriptors, above the engine."""

    def find(self, operation: str) -> OperationType:
        """The operation of that name.

        Raises:
            CoordinatorError: DOMAIN_NOT_FOUND or OPERATION_NOT_FOUND, with the nearest name; DOMAIN_UNAVAILABLE if it
                cannot be told yet.
        """

    def message(self, type_name: str) -> Descriptor:
        """The message type of that full name.

        Raises:
            CoordinatorError: FIELD_INVALID, with the nearest name.
        """
