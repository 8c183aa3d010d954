"""The one error of the project, raised anywhere and translated once, at the edge.

    CoordinatorError            a status code, a reason and the facts a program needs to act
    |-- Unavailable             the peer or the store cannot be reached: callers try again elsewhere or later
    |   `-- Unreached           the call never left, for want of a connection: a step waits until there is one
    `-- Fenced                  another coordinator owns the session: its runner stops and leaves it alone

Servers turn it into a google.rpc.Status (`wire/interceptors/errors.py`), histories keep it as a `Failure`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from coordinator.error.v1 import error_pb2
from coordinator.error.v1.error_pb2 import ErrorReason

DOMAIN: Final = "processing.coordinator"
"""`domain` of every google.rpc.ErrorInfo that we send."""

_PREFIX: Final = "ERROR_REASON_"
_MAX_CHAIN: Final = 16
"""Failures of one chain: with that of the session around it, 16 causes."""
_MAX_VIOLATIONS: Final = 64


class Code(IntEnum):
    """The gRPC status codes, by their number on the wire."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class Violation:
    """One fault of one field: its path in proto names, what is wrong, the nearest right name or value."""

    field_path: str
    description: str
    suggestion: str = ""


class CoordinatorError(Exception):
    """An error that a program can act on.

    Args:
        code: gRPC status code.
        reason: why, from the contract's list.
        message: what, where, and the next thing to do; never a server path or a stack trace.
        metadata: facts by name, documented by reason in docs/reference/errors.md.
        violations: faults of single fields.
        retry_delay: seconds to wait before another try; None says nothing.
        reason_name: the reason as a foreign domain spelled it, where `reason` is FOREIGN.
    """

    def __init__(
        self,
        code: Code,
        reason: ErrorReason.ValueType,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Iterable[Violation] = (),
        retry_delay: float | None = None,
        reason_name: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_delay = retry_delay
        self.reason_name = reason_name or reason_name_of(reason)
        self.step_key = ""
        """Of a stored failure: the step that failed."""
        self.attempt = 0
        """Of a stored failure: that step's attempt."""

    def __str__(self) -> str:
        return f"{self.code.name} {self.reason_name}: {self.message}"


class Unavailable(CoordinatorError):
    """The peer or the store cannot be reached; nothing was done, so another try is safe."""

    def __init__(self, reason: ErrorReason.ValueType, message: str, *, retry_delay: float | None = None) -> None:
        super().__init__(Code.UNAVAILABLE, reason, message, retry_delay=retry_delay)


class Unreached(Unavailable):
    """No connection to a domain could be made, so the call never left this process.

    Args:
        domain: its name.
        address: where it should be.
    """

    def __init__(self, domain: str, address: str) -> None:
        shown = shown_address(address)
        text = f"the {domain} domain at {shown} cannot be reached; see that it serves and that its address is right"
        super().__init__(ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE, text)
        self.metadata = {"domain": domain, "address": shown}


class Fenced(CoordinatorError):
    """Another coordinator owns the session now; whoever gets this stops and writes nothing more.

    Args:
        session_id: the session; empty = the whole store.
    """

    def __init__(self, session_id: str) -> None:
        owned = f"session {session_id!r}" if session_id else "the store of this coordinator"
        super().__init__(
            Code.UNAVAILABLE,
            ErrorReason.ERROR_REASON_SESSION_FENCED,
            f"{owned} is owned by another coordinator now; nothing was written: ask that one",
            metadata={"session_id": session_id} if session_id else {},
        )


def shown_address(address: str) -> str:
    """An address as callers are told it: of a Unix socket only the name of its file."""
    return f"unix:{address.rpartition('/')[2]}" if address.startswith("unix:") else address


def reason_name_of(reason: ErrorReason.ValueType) -> str:
    """The reason's name as it stands in google.rpc.ErrorInfo: without its prefix."""
    return ErrorReason.Name(reason).removeprefix(_PREFIX)


def reason_of(name: str) -> ErrorReason.ValueType:
    """The reason of that name; FOREIGN if the contract has no such reason."""
    full = _PREFIX + name
    return (
        ErrorReason.Value(full) if full in ErrorReason.DESCRIPTOR.values_by_name else ErrorReason.ERROR_REASON_FOREIGN
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like `name`; empty if none is like it."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)), "")


def not_found(
    reason: ErrorReason.ValueType, kind: str, name: str, known: Iterable[str] = (), hint: str = ""
) -> CoordinatorError:
    """NOT_FOUND for `kind` (a noun, as `workflow`) of that name, with the nearest of the known ones."""
    near = nearest(name, known)
    advice = f"; did you mean {near!r}?" if near else f"; {hint}" if hint else ""
    metadata = {"resource_type": kind, "resource_name": name} | ({"nearest": near} if near else {})
    return CoordinatorError(Code.NOT_FOUND, reason, f"there is no {kind} {name!r}{advice}", metadata=metadata)


def invalid(reason: ErrorReason.ValueType, field_path: str, description: str, suggestion: str = "") -> CoordinatorError:
    """INVALID_ARGUMENT with one field violation."""
    return invalid_all(reason, [Violation(field_path, description, suggestion)])


def invalid_all(reason: ErrorReason.ValueType, violations: Sequence[Violation]) -> CoordinatorError:
    """INVALID_ARGUMENT with every violation; its message tells the first, and how many more there are."""
    first, more = violations[0], len(violations) - 1
    advice = f"; did you mean {first.suggestion!r}?" if first.suggestion else ""
    rest = f" (and {more} more)" if more else ""
    text = f"{first.field_path}: {first.description}{advice}{rest}"
    return CoordinatorError(Code.INVALID_ARGUMENT, reason, text, violations=violations)


def to_failure(error: BaseException, *, step_key: str = "", attempt: int = 0) -> error_pb2.Failure:
    """The error and its chain of causes as it stands in a history: 16 failures at most, the last of them the root.

    An exception that is not ours becomes INTERNAL, with its type but not its text: that may hold server paths.
    """
    chain = [error if isinstance(error, CoordinatorError) else internal(error)]
    cause = error.__cause__
    while isinstance(cause, CoordinatorError):
        chain.append(cause)
        cause = cause.__cause__
    if len(chain) > _MAX_CHAIN:  # what is between the two ends says least
        chain = chain[: _MAX_CHAIN // 2] + chain[-_MAX_CHAIN // 2 :]
    failure = _failure(chain.pop())
    for known in reversed(chain):
        outer = _failure(known)
        outer.cause.CopyFrom(failure)
        failure = outer
    if step_key:
        failure.step_key, failure.attempt = step_key, attempt
    return failure


def _failure(known: CoordinatorError) -> error_pb2.Failure:
    failure = error_pb2.Failure(
        status_code=known.code,
        reason=known.reason,
        reason_name=known.reason_name,
        message=known.message,
        metadata=known.metadata,
        field_violations=[
            error_pb2.FieldViolation(field_path=v.field_path, description=v.description, suggestion=v.suggestion)
            for v in known.violations[:_MAX_VIOLATIONS]
        ],
        step_key=known.step_key,
        attempt=known.attempt,
    )
    if known.retry_delay is not None:
        failure.retry_delay.FromMicroseconds(round(known.retry_delay * 1e6))
    return failure


def internal(error: BaseException) -> CoordinatorError:
    """INTERNAL for an exception that nobody expected."""
    return CoordinatorError(
        Code.INTERNAL,
        ErrorReason.ERROR_REASON_INTERNAL,
        f"unexpected {type(error).__name__}; the server's log has the details",
    )


def from_failure(failure: error_pb2.Failure) -> CoordinatorError:
    """The error that a stored failure stands for, with its causes."""
    error = CoordinatorError(
        Code(failure.status_code),
        failure.reason,
        failure.message,
        metadata=failure.metadata,
        violations=[Violation(v.field_path, v.description, v.suggestion) for v in failure.field_violations],
        retry_delay=failure.retry_delay.ToTimedelta().total_seconds() if failure.HasField("retry_delay") else None,
        reason_name=failure.reason_name,
    )
    error.step_key, error.attempt = failure.step_key, failure.attempt
    if failure.HasField("cause"):
        error.__cause__ = from_failure(failure.cause)
    return error
