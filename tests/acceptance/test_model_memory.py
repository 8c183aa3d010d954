"""What a model takes of the memory of a process of its own: in one that tests share, their garbage goes meanwhile."""

from pathlib import Path

import grpc
import numpy as np
from coordinator.inference.v1 import inference_pb2 as pb
from coordinator.inference.v1.inference_pb2_grpc import InferenceServiceStub

from processing_service.wire.tensors import from_array
from tests import onnx_models as onnx
from tests.acceptance.processes import Server

MIB = 1 << 20


async def test_unloading_gives_the_memory_back(tmp_path: Path) -> None:
    """What a model took when it was loaded and run goes back to the operating system."""
    onnx.put(tmp_path / "models", "heavy", onnx.heavy(64))
    request = pb.PostInferenceExecuteRequest(model_id="heavy", inputs={"x": from_array(np.ones(1, np.float32))})
    server = Server(
        "--only", "inference", "--models", str(tmp_path / "models"), "--listen", f"unix:{tmp_path}/inference.sock"
    )
    await server.start()
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:
            inference = InferenceServiceStub(channel)
            await inference.PostInferenceExecute(request)
            cache = await inference.GetInferenceCache(pb.GetInferenceCacheRequest())
            reply = await inference.PostInferenceUnload(pb.PostInferenceUnloadRequest(model_id="heavy"))
            after = await inference.GetInferenceCache(pb.GetInferenceCacheRequest())
    finally:
        await server.stop()

    (model,) = cache.models
    assert model.loaded_bytes >= 60 * MIB
    assert model.run_bytes >= 60 * MIB
    assert cache.devices[0].used_bytes == model.size_bytes >= 120 * MIB
    assert reply.freed_bytes >= 120 * MIB
    assert not after.models
    assert after.devices[0].used_bytes == 0
