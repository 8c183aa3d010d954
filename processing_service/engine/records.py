"""The records of the engine: plain, immutable data that is stored, carried and compared.

Standard library only: `decide` and everything that it touches must run anywhere. The enums have the numbers of
`coordinator.processing.v1`. Times are integers, microseconds since the Unix epoch; durations are microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

RULES: Final = 1
"""Version of `decide`, held by tests/unit/engine/golden; docs/design/engine.md says what a second one takes."""


class SessionState(IntEnum):
    """State of a session's attempt."""

    PENDING = 1
    RUNNING = 2
    PAUSING = 3
    PAUSED = 4
    CANCELLING = 5
    SUCCEEDED = 6
    FAILED = 7
    CANCELLED = 8
    TERMINATED = 9
    TIMED_OUT = 10

    @property
    def terminal(self) -> bool:
        """True if the attempt has ended."""
        return self >= SessionState.SUCCEEDED


class StepState(IntEnum):
    """State of a step."""

    WAITING = 1
    RUNNING = 2
    SUCCEEDED = 3
    FAILED = 4
    SKIPPED = 5
    CANCELLED = 6


class Kind(IntEnum):
    """What happened; EventKind of the contract."""

    SESSION_STARTED = 1
    STEP_STARTED = 2
    STEP_SUCCEEDED = 3
    STEP_FAILED = 4
    STEP_RETRY_SCHEDULED = 5
    STEP_SKIPPED = 6
    STEP_CANCELLED = 7
    STEP_REUSED = 8
    STEP_EXPANDED = 9
    COMMAND_APPLIED = 10
    COMMAND_REFUSED = 11
    SESSION_STATE_CHANGED = 12
    SESSION_RECOVERED = 13
    CALL_RECEIPT = 14
    SESSION_ENDED = 15


class Action(IntEnum):
    """What a client may ask of a session; ControlAction of the contract."""

    PAUSE = 1
    RESUME = 2
    CANCEL = 3
    TERMINATE = 4
    RETRY = 5


class Outcome(IntEnum):
    """What became of a call that was cancelled; CallOutcome of the contract."""

    ACKNOWLEDGED = 1
    COMPLETED_ANYWAY = 2
    IGNORED = 3
    UNREACHABLE = 4


class Durability(IntEnum):
    """How much of a session is stored."""

    FULL = 1
    RESULT = 2
    NONE = 3

    @property
    def stored(self) -> bool:
        """True if there will be a record."""
        return self is not Durability.NONE


class Spent(NamedTuple):
    """Where the time of a call went, in microseconds, as far as its domain said so."""

    queued: int
    loading: int
    computing: int


class Output(NamedTuple):
    """A result of a step: a message of `type_name`, its bytes inline or under their SHA-256 in the artifact store."""

    type_name: str
    data: bytes
    digest: bytes = b""
    size_bytes: int = 0
    spent: Spent | None = None
    """Of a large result, which says it in bytes that stand elsewhere."""


class Fault(NamedTuple):
    """Why something failed.

    `code` is a gRPC status code, `reason` a number of error.v1.ErrorReason, `retry_us` what the peer asked to wait
    (-1 = nothing), `detail` a serialised error.v1.Failure that says more, or empty; `facts` are its metadata where
    there is none.
    """

    code: int
    reason: int
    message: str
    retry_us: int = -1
    detail: bytes = b""
    cause: Fault | None = None
    facts: tuple[tuple[str, str], ...] = ()


class Record(NamedTuple):
    """One entry of a session's history. `step` and `item` count from 0, -1 = none."""

    sequence: int
    at: int
    kind: Kind
    session_attempt: int
    session_state: SessionState
    step: int = -1
    item: int = -1
    attempt: int = 0
    """Of a call; of SESSION_RECOVERED: deaths before it that nobody could record."""
    output: Output | None = None
    fault: Fault | None = None
    delay_us: int = 0
    items_total: int = 0
    action: int = 0
    request_id: str = ""
    actor: str = ""
    message: str = ""
    outcome: int = 0
    elapsed_us: int = 0
    reused_from: str = ""
    rerun: tuple[int, ...] = ()
    """Of a RETRY: steps that had ended well and run again, by index."""


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """When a step is tried again."""

    max_attempts: int = 3
    """Attempts in all."""
    initial_us: int = 200_000
    """Longest wait before the second attempt, in microseconds."""
    max_us: int = 5_000_000
    """Longest wait of all, in microseconds."""
    multiplier_milli: int = 2000
    """Factor from wait to wait, in thousandths."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What `decide` has to know of a step."""

    step_id: str
    needs: tuple[int, ...] = ()
    """Steps that have to end first, by index."""
    conditional: bool = False
    """True if a condition is evaluated before it runs."""
    foreach: bool = False
    """True if it makes one call an item."""
    max_parallel: int = 4
    """Calls of a foreach at the same time."""
    timeout_us: int = 0
    """Longest time of one attempt, in microseconds; 0 = what is left of the budget."""
    retry: RetryPlan = RetryPlan()
    optional: bool = False
    """True if the session goes on when it fails."""
    idempotent: bool = False
    """True if a call that ran out of time may go out again."""

    @property
    def resolves(self) -> bool:
        """True if its condition or its items have to be evaluated before it runs."""
        return self.conditional or self.foreach


@dataclass(frozen=True, slots=True)
class Plan:
    """A definition as `decide` sees it."""

    steps: tuple[StepPlan, ...]
    followers: tuple[tuple[int, ...], ...]
    """By step, the steps that need it."""
    straight: bool
    """True if its steps follow one another, nothing is evaluated before one runs, and each may be called again."""

    @classmethod
    def of(cls, steps: tuple[StepPlan, ...]) -> Plan:
        """The plan of these steps."""
        followers = tuple(tuple(j for j, other in enumerate(steps) if i in other.needs) for i in range(len(steps)))
        straight = all(
            step.idempotent and not step.resolves and (index == 0 or index - 1 in step.needs)
            for index, step in enumerate(steps)
        )
        return cls(steps, followers, straight)


def step_key(session_id: str, step_id: str, item: int, attempt: int) -> str:
    """The one spelling of a call: idempotency key, span name, claim and log. `session/step[item]#attempt`."""
    return f"{session_id}/{step_id}#{attempt}" if item < 0 else f"{session_id}/{step_id}[{item}]#{attempt}"
