"""A domain that echoes, but answers no call of the text `silent` and says when each of them came and was cancelled.

python -m benchmarks.silent_domain --listen 127.0.0.1:50052

Lines of its output: `asked SESSION SECONDS` and `cancelled SESSION SECONDS`, by the monotonic clock of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from coordinator.postprocessing.v1 import postprocessing_pb2 as pb
from coordinator.postprocessing.v1.postprocessing_pb2_grpc import (
    PostprocessingServiceServicer,
    add_PostprocessingServiceServicer_to_server,
)

from processing_service.server import event_loop
from processing_service.wire.callcontext import current
from processing_service.wire.health import Health
from processing_service.wire.interceptors.edge import Edge
from processing_service.wire.listener import Listener, ListenerSettings
from processing_service.wire.telemetry.hooks import Telemetry


class SilentDomain(PostprocessingServiceServicer):
    async def PostPostprocessingExecute(self, request, context):
        if request.echo.text != "silent":
            return pb.PostPostprocessingExecuteResponse(echo=pb.EchoResult(text=request.echo.text))
        session_id = current().session_id
        _say("asked", session_id)
        try:
            await asyncio.Event().wait()
        finally:
            _say("cancelled", session_id)


def _say(what: str, session_id: str) -> None:
    print(what, session_id, repr(time.monotonic()), flush=True)


async def serve(listen: str) -> None:
    listener = Listener(ListenerSettings(listen), Edge(Telemetry()), Health())
    add_PostprocessingServiceServicer_to_server(SilentDomain(), listener.server)
    await listener.start([])
    await listener.server.wait_for_termination()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    event_loop.run(serve(parser.parse_args().listen))
