"""Between the error that is raised, the fault that `decide` sees and the failure that histories show."""

from __future__ import annotations

from coordinator.error.v1.error_pb2 import ErrorReason, Failure
from coordinator.processing.v1.processing_pb2 import Session

from processing_service.engine.records import Fault
from processing_service.wire.errors import Code, CoordinatorError, internal, reason_name_of, to_failure


def fault_of(error: Exception, step_key: str = "", attempt: int = 0) -> Fault:
    """The fault that an error stands for; an error that nobody expected is INTERNAL."""
    known = error if isinstance(error, CoordinatorError) else internal(error)
    retry_us = -1 if known.retry_delay is None else round(known.retry_delay * 1e6)
    detail = to_failure(error, step_key=step_key, attempt=attempt).SerializeToString()
    return Fault(int(known.code), int(known.reason), known.message, retry_us, detail)


def failure_of(fault: Fault) -> Failure:
    """The failure that a fault is shown as, with its chain of causes."""
    if fault.detail:
        failure = Failure.FromString(fault.detail)
    else:
        reason = _reason(fault.reason)
        failure = Failure(
            status_code=fault.code,
            reason=reason,
            reason_name=reason_name_of(reason),
            message=fault.message,
            metadata=dict(fault.facts),
        )
    if fault.cause is not None:
        failure.cause.CopyFrom(failure_of(fault.cause))
    return failure


def result_of(fault: Fault) -> bytes:
    """What a session that failed leaves: a serialised processing.v1.Session that says why."""
    return Session(failure=failure_of(fault)).SerializeToString()


def fault_from(failure: Failure) -> Fault:
    """The fault that a stored failure was."""
    delay = failure.retry_delay.ToMicroseconds() if failure.HasField("retry_delay") else -1
    cause = fault_from(failure.cause) if failure.HasField("cause") else None
    own = Failure()
    own.CopyFrom(failure)
    own.ClearField("cause")
    return Fault(failure.status_code, failure.reason, failure.message, delay, own.SerializeToString(), cause)


def _reason(number: int) -> ErrorReason.ValueType:
    return ErrorReason.Value(ErrorReason.Name(number))  # type: ignore[arg-type]  # the numbers of records are the contract's


def error_of(fault: Fault) -> CoordinatorError:
    """The error that a fault was."""
    return CoordinatorError(Code(fault.code), _reason(fault.reason), fault.message)
