"""The peer of sessions that are not stored: a coordinator as one writes it by hand, on the same kind of server.

python -m benchmarks.plain_coordinator --listen 127.0.0.1:50051 --postprocessing-address 127.0.0.1:50052
"""

import argparse

from coordinator.postprocessing.v1.postprocessing_pb2 import EchoOperation, PostPostprocessingExecuteRequest
from coordinator.postprocessing.v1.postprocessing_pb2_grpc import PostprocessingServiceStub
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import (
    ProcessingServiceServicer,
    add_ProcessingServiceServicer_to_server,
)

from processing_service.server import event_loop
from processing_service.wire.channels import ChannelSettings, open_channel
from processing_service.wire.health import Health
from processing_service.wire.interceptors.edge import Edge
from processing_service.wire.listener import Listener, ListenerSettings
from processing_service.wire.telemetry.setup import TelemetrySettings, observe


class PlainCoordinator(ProcessingServiceServicer):
    def __init__(self, postprocessing):
        self.postprocessing = postprocessing

    async def PostWorkflowExecute(self, request, context):
        text = request.parameters["text"]
        for _ in range(3):
            echo = PostPostprocessingExecuteRequest(echo=EchoOperation(text=text))
            reply = await self.postprocessing.PostPostprocessingExecute(echo, timeout=context.time_remaining())
            text = reply.echo.text
        session = pb.Session(workflow_id=request.workflow_id, state=pb.SESSION_STATE_SUCCEEDED)
        session.outputs["text"] = text
        return pb.PostWorkflowExecuteResponse(session=session)


async def serve(listen: str, postprocessing_address: str) -> None:
    async with (
        observe(TelemetrySettings()) as observed,
        open_channel(ChannelSettings(postprocessing_address)) as channel,
    ):
        health = Health()
        listener = Listener(ListenerSettings(listen), Edge(observed.telemetry), health)
        servicer = PlainCoordinator(PostprocessingServiceStub(channel))
        add_ProcessingServiceServicer_to_server(servicer, listener.server)
        await listener.start([])
        await listener.server.wait_for_termination()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--postprocessing-address", required=True)
    options = parser.parse_args()
    event_loop.run(serve(options.listen, options.postprocessing_address))
