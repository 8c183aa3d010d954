"""The request is wrong."""

from pathlib import Path
from typing import Any

from coordinator.inference.v1 import inference_pb2
from coordinator.payload.v1.payload_pb2 import DataType, Datum, Tensor
from coordinator.postprocessing.v1 import postprocessing_pb2
from coordinator.postprocessing.v1.postprocessing_pb2_grpc import PostprocessingServiceStub
from coordinator.processing.v1 import processing_pb2 as pb
from google.rpc import status_pb2

from tests import onnx_models as onnx
from tests.contract.golden_errors import Golden, failure_in, status_of
from tests.coordinators import Served, echo, serving
from tests.integration.test_bad_input import png

MIB = 1 << 20
X = Tensor(data_type=DataType.DATA_TYPE_FLOAT32, shape=[2, 3], data=bytes(24))
CUT = Tensor(data_type=DataType.DATA_TYPE_FLOAT32, shape=[2, 3], data=bytes(23))


async def errors(folder: Path) -> dict[str, Golden]:
    """Names, values, sizes and content that are not taken."""
    onnx.put(folder / "models", "doubling", onnx.doubling())
    async with serving(folder) as served:
        text = {"text": {"value_type": "STRING"}}
        await served.put("say", echo(text="${parameters.text}"), parameters=text)
        listed = pb.GetProcessingWorkflowsRequest(page_token="nonsense")
        chunk = pb.PostProcessingArtifactRequest(data=bytes(5 * MIB))
        return {
            "FIELD_UNKNOWN": await status_of(served.execute("say", {"txt": "hello"})),
            "FIELD_INVALID": await status_of(served.execute("say", {"text": 5})),
            "FIELD_REQUIRED": await status_of(served.execute("say")),
            "FIELD_CONFLICT": await status_of(
                served.execute("say", {"text": "hello"}, payloads={"text": Datum(inline_bytes=b"hello")})
            ),
            "PAGE_TOKEN_INVALID": await status_of(served.stub.GetProcessingWorkflows(listed)),
            "WORKFLOW_INVALID": await status_of(
                served.put("circle", echo("a", depends_on=["a"]), echo("b", dependson=["a"]))
            ),
            "TENSOR_INVALID": await _run(served, x=CUT),
            "IMAGE_INVALID": await _decode(served, b"%PDF-1.7 not an image at all"),
            "IMAGE_TOO_LARGE": await _decode(served, png(31_623, 31_623)),
            "PAYLOAD_TOO_LARGE": await status_of(served.stub.PostProcessingArtifact(iter([chunk]))),
            "DIGEST_MISMATCH": await _run(served, x=X, model_digest="0" * 64),
            "METADATA_INVALID": await status_of(
                served.stub.GetProcessingContract(
                    pb.GetProcessingContractRequest(), metadata=(("coordinator-attempt", "second"),)
                )
            ),
            "EXPRESSION_FAILED": await _divide(served),
        }


async def _run(served: Served, x: Tensor, **fields: Any) -> status_pb2.Status:
    request = inference_pb2.PostInferenceExecuteRequest(model_id="doubling", inputs={"x": x}, **fields)
    return await status_of(served.inference.PostInferenceExecute(request))


async def _decode(served: Served, image: bytes) -> status_pb2.Status:
    operation = postprocessing_pb2.DecodeOperation(image_bytes=image)
    request = postprocessing_pb2.PostPostprocessingExecuteRequest(decode=operation)
    return await status_of(PostprocessingServiceStub(served.channel).PostPostprocessingExecute(request))


async def _divide(served: Served) -> Golden:
    """An output that divides by what is nothing this time."""
    await served.put(
        "ratio",
        echo(),
        parameters={"count": {"value_type": "INTEGER"}},
        outputs={"ratio": {"value": "${1 / parameters.count}"}},
    )
    session = (await served.execute("ratio", {"count": 0}, session_id="ratio")).session
    return failure_in(session.failure, "EXPRESSION_FAILED")
