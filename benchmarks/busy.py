"""A session that is busy for as long as it is needed: one step of very many quick calls."""

from __future__ import annotations

from typing import Any, Final

import grpc
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub

from benchmarks.calls import put_workflow

_SOURCE: Final = """
workflow_id: busy
parameters:
  texts: {value_type: STRING, is_list: true}
  delay: {value_type: STRING}
steps:
- step_id: say
  operation: postprocessing.post_postprocessing_execute
  foreach: {items: "${parameters.texts}", max_parallel: 2}
  parameters: {echo: {text: "${item}", delay: "${parameters.delay}"}}
"""
_TIMEOUT_S: Final = 30.0


class Busy:
    """Starts and ends busy sessions."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._stub: Any = ProcessingServiceStub(channel)

    async def put(self) -> None:
        """Stores the workflow."""
        await put_workflow(self._channel, _SOURCE)

    async def start(self, session_id: str, calls: int, delay_s: float) -> None:
        """Two calls of that length are out at a time; each makes two events."""
        request = pb.PostWorkflowExecuteRequest(workflow_id="busy", session_id=session_id, background=True)
        request.parameters.update({"texts": [str(number) for number in range(calls)], "delay": f"{delay_s}s"})
        await self._stub.PostWorkflowExecute(request, timeout=_TIMEOUT_S)

    async def end(self, session_id: str) -> None:
        """Wherever it is; one that has ended is left alone."""
        action = pb.CONTROL_ACTION_TERMINATE
        request = pb.PostSessionControlRequest(session_id=session_id, control_action=action)
        try:
            await self._stub.PostSessionControl(request, timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise

    async def history(self, session_id: str) -> list[pb.SessionEvent]:
        """All of it."""
        events: list[pb.SessionEvent] = []
        request = pb.GetProcessingSessionEventsRequest(session_id=session_id, page_size=1000)
        while True:
            page = await self._stub.GetProcessingSessionEvents(request, timeout=_TIMEOUT_S)
            events += page.events
            if not (token := page.next_page_token):
                return events
            request.page_token = token
