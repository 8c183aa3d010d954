"""What is special to the Model domain: a session's model is resolved once, and then stays that one."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from coordinator.model.v1.model_pb2 import GetModelRequest

from instructors.base import BaseInstructor
from processing_service.engine.base import SessionContext
from processing_service.wire.callcontext import CallContext


class Pin(NamedTuple):
    """The model that a session runs with, whatever is put into the repository later."""

    model_id: str
    model_version: str
    model_digest: str
    """SHA-256 of the model file."""
    inference_session_id: str = ""
    """What the Inference domain knows the session by; empty until its first call."""

    @classmethod
    def of(cls, model_id: str, text: str) -> Pin:
        """The pin that `text` keeps."""
        version, _, digest = text.partition("@")
        return cls(model_id, version, digest)

    @classmethod
    def of_session(cls, session: SessionContext) -> Pin | None:
        """The model that a session has run with since it began; None if it has none, or is about to begin."""
        return cls.of(session.request.model_id, session.model_pin) if session.model_pin else None

    @property
    def text(self) -> str:
        """`version@digest`, as it is stored with the session."""
        return f"{self.model_version}@{self.model_digest}"


PINNED: Final = ("model_version", "model_digest", "inference_session_id")
"""Fields that a pin fills in requests for its model_id, where they are not set."""


class ModelInstructor(BaseInstructor):
    """Calls the Model domain."""

    async def resolve(self, model_id: str, context: CallContext, model_version: str = "") -> Pin:
        """That version of the model, or the newest. Raises CoordinatorError: MODEL_NOT_FOUND, MODEL_INVALID."""
        operation = self._domains.operation("model.get_model")
        request = GetModelRequest(model_id=model_id, model_version=model_version)
        reply: Any = await self.coordinate(operation, request, context=context)
        return Pin(reply.model.model_id, reply.model.model_version, reply.model.digest)
