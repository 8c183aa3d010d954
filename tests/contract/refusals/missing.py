"""Something is not there."""

import asyncio
from pathlib import Path

from coordinator.inference.v1 import inference_pb2
from coordinator.processing.v1 import processing_pb2 as pb

from tests import onnx_models as onnx
from tests.contract.golden_errors import Golden, status_of
from tests.coordinators import Served, echo, serving


async def errors(folder: Path) -> dict[str, Golden]:
    """Whatever is asked for by a name that nothing has."""
    onnx.put(folder / "models", "doubling", onnx.doubling())
    async with serving(folder, drain_grace=0.0) as served:
        await served.put("three-echoes", echo())
        stub, inference = served.stub, served.inference
        return {
            "WORKFLOW_NOT_FOUND": await status_of(served.execute("three-ecos")),
            "SESSION_NOT_FOUND": await status_of(served.session("nobody")),
            "SESSION_NOT_STORED": await _fleeting(served),
            "BATCH_NOT_FOUND": await status_of(
                stub.GetProcessingBatch(pb.GetProcessingBatchRequest(batch_id="nothing"))
            ),
            "MODEL_NOT_FOUND": await status_of(
                inference.PostInferenceExecute(inference_pb2.PostInferenceExecuteRequest(model_id="dubling"))
            ),
            "INFERENCE_SESSION_NOT_FOUND": await status_of(
                inference.GetInferenceSession(inference_pb2.GetInferenceSessionRequest(inference_session_id="gone"))
            ),
            "ARTIFACT_NOT_FOUND": await status_of(
                stub.GetProcessingArtifact(pb.GetProcessingArtifactRequest(digest="0" * 64))
            ),
            "OPERATION_NOT_FOUND": await status_of(
                stub.PostCommandExecute(pb.PostCommandExecuteRequest(operation="inference.get_inference_cash"))
            ),
            "DOMAIN_NOT_FOUND": await status_of(
                stub.PostCommandExecute(pb.PostCommandExecuteRequest(operation="inferense.get_inference_cache"))
            ),
        }


async def _fleeting(served: Served) -> Golden:
    """A session without a record, asked for while it runs."""
    await served.put("slow", echo(delay="60s"))
    running = asyncio.ensure_future(served.execute("slow", session_id="fleeting", durability=pb.DURABILITY_NONE))
    while True:
        status = await status_of(served.session("fleeting"))
        if "durability NONE" in status.message:
            running.cancel()
            return status
