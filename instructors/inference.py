"""What is special to the Inference domain: it is told which session uses a model, and when that has ended."""

from __future__ import annotations

from typing import Any

from coordinator.inference.v1.inference_pb2 import DeleteInferenceSessionRequest, PostInferenceSessionRequest

from instructors.base import BaseInstructor
from instructors.model import Pin
from processing_service.wire.callcontext import CallContext


class InferenceInstructor(BaseInstructor):
    """Calls the Inference domain."""

    async def open_session(self, pin: Pin, workflow_id: str, context: CallContext) -> Pin:
        """Records that a session uses its model; the pin with the id of the record. A repeat finds the first."""
        operation = self._domains.operation("inference.post_inference_session")
        request = PostInferenceSessionRequest(
            model_id=pin.model_id,
            model_version=pin.model_version,
            workflow_id=workflow_id,
            session_id=context.session_id,
            request_id=context.session_id,
        )
        reply: Any = await self.coordinate(operation, request, context=context)
        return pin._replace(inference_session_id=reply.inference_session.inference_session_id)

    async def close_session(self, session_id: str, context: CallContext) -> None:
        """Ends all that the domain records of a session, and cancels its runs."""
        operation = self._domains.operation("inference.delete_inference_session")
        request = DeleteInferenceSessionRequest(session_id=session_id, request_id=session_id)
        await self.coordinate(operation, request, context=context)
