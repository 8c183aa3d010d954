"""Models that cannot be used, held or run."""

import asyncio
from pathlib import Path

import numpy as np
from coordinator.inference.v1 import inference_pb2
from google.rpc import status_pb2

from processing_service.domains.inference.settings import InferenceSettings
from processing_service.wire.tensors import from_array
from tests import onnx_models as onnx
from tests.contract.golden_errors import Golden, status_of
from tests.coordinators import Served, serving
from tests.integration.test_inference_service import int64s, one_node

GIB = 1 << 30
MODELS = {
    "MODEL_INVALID": (one_node("NoSuchThing"), ""),
    "MODEL_BUDGET_EXCEEDED": (onnx.doubling(), "declared_size_bytes: 900000000000"),
    "MODEL_RUN_FAILED": (one_node("Reshape", ("x", "s"), [int64s("s", 5, 5)]), ""),
    "MODEL_OUT_OF_MEMORY": (one_node("Expand", ("x", "s"), [int64s("s", 1 << 38, 1, 3)]), ""),
}


async def errors(folder: Path) -> dict[str, Golden]:
    """Each by a model made for it."""
    for reason_name, (content, manifest) in MODELS.items():
        onnx.put(folder / "models", _model_id(reason_name), content, manifest=manifest)
    onnx.put(folder / "models", "slow", onnx.slow(rounds=10_000))
    async with serving(folder, inference=InferenceSettings(memory_budget_bytes=GIB)) as served:
        found: dict[str, Golden] = {name: await _run(served, _model_id(name)) for name in MODELS}
        return found | {"MODEL_IN_USE": await _unload_while_held(served)}


def _model_id(reason_name: str) -> str:
    return reason_name.lower().replace("_", "-")


async def _run(served: Served, model_id: str) -> status_pb2.Status:
    request = _request(model_id, (2, 3))
    return await status_of(served.inference.PostInferenceExecute(request))


async def _unload_while_held(served: Served) -> status_pb2.Status:
    key = (("coordinator-idempotency-key", "s-1/read[3]"),)
    holding = asyncio.ensure_future(served.inference.PostInferenceExecute(_request("slow", (1000, 400)), metadata=key))
    while not await _is_held(served):
        pass
    unload = inference_pb2.PostInferenceUnloadRequest(model_id="slow")
    status = await status_of(served.inference.PostInferenceUnload(unload))
    holding.cancel()
    return status


async def _is_held(served: Served) -> bool:
    cache = await served.inference.GetInferenceCache(inference_pb2.GetInferenceCacheRequest())
    return any(model.holders for model in cache.models)


def _request(model_id: str, shape: tuple[int, int]) -> inference_pb2.PostInferenceExecuteRequest:
    x = from_array(np.ones(shape, np.float32))
    return inference_pb2.PostInferenceExecuteRequest(model_id=model_id, inputs={"x": x})
