"""The ModelService of the contract: the repository, and what the Inference service has of it in memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.inference.v1 import inference_pb2
from coordinator.model.v1 import model_pb2 as pb
from coordinator.model.v1.model_pb2_grpc import ModelServiceServicer

from processing_service.domains.model.messages import model_info
from processing_service.domains.model.repository import ModelRepository
from processing_service.wire.callcontext import current, outgoing_metadata
from processing_service.wire.errors import Code, CoordinatorError, invalid
from processing_service.wire.pages import make_token, page_size, read_token

if TYPE_CHECKING:  # the type of an asyncio stub stands in the typings alone
    from coordinator.inference.v1.inference_pb2_grpc import InferenceServiceAsyncStub


class ModelServicer(ModelServiceServicer):
    """Serves the repository.

    Args:
        repository: where the models are.
        inference: asked for load, unload and cache; None answers them with DOMAIN_NOT_CONFIGURED.
    """

    def __init__(self, repository: ModelRepository, inference: InferenceServiceAsyncStub | None = None) -> None:
        self._repository = repository
        self._inference = inference

    async def GetModels(self, request: pb.GetModelsRequest, context: Any) -> pb.GetModelsResponse:
        return await asyncio.to_thread(self._list, request)

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:
        _require_model(request.model_id)
        return await asyncio.to_thread(self._get, request)

    async def PostModelLoad(self, request: pb.PostModelLoadRequest, context: Any) -> pb.PostModelLoadResponse:
        _require_model(request.model_id)
        asked = inference_pb2.PostInferenceLoadRequest(
            model_id=request.model_id, model_version=request.model_version, request_id=request.request_id
        )
        reply = await self._stub().PostInferenceLoad(asked, timeout=current().remaining(), metadata=outgoing_metadata())
        return pb.PostModelLoadResponse(model=reply.model, loaded=reply.loaded)

    async def PostModelUnload(self, request: pb.PostModelUnloadRequest, context: Any) -> pb.PostModelUnloadResponse:
        _require_model(request.model_id)
        asked = inference_pb2.PostInferenceUnloadRequest(
            model_id=request.model_id,
            model_version=request.model_version,
            drain=request.drain,
            request_id=request.request_id,
        )
        reply = await self._stub().PostInferenceUnload(
            asked, timeout=current().remaining(), metadata=outgoing_metadata()
        )
        if not reply.model_versions:  # else it may be gone from the repository by now
            await asyncio.to_thread(self._repository.find, request.model_id, request.model_version)
        return pb.PostModelUnloadResponse(model_versions=reply.model_versions, freed_bytes=reply.freed_bytes)

    async def GetModelCache(self, request: pb.GetModelCacheRequest, context: Any) -> pb.GetModelCacheResponse:
        asked = inference_pb2.GetInferenceCacheRequest()
        reply = await self._stub().GetInferenceCache(asked, timeout=current().remaining(), metadata=outgoing_metadata())
        return pb.GetModelCacheResponse(models=reply.models, devices=reply.devices)

    def _list(self, request: pb.GetModelsRequest) -> pb.GetModelsResponse:
        size = page_size(request.page_size)
        which = f"models:{sorted(request.labels.items())}".encode()
        after = read_token(which, request.page_token)
        wanted = dict(request.labels).items()
        found = [model for model in self._repository.models() if wanted <= model.labels.items()]
        keys = [f"{model.model_id}/{model.model_version}" for model in found]
        start = _index_behind(after, keys)
        page = found[start : start + size]
        is_last = start + size >= len(found)
        return pb.GetModelsResponse(
            models=(model_info(model, short=True) for model in page),
            next_page_token="" if is_last else make_token(which, keys[start + size - 1]),
            total_count=len(found),
        )

    def _get(self, request: pb.GetModelRequest) -> pb.GetModelResponse:
        model = self._repository.resolve(request.model_id, request.model_version)
        return pb.GetModelResponse(model=model_info(model), model_versions=self._repository.versions(request.model_id))

    def _stub(self) -> InferenceServiceAsyncStub:
        if self._inference is None:
            raise CoordinatorError(
                Code.FAILED_PRECONDITION,
                ErrorReason.ERROR_REASON_DOMAIN_NOT_CONFIGURED,
                "this Model service has no Inference service to ask; start it with the address of one",
                metadata={"domain": "inference"},
            )
        return self._inference


def _index_behind(key: str, keys: list[str]) -> int:
    """Where the next page begins; behind the whole model if the version that ended the last one is gone."""
    if key in keys:
        return keys.index(key) + 1
    model_id = key.partition("/")[0]
    return sum(each.partition("/")[0] <= model_id for each in keys)


def _require_model(model_id: str) -> None:
    if not model_id:
        raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, "model_id", "name a model; model.get_models lists them")
