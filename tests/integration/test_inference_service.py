"""The Inference service over a real port: real ONNX Runtime, the catalog's models and tiny ones."""


import numpy as np
import pytest
from coordinator.inference.v1 import inference_pb2 as pb
from coordinator.inference.v1.inference_pb2 import Reduction, ReductionKind

from processing_service.wire.tensors import from_array, to_array
from tests import onnx_models as onnx
from tests.model_services import serve


def execute(model_id, _reductions=(), **inputs):
    return pb.PostInferenceExecuteRequest(
        model_id=model_id,
        inputs={name: from_array(np.asarray(array)) for name, array in inputs.items()},
        reductions=_reductions,
    )


def outputs_of(reply):
    return {name: to_array(tensor, name) for name, tensor in reply.outputs.items()}


async def test_a_model_runs(tmp_path):
    """Inputs go in by name, outputs come out by name, with what ran and how long it took."""
    onnx.put(tmp_path, "doubling", onnx.doubling())
    async with serve(tmp_path) as services:
        reply = await services.inference.PostInferenceExecute(execute("doubling", x=np.ones((2, 3), np.float32)))

    assert outputs_of(reply)["y"].tolist() == [[2, 2, 2], [2, 2, 2]]
    assert (reply.model_version, reply.batch_size, len(reply.model_digest)) == ("1", 1, 64)


async def test_text_is_found_read_and_turned(model_repository):
    """The catalog's three models take UINT8 images and give what their descriptions say."""
    image = np.full((64, 192, 3), 255, np.uint8)
    line = np.full((48, 320, 3), 255, np.uint8)
    best = [
        Reduction(output_name="output", reduction_kind=ReductionKind.REDUCTION_KIND_ARGMAX, axis=-1, name="index"),
        Reduction(output_name="output", reduction_kind=ReductionKind.REDUCTION_KIND_MAX, axis=-1, name="probability"),
    ]
    async with serve(model_repository) as services:
        found = outputs_of(await services.inference.PostInferenceExecute(execute("text-detection", input=image)))
        read = outputs_of(await services.inference.PostInferenceExecute(execute("text-recognition", best, input=line)))
        turned = outputs_of(
            await services.inference.PostInferenceExecute(execute("text-orientation", input=line[np.newaxis, :, :192]))
        )

    assert found["fetch_name_0"].shape == (1, 1, 64, 192)
    assert (read["index"].shape, read["index"].dtype) == ((1, 40), np.int32)
    assert read["probability"].shape == (1, 40)
    assert turned["save_infer_model/scale_0.tmp_1"].sum() == pytest.approx(1)
