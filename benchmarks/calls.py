"""What callers of the benchmarks ask for: echoes in a row, from a domain itself or as a session of a workflow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from coordinator.postprocessing.v1.postprocessing_pb2 import EchoOperation, PostPostprocessingExecuteRequest
from coordinator.postprocessing.v1.postprocessing_pb2_grpc import PostprocessingServiceStub
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub

from processing_service.client.retries import new_request_id

_TEXT = "hello"
_TIMEOUT_S = 30.0

Operation = Callable[[], Awaitable[None]]


def workflow_of(steps: int) -> str:
    """A workflow of that many echoes, each with what the one before it said."""
    source = f"workflow_id: echoes{steps}\nparameters:\n  text: {{value_type: STRING}}\nsteps:\n"
    text = "parameters.text"
    for step in range(1, steps + 1):
        source += f"  - step_id: echo{step}\n    operation: postprocessing.post_postprocessing_execute\n"
        source += f'    parameters: {{echo: {{text: "${{{text}}}"}}}}\n'
        text = f"steps.echo{step}.echo.text"
    return f'{source}outputs:\n  text: {{value: "${{{text}}}"}}\n'


async def put_workflow(channel: grpc.aio.Channel, source: str) -> None:
    """Stores a definition."""
    request = pb.PutProcessingWorkflowRequest(source=source, request_id=new_request_id())
    await ProcessingServiceStub(channel).PutProcessingWorkflow(request, timeout=_TIMEOUT_S)


def direct(channel: grpc.aio.Channel, steps: int) -> Operation:
    """The client makes the calls itself."""
    call: Any = PostprocessingServiceStub(channel).PostPostprocessingExecute

    async def operation() -> None:
        text = _TEXT
        for _ in range(steps):
            request = PostPostprocessingExecuteRequest(echo=EchoOperation(text=text))
            text = (await call(request, timeout=_TIMEOUT_S)).echo.text
        assert text == _TEXT

    return operation


def session(channel: grpc.aio.Channel, steps: int, *, stored: bool = True) -> Operation:
    """A foreground session; `stored` with full durability and a request_id, else with none."""
    call: Any = ProcessingServiceStub(channel).PostWorkflowExecute

    async def operation() -> None:
        request = pb.PostWorkflowExecuteRequest(workflow_id=f"echoes{steps}")
        request.parameters["text"] = _TEXT
        if stored:
            request.request_id = new_request_id()
        else:
            request.durability = pb.DURABILITY_NONE
        ended = (await call(request, timeout=_TIMEOUT_S)).session
        assert ended.state == pb.SESSION_STATE_SUCCEEDED, ended
        assert ended.outputs["text"] == _TEXT, ended

    return operation
