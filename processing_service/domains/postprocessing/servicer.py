"""The servicer: picks the operation, and the thread that it runs in."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb
from coordinator.postprocessing.v1.postprocessing_pb2_grpc import PostprocessingServiceServicer

from processing_service.domains.postprocessing import capabilities
from processing_service.domains.postprocessing.echo import wait_for
from processing_service.domains.postprocessing.registry import OPERATIONS
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import invalid


class PostprocessingServicer(PostprocessingServiceServicer):
    """Serves the operations: small ones at once, the others in a pool of threads, first come first served.

    Args:
        settings: limits.
    """

    def __init__(self, settings: PostprocessingSettings | None = None) -> None:
        self.settings = settings or PostprocessingSettings()
        self._pool = ThreadPoolExecutor(self.settings.workers, thread_name_prefix="postprocessing")
        cv2.setNumThreads(1)  # the pool is the only parallelism
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # damaged files are answers, not events

    async def GetPostprocessingCapabilities(
        self, request: pb.GetPostprocessingCapabilitiesRequest, context: Any
    ) -> pb.GetPostprocessingCapabilitiesResponse:
        return capabilities.describe(self.settings)

    async def PostPostprocessingExecute(
        self, request: pb.PostPostprocessingExecuteRequest, context: Any
    ) -> pb.PostPostprocessingExecuteResponse:
        started = time.perf_counter_ns()
        name = request.WhichOneof("operation")
        if name is None:
            raise invalid(
                ErrorReason.ERROR_REASON_FIELD_REQUIRED, "operation", f"set one of {', '.join(sorted(OPERATIONS))}"
            )
        operation, argument = OPERATIONS[name], getattr(request, name)
        if name == "echo" and argument.HasField("delay"):
            await wait_for(argument)
        if operation.is_small(argument):
            result = operation.run(argument, self.settings)
        else:
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self._pool, operation.run, argument, self.settings)
        reply = pb.PostPostprocessingExecuteResponse()
        getattr(reply, name).CopyFrom(result)  # given to the constructor it would be copied as text and back
        reply.computing.FromNanoseconds(time.perf_counter_ns() - started)
        return reply

    def close(self) -> None:
        """Takes no more work; what runs goes to its end, what waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
