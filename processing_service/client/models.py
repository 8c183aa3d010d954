"""Models: the RPCs of ModelService, called through the coordinator, so that they work wherever the domain runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from coordinator.model.v1 import model_pb2

from processing_service.client.commands import CommandCalls


class ModelCalls(CommandCalls):
    """The model repository, and what of it is resident."""

    async def get_models(
        self, *, labels: Mapping[str, str] | None = None, page_size: int = 0, deadline: float | None = None
    ) -> AsyncIterator[model_pb2.ModelInfo]:
        """The models of the repository, one entry a version."""
        request = model_pb2.GetModelsRequest(labels=labels, page_size=page_size)
        while True:
            page = await self.call_operation(
                "model.get_models", request, model_pb2.GetModelsResponse, deadline=deadline
            )
            for model in page.models:
                yield model
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def get_model(
        self, model_id: str, model_version: str = "", *, deadline: float | None = None
    ) -> model_pb2.GetModelResponse:
        """One version of one model; an empty version is the newest."""
        request = model_pb2.GetModelRequest(model_id=model_id, model_version=model_version)
        return await self.call_operation("model.get_model", request, model_pb2.GetModelResponse, deadline=deadline)

    async def post_model_load(
        self, model_id: str, model_version: str = "", *, deadline: float | None = None
    ) -> model_pb2.PostModelLoadResponse:
        """Makes a model resident."""
        request = model_pb2.PostModelLoadRequest(model_id=model_id, model_version=model_version)
        return await self.call_operation(
            "model.post_model_load", request, model_pb2.PostModelLoadResponse, deadline=deadline
        )

    async def post_model_unload(
        self, model_id: str, model_version: str = "", *, drain: bool = False, deadline: float | None = None
    ) -> model_pb2.PostModelUnloadResponse:
        """Gives a model's memory back; with `drain` once no call holds it."""
        request = model_pb2.PostModelUnloadRequest(model_id=model_id, model_version=model_version, drain=drain)
        return await self.call_operation(
            "model.post_model_unload", request, model_pb2.PostModelUnloadResponse, deadline=deadline
        )

    async def get_model_cache(self, *, deadline: float | None = None) -> model_pb2.GetModelCacheResponse:
        """Resident models, and the budget of each device."""
        return await self.call_operation(
            "model.get_model_cache",
            model_pb2.GetModelCacheRequest(),
            model_pb2.GetModelCacheResponse,
            deadline=deadline,
        )
