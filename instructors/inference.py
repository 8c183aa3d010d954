"""What is special to the Inference domain: it is told which session uses a model, and when that has ended."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from coordinator.inference.v1.inference_pb2 import DeleteInferenceSessionRequest, PostInferenceSessionRequest

from instructors.base import BaseInstructor
from instructors.model import Pin
from processing_service.wire.callcontext import CallContext


class InferenceInstructor(BaseInstructor):
    """Calls the Inference domain."""

    async def open_session(self, pin: Pin, workflow_id: str, context: CallContext) -> Pin:
        """Records that a session uses its model, in this attempt of it; the pin with the id of the record."""
        operation = self._domains.operation("inference.post_inference_session")
        request = PostInferenceSessionRequest(
            model_id=pin.model_id,
            model_version=pin.model_version,
            workflow_id=workflow_id,
            session_id=context.session_id,
            request_id=uuid4().hex,
        )
        reply: Any = await self.coordinate(operation, request, context=context)
        return pin._replace(inference_session_id=reply.inference_session.inference_session_id)

    async def close_session(self, session_id: str, inference_session_id: str, context: CallContext) -> None:
        """Ends the record of an attempt, all of the session if it has none, and cancels what runs for it.

        By the record and not by the session: the next attempt may have begun.
        """
        operation = self._domains.operation("inference.delete_inference_session")
        request = DeleteInferenceSessionRequest(inference_session_id=inference_session_id, request_id=uuid4().hex)
        if not inference_session_id:
            request.session_id = session_id
        await self.coordinate(operation, request, context=context)
