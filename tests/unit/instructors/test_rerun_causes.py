"""Why a step runs again, in words."""

from __future__ import annotations

import hashlib

from coordinator.inference.v1.inference_pb2 import PostInferenceExecuteRequest
from coordinator.payload.v1.payload_pb2 import DataType, Tensor

from instructors.computations import Computation
from instructors.rerun_causes import difference, model_change


def ran(model="1@" + "d" * 64, output_names=(), **inputs):
    """A run of a model."""
    tensors = {name: Tensor(data_type=DataType.DATA_TYPE_UINT8, shape=[1], data=data) for name, data in inputs.items()}
    request = PostInferenceExecuteRequest(model_id="reader", inputs=tensors, output_names=output_names)
    return Computation(request, model, b"i")


def digest(message):
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()[:12]


def test_an_input_that_changed_is_named_with_both_digests():
    """By its path in the request, as definitions write it."""
    then, now = ran(x=b"1", y=b"2"), ran(x=b"1", y=b"3")
    was, is_now = digest(then.request.inputs["y"]), digest(now.request.inputs["y"])
    assert difference(then, now) == f"input inputs.y changed (SHA-256 {is_now}, was {was})"


def test_inputs_that_came_and_went():
    """Each is told; more than three are counted."""
    assert difference(ran(x=b"1"), ran(y=b"1")).startswith("input inputs.x is gone; input inputs.y is new (SHA-256 ")
    many = difference(ran(), ran(output_names=["a", "b"], x=b"1", y=b"1", z=b"1"))
    assert many.count("is new") == 3
    assert many.endswith(" and 2 more")


def test_a_model_that_changed_is_named_with_version_and_digest():
    """Beginnings of digests are enough to tell them apart."""
    now = ran("2@" + "e" * 64)
    text = "model 'reader' changed: 2@eeeeeeeeeeee, was 1@dddddddddddd"
    assert difference(ran(), now) == text
    assert model_change(ran(), "2@" + "e" * 64) == text


def test_a_model_that_is_not_known_is_a_cause_of_its_own():
    """What cannot be told is not taken."""
    for then, now in ((ran(None), ran()), (ran(), ran(None))):
        assert "model 'reader'" in difference(then, now)
        assert "cannot be told" in difference(then, now)
