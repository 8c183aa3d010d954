"""The InferenceService of the contract."""

from __future__ import annotations

import asyncio
from typing import Any

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.inference.v1 import inference_pb2 as pb
from coordinator.inference.v1.inference_pb2_grpc import InferenceServiceServicer

from processing_service.domains.inference.batching import Batcher
from processing_service.domains.inference.computing import Computer
from processing_service.domains.inference.execution import Execution
from processing_service.domains.inference.executor import Executor
from processing_service.domains.inference.memory import share_arenas
from processing_service.domains.inference.messages import device_budgets, inference_session, resident_model
from processing_service.domains.inference.reductions import KINDS
from processing_service.domains.inference.repeats import Repeats
from processing_service.domains.inference.residency import Residency
from processing_service.domains.inference.runtimes.base import Runtime
from processing_service.domains.inference.runtimes.onnx import OnnxRuntime
from processing_service.domains.inference.sessions import InferenceSessions
from processing_service.domains.inference.settings import InferenceSettings
from processing_service.domains.models import CPU, ModelSource
from processing_service.wire.callcontext import current
from processing_service.wire.errors import invalid
from processing_service.wire.pages import make_token, page_size, read_token
from processing_service.wire.telemetry.hooks import Telemetry
from processing_service.wire.tensors import DTYPES


class InferenceServicer(InferenceServiceServicer):
    """Runs models in this process.

    Args:
        source: knows the models; asked in a thread.
        settings: memory, threads and limits.
        runtime: runs them; ONNX Runtime if not given.
        telemetry: told of loads and unloads.
    """

    def __init__(
        self,
        source: ModelSource,
        settings: InferenceSettings | None = None,
        runtime: Runtime | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        share_arenas()
        self.settings = settings or InferenceSettings()
        self.runtime = runtime or OnnxRuntime(self.settings.intra_op_threads)
        budgets = {CPU: self.settings.memory_budget_bytes}
        self.residency = Residency(self.runtime, budgets, self.settings.load_patience, telemetry)
        self.sessions = InferenceSessions(self.settings.max_sessions, self.settings.session_idle)
        self._source = source
        self._executor = Executor(self.settings.workers)
        self._execution = Execution(
            source,
            self.residency,
            Batcher(self._executor, Computer(self.residency.meter, self.settings.max_message_bytes)),
            self.sessions,
            self.settings.max_in_flight,
        )
        self._repeats = Repeats(self.settings.request_retention)

    async def close(self) -> None:
        """Wait for what runs, drop what waits, and give all memory back."""
        await asyncio.to_thread(self._executor.close)
        await self.residency.close()

    async def GetInferenceCapabilities(
        self, request: pb.GetInferenceCapabilitiesRequest, context: Any
    ) -> pb.GetInferenceCapabilitiesResponse:
        name, providers = await asyncio.to_thread(lambda: (self.runtime.name, self.runtime.providers))
        return pb.GetInferenceCapabilitiesResponse(
            runtimes=[name],
            providers=providers,
            devices=device_budgets(self.residency),
            data_types=list(DTYPES),
            reduction_kinds=list(KINDS),
            max_parallel=self.settings.workers,
            max_message_bytes=self.settings.max_message_bytes,
        )

    async def PostInferenceSession(
        self, request: pb.PostInferenceSessionRequest, context: Any
    ) -> pb.PostInferenceSessionResponse:
        async def create() -> pb.PostInferenceSessionResponse:
            model = await asyncio.to_thread(self._source.resolve, request.model_id, request.model_version)
            session = self.sessions.create(model, request.workflow_id, request.session_id, current().tenant)
            return pb.PostInferenceSessionResponse(inference_session=inference_session(session))

        _require(request.model_id, "model_id")
        return await self._repeats.once("PostInferenceSession", request, create)

    async def GetInferenceSessions(
        self, request: pb.GetInferenceSessionsRequest, context: Any
    ) -> pb.GetInferenceSessionsResponse:
        which = f"inference-sessions:{request.model_id}:{request.session_id}".encode()
        after = read_token(which, request.page_token)
        found = self.sessions.select(request.model_id, request.session_id, current().tenant)
        rest = [each for each in found if each.inference_session_id > after]
        page = rest[: page_size(request.page_size)]
        return pb.GetInferenceSessionsResponse(
            inference_sessions=map(inference_session, page),
            next_page_token=make_token(which, page[-1].inference_session_id) if len(page) < len(rest) else "",
            total_count=len(found),
        )

    async def GetInferenceSession(
        self, request: pb.GetInferenceSessionRequest, context: Any
    ) -> pb.GetInferenceSessionResponse:
        session = self.sessions.get(request.inference_session_id)
        return pb.GetInferenceSessionResponse(inference_session=inference_session(session))

    async def DeleteInferenceSession(
        self, request: pb.DeleteInferenceSessionRequest, context: Any
    ) -> pb.DeleteInferenceSessionResponse:
        async def delete() -> pb.DeleteInferenceSessionResponse:
            record, tenant = request.inference_session_id, current().tenant
            deleted, cancelled = self.sessions.delete(record, request.session_id, tenant)
            return pb.DeleteInferenceSessionResponse(deleted_count=deleted, cancelled_count=cancelled)

        _require(request.inference_session_id or request.session_id, "inference_session_id")
        return await self._repeats.once("DeleteInferenceSession", request, delete)

    async def PostInferenceExecute(
        self, request: pb.PostInferenceExecuteRequest, context: Any
    ) -> pb.PostInferenceExecuteResponse:
        _require(request.model_id, "model_id")
        return await self._execution.execute(request, current())

    async def PostInferenceLoad(
        self, request: pb.PostInferenceLoadRequest, context: Any
    ) -> pb.PostInferenceLoadResponse:
        async def load() -> pb.PostInferenceLoadResponse:
            model = await asyncio.to_thread(self._source.resolve, request.model_id, request.model_version)
            resident, loaded = await self.residency.load(model)
            return pb.PostInferenceLoadResponse(model=resident_model(resident), loaded=loaded)

        _require(request.model_id, "model_id")
        return await self._repeats.once("PostInferenceLoad", request, load)

    async def PostInferenceUnload(
        self, request: pb.PostInferenceUnloadRequest, context: Any
    ) -> pb.PostInferenceUnloadResponse:
        async def unload() -> pb.PostInferenceUnloadResponse:
            versions, freed = await self.residency.unload(request.model_id, request.model_version, request.drain)
            return pb.PostInferenceUnloadResponse(model_versions=versions, freed_bytes=freed)

        _require(request.model_id, "model_id")
        return await self._repeats.once("PostInferenceUnload", request, unload)

    async def GetInferenceCache(
        self, request: pb.GetInferenceCacheRequest, context: Any
    ) -> pb.GetInferenceCacheResponse:
        return pb.GetInferenceCacheResponse(
            models=map(resident_model, self.residency.residents()), devices=device_budgets(self.residency)
        )


def _require(value: str, field_path: str) -> None:
    if not value:
        raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, field_path, "must be set")
