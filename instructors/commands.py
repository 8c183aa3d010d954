"""Use case of PostCommandExecute: one call of one operation, by name."""

from __future__ import annotations

import time
from typing import Any

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1.processing_pb2 import PostCommandExecuteRequest, PostCommandExecuteResponse
from google.protobuf.json_format import MessageToDict, SerializeToJsonError
from google.protobuf.message import Message

from instructors.domains import COMMAND, Operation
from instructors.messages import build, split
from instructors.payloads import put_content_in, take_contents_out
from instructors.registry import Instructors
from processing_service.engine.definitions.template_context import OnLegacy, ignore_legacy
from processing_service.engine.store.base import ArtifactStore
from processing_service.wire.callcontext import current
from processing_service.wire.errors import Code, CoordinatorError, invalid


class CommandInstructor:
    """Carries out commands.

    Args:
        artifacts: where large content comes from and goes to.
        on_legacy: called for each legacy spelling, with the field's full name and the spelling.
    """

    def __init__(self, instructors: Instructors, artifacts: ArtifactStore, on_legacy: OnLegacy = ignore_legacy) -> None:
        self._instructors, self._artifacts, self._on_legacy = instructors, artifacts, on_legacy

    async def execute(self, request: PostCommandExecuteRequest) -> PostCommandExecuteResponse:
        """Calls the operation, with retries unless a session asks; its reply as names and data.

        Raises:
            CoordinatorError: DOMAIN_NOT_FOUND, OPERATION_NOT_FOUND with the nearest; FIELD_UNKNOWN with the nearest,
                FIELD_CONFLICT, FIELD_INVALID; ARTIFACT_NOT_FOUND; PAYLOAD_TOO_LARGE; what the domain answered.
        """
        operation, warnings = self._operation(request.operation)
        message = operation.request_class()
        values = _values(request)
        payloads = {path: await self._opened(datum) for path, datum in request.payloads.items()}
        warnings += build(message, values, payloads, self._on_legacy)
        if request.request_id:
            _pass_on(message, request.request_id)
        caller = self._instructors[operation.domain]
        reply = await caller.coordinate(operation, message, deadline=_deadline(request))
        result, data = split(reply)
        await take_contents_out(data, self._artifacts)
        return PostCommandExecuteResponse(
            type_name=operation.response_name, result=result, payloads=data, warnings=warnings
        )

    def _operation(self, spelling: str) -> tuple[Operation, tuple[str, ...]]:
        """The operation, and a warning if its name is spelled in a legacy way."""
        if not spelling:
            text = "names what to call, such as 'model.get_model'"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, "operation", text)
        domains = self._instructors.domains
        name = domains.spelled(spelling)
        if name == COMMAND:
            text = "a command cannot be inside a command; call the inner operation itself"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "operation", text)
        operation = domains.operation(name)
        if not operation.unary:
            text = f"{name} is a stream; call it by the service's own client"
            raise CoordinatorError(Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_FIELD_INVALID, text)
        if name == spelling:
            return operation, ()
        self._on_legacy("operation", spelling)
        return operation, (f"operation: {spelling} is a legacy spelling, write {name}",)

    async def _opened(self, datum: Datum) -> Datum:
        """The datum with its content in it."""
        if datum.HasField("artifact"):
            await put_content_in(datum, self._artifacts)
        return datum


def _values(request: PostCommandExecuteRequest) -> dict[str, Any]:
    try:
        return MessageToDict(request.parameters)
    except (SerializeToJsonError, ValueError) as error:
        text = "holds NaN or an infinity, which JSON has no number for"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "parameters", text) from error


def _pass_on(message: Message, request_id: str) -> None:
    """Gives the request_id to an operation that takes one."""
    if "request_id" in message.DESCRIPTOR.fields_by_name and not getattr(message, "request_id"):  # noqa: B009  # typed
        setattr(message, "request_id", request_id)  # noqa: B010  # typed


def _deadline(request: PostCommandExecuteRequest) -> float | None:
    """When the call has to be done, in seconds of `time.monotonic()`: its timeout, at most that of this call."""
    own = current().deadline
    if not request.HasField("timeout"):
        return own
    seconds = request.timeout.ToMicroseconds() / 1e6
    if seconds <= 0:
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "timeout", "must be more than 0 s")
    asked = time.monotonic() + seconds
    return asked if own is None else min(asked, own)
