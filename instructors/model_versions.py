"""Which version of a model a call runs on, and which one it ran on: two requests that are equal may differ in that."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from coordinator.error.v1.error_pb2 import ErrorReason

from instructors.model import Pin
from instructors.plans import PlannedStep
from instructors.registry import Instructors
from processing_service.wire.callcontext import CallContext
from processing_service.wire.errors import CoordinatorError

_DIGEST: Final = "model_digest"


class ModelVersion(NamedTuple):
    """The model of a call."""

    text: str | None
    """`version@digest`; empty if the call has none, None if it cannot be told."""
    pin: Pin | None = None
    """What the request is to be bound to, so that it runs on that one and no other."""


class ModelVersions:
    """Asks the Model domain."""

    def __init__(self, instructors: Instructors) -> None:
        self._instructors = instructors

    async def now(self, step: PlannedStep, request: Any, pin: Pin | None, context: CallContext) -> ModelVersion:
        """The model that a request would run on.

        A name that the repository does not know is text as any other, unless the operation is one of models.

        Args:
            pin: the model of the session.
        """
        if not model_of(request):
            return ModelVersion("")
        if pin is None or pin.model_id != request.model_id or _version(request) not in ("", pin.model_version):
            try:
                pin = await self._instructors.model.resolve(request.model_id, context, _version(request))
            except CoordinatorError as error:
                is_text = error.reason == ErrorReason.ERROR_REASON_MODEL_NOT_FOUND and _DIGEST not in step.pins
                return ModelVersion("" if is_text else None)
        if _DIGEST not in step.pins or request.model_digest not in ("", pin.model_digest):
            return ModelVersion(None)
        return ModelVersion(pin.text, pin)


def model_then(step: PlannedStep, request: Any, reply: Any, pin: Pin | None) -> str | None:
    """The model that a call ran on: as its reply says, or as its session had it; as `ModelVersion.text`."""
    if not model_of(request):
        return ""
    if digest := getattr(reply, _DIGEST, ""):
        return Pin("", getattr(reply, "model_version", ""), digest).text
    if pin is not None and pin.model_id == request.model_id and _version(request) in ("", pin.model_version):
        return pin.text
    return None if _DIGEST in step.pins else ""


def model_of(request: Any) -> str:
    """The model that a request names; empty if none."""
    name = getattr(request, "model_id", "")
    return name if isinstance(name, str) else ""


def _version(request: Any) -> str:
    return str(getattr(request, "model_version", ""))
