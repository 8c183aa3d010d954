"""The engine, and what it needs from outside. What it needs of a store is in `store/base.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest
    from google.protobuf.descriptor import Descriptor

    from processing_service.engine.definitions import Definition
    from processing_service.engine.events import Command
    from processing_service.engine.live import Follower, Live
    from processing_service.engine.openings import OnLeave
    from processing_service.engine.records import Output, Plan
    from processing_service.engine.roster import Roster
    from processing_service.engine.state import State, Step
    from processing_service.engine.store.base import CellKey, Opened, RequestNote, SessionStart


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
    batch_id: str = ""
    """The batch whose cell it is; empty if it is none's."""
    cell: CellKey | None = None
    """Which of its cells."""
    cache: dict[object, object] = field(default_factory=dict)
    """The runner's own: parsed results, evaluated items. Gone with the live session."""
    paused_us: int = 0
    """Since when its clocks stand still, in microseconds since the Unix epoch; 0 = they run."""
    halts_us: int = 0
    """How long they stood still before that, while it is live, in microseconds."""

    @property
    def workflow_id(self) -> str:
        """The workflow that it runs."""
        return self.definition.workflow.workflow_id

    def halt(self, paused_us: int, now_us: int) -> None:
        """Takes over since when its clocks stand still."""
        if self.paused_us and not paused_us:
            self.halts_us += now_us - self.paused_us
        self.paused_us = paused_us

    def halted_us(self, now_us: int) -> int:
        """How long its clocks have stood still by now, while it is live, in microseconds."""
        return self.halts_us + (now_us - self.paused_us if self.paused_us else 0)

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
    identity: bytes = b""
    """SHA-256 of the computation, if others may take its result; 32 bytes."""
    reused_from: str = ""
    """Key of the call that made it, if none was made now."""


class Wait(Protocol):
    """Why a call has not left yet."""

    since_us: int
    """Since when it waits, in microseconds since the Unix epoch."""

    def reason(self) -> int:
        """WaitReason of the contract; 0 once it does not wait any more."""

    def position(self) -> int:
        """Its place in the queue of its model, from 1; 0 if it is in none."""

    def text(self) -> str:
        """For people; empty once it does not wait any more."""

    def recall(self) -> None:
        """Takes the call back, if it has not left: its `run` raises NotSent."""


class NotSent(Exception):
    """A call was taken back before it left: nobody has seen it."""


class Progress(NamedTuple):
    """How far a call is: last value wins, nothing is stored."""

    fraction: float
    message: str = ""
    wait: Wait | None = None
    """What the call waits for, if it has not left."""


class StepRunner(Protocol):
    """Makes the calls of steps. Cancelled by asyncio cancellation; raises CoordinatorError."""

    def resolve(self, call: StepCall) -> Coroutine[Any, Any, Resolution]:
        """Evaluates condition and items; nothing leaves the process."""

    def run(self, call: StepCall, report: Callable[[Progress], None]) -> Coroutine[Any, Any, Result]:
        """Makes the call once and gives its result. Raises NotSent if it was recalled before it left."""

    def conclude(self, call: StepCall) -> Coroutine[Any, Any, bytes]:
        """Evaluates the outputs of the workflow: a serialised processing.v1.Session with outputs and payloads."""


HeardCancel = Callable[[StepCall], Awaitable[bool]]
"""Whether the domain of a call has heard that it was cancelled; False if it cannot be reached."""


class Engine(Protocol):
    """Runs sessions durably. The local one is `engine/local.py`."""

    @property
    def roster(self) -> Roster:
        """The sessions that run in this process."""

    async def submit(
        self,
        start: SessionStart,
        context: SessionContext,
        plan: Plan,
        holds: Sequence[bytes] = (),
        on_leave: OnLeave | None = None,
        follower: Follower | None = None,
    ) -> tuple[Opened, Live | None]:
        """Begins a session; durable on return. A request_id that was seen before gives the first one, and no live one.

        A session whose caller leaves before that runs all the same; `on_leave` is then called with it.

        Raises:
            CoordinatorError: SERVER_DRAINING, SESSION_ALREADY_EXISTS, REQUEST_ID_REUSED, STORE_*.
        """

    async def carry_out(
        self,
        start: SessionStart,
        context: SessionContext,
        plan: Plan,
        holds: Sequence[bytes],
        follower: Follower,
    ) -> None:
        """Runs a session in the task of its caller, as far as that goes; its start is not waited for.

        Raises:
            CoordinatorError: SERVER_DRAINING, SESSION_ALREADY_EXISTS.
        """

    def post(self, live: Live, command: Command) -> None:
        """Gives a command to a live session, without waiting for anything."""

    async def deliver(
        self,
        session_id: str,
        tenant: str,
        command: Command,
        note: RequestNote | None = None,
        follower: Follower | None = None,
    ) -> State:
        """Gives a command to a session, live or ended; its record, and the note with it, is durable on return.

        Args:
            follower: follows the session from now on.

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
