"""A CoordinatorError as google.rpc.Status and back: what stands in `grpc-status-details-bin`."""

from __future__ import annotations

import re
from typing import Final, TypeVar

from coordinator.error.v1.error_pb2 import ErrorReason
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2 as details_pb2
from google.rpc import status_pb2

from processing_service.wire.errors import DOMAIN, Code, CoordinatorError, Unavailable, Violation, reason_of

STATUS_LIMIT: Final = 3000
"""Largest serialised Status in bytes: 4 KB in base64, so that all trailers stay below the 8 KiB that gRPC lets pass."""

LONGEST_DELAY: Final = 30 * 24 * 3600.0
"""Longest time until another try that is believed, in seconds."""
_TEXT_LIMIT: Final = 1024
_FACT_LIMIT: Final = 256
_FACTS_LIMIT: Final = 1024
_REASON_NAME: Final = "reason_name"
_REASON_DOMAIN: Final = "reason_domain"
Detail = TypeVar("Detail", bound=Message)
_ADVICE: Final = re.compile(r"; did you mean '([^']*)'\?$")


def to_status(error: CoordinatorError) -> status_pb2.Status:
    """The error with every detail that applies to it, cut to `STATUS_LIMIT`."""
    status = status_pb2.Status(code=error.code, message=clip(error.message, _TEXT_LIMIT))
    _add(status, _error_info(error))
    if error.retry_delay is not None:
        retry = details_pb2.RetryInfo()
        retry.retry_delay.FromMicroseconds(round(error.retry_delay * 1e6))
        _add(status, retry)
    if error.code is Code.FAILED_PRECONDITION:
        _add(status, _precondition(error))
    if error.code in (Code.NOT_FOUND, Code.ALREADY_EXISTS) and "resource_type" in error.metadata:
        _add(status, _resource(error))
    _add_violations(status, error.violations)
    return status


def from_status(status: status_pb2.Status) -> CoordinatorError | None:
    """The error that a Status stands for; None if it does not say a reason. A reason not ours becomes FOREIGN."""
    info = _find(status, details_pb2.ErrorInfo())
    if info is None:
        return None
    metadata = dict(info.metadata)
    reason = reason_of(info.reason) if info.domain == DOMAIN else ErrorReason.ERROR_REASON_FOREIGN
    name = metadata.pop(_REASON_NAME, "") or info.reason
    if info.domain != DOMAIN:
        metadata[_REASON_DOMAIN] = info.domain
    return made(
        Code(status.code),
        reason,
        status.message,
        metadata=metadata,
        violations=_violations(status),
        retry_delay=retry_delay_of(status),
        reason_name=name,
    )


def made(
    code: Code,
    reason: ErrorReason.ValueType,
    message: str,
    *,
    metadata: dict[str, str] | None = None,
    violations: tuple[Violation, ...] = (),
    retry_delay: float | None = None,
    reason_name: str = "",
) -> CoordinatorError:
    """A CoordinatorError of the class that callers look for."""
    if code is not Code.UNAVAILABLE:
        return CoordinatorError(
            code,
            reason,
            message,
            metadata=metadata,
            violations=violations,
            retry_delay=retry_delay,
            reason_name=reason_name,
        )
    error = Unavailable(reason, message, retry_delay=retry_delay)
    error.metadata, error.violations = metadata or {}, violations
    error.reason_name = reason_name or error.reason_name
    return error


def parse_status(data: bytes) -> status_pb2.Status | None:
    """A Status from the bytes of its trailer; None if they are something else."""
    try:
        return status_pb2.Status.FromString(data)
    except DecodeError:
        return None


def clip(text: str, limit: int) -> str:
    """The text in at most `limit` bytes of UTF-8."""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= limit else data[: limit - 3].decode("utf-8", "ignore") + "..."


def _error_info(error: CoordinatorError) -> details_pb2.ErrorInfo:
    metadata = _first_facts(error.metadata)
    reason = error.reason_name
    if error.reason == ErrorReason.ERROR_REASON_FOREIGN and reason != "FOREIGN":
        metadata[_REASON_NAME], reason = reason, "FOREIGN"
    return details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)


def _first_facts(metadata: dict[str, str]) -> dict[str, str]:
    """As many facts as there is room for, in their order."""
    kept: dict[str, str] = {}
    room = _FACTS_LIMIT
    for key, value in metadata.items():
        text = clip(value, _FACT_LIMIT)
        room -= len(key) + len(text.encode())
        if room < 0:
            break
        kept[key] = text
    return kept


def _precondition(error: CoordinatorError) -> details_pb2.PreconditionFailure:
    violation = details_pb2.PreconditionFailure.Violation(
        type=error.reason_name,
        subject=clip(error.metadata.get("resource_name", ""), _FACT_LIMIT),
        description=clip(error.message, _FACT_LIMIT),
    )
    return details_pb2.PreconditionFailure(violations=[violation])


def _resource(error: CoordinatorError) -> details_pb2.ResourceInfo:
    return details_pb2.ResourceInfo(
        resource_type=clip(error.metadata["resource_type"], _FACT_LIMIT),
        resource_name=clip(error.metadata.get("resource_name", ""), _FACT_LIMIT),
    )


def _add_violations(status: status_pb2.Status, violations: tuple[Violation, ...]) -> None:
    """As many violations as there is room for, in their order."""
    request = details_pb2.BadRequest()
    room = STATUS_LIMIT - status.ByteSize() - 64
    for violation in violations:
        advice = f"; did you mean '{violation.suggestion}'?" if violation.suggestion else ""
        field = clip(violation.field_path, _FACT_LIMIT)
        request.field_violations.add(field=field, description=clip(violation.description, _FACT_LIMIT) + advice)
        if request.ByteSize() > room:
            del request.field_violations[-1]
            break
    if request.field_violations:
        _add(status, request)


def _violations(status: status_pb2.Status) -> tuple[Violation, ...]:
    request = _find(status, details_pb2.BadRequest())
    return tuple(_violation(v.field, v.description) for v in request.field_violations) if request else ()


def _violation(field_path: str, description: str) -> Violation:
    advice = _ADVICE.search(description)
    return (
        Violation(field_path, description[: advice.start()], advice[1])
        if advice
        else Violation(field_path, description)
    )


def retry_delay_of(status: status_pb2.Status) -> float | None:
    """Seconds that its RetryInfo asks to wait, bounded; None if it has none."""
    retry = _find(status, details_pb2.RetryInfo())
    return bounded(retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9) if retry else None


def bounded(delay: float) -> float:
    """A delay that another process asked for, in seconds: not negative, and within what a clock can say."""
    return min(max(0.0, delay), LONGEST_DELAY)


def _add(status: status_pb2.Status, detail: Message) -> None:
    status.details.add().Pack(detail)


def _find(status: status_pb2.Status, into: Detail) -> Detail | None:
    return next((into for detail in status.details if detail.Unpack(into)), None)
