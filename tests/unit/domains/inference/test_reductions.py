"""Reductions give what plain numpy gives, in the element types of the contract."""

from pathlib import Path

import numpy as np
import pytest
from coordinator.inference.v1.inference_pb2 import Reduction, ReductionKind
from coordinator.payload.v1.payload_pb2 import DataType
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from processing_service.domains.inference.reductions import plan
from processing_service.domains.models import Axis, ModelVersion, TensorSpec

DYNAMIC = TensorSpec("y", DataType.DATA_TYPE_FLOAT32, None)
MODEL = ModelVersion("m", "1", Path("m"), "", 0, 0, outputs=(DYNAMIC,))
FLOATS = arrays.arrays(
    st.sampled_from([np.float32, np.float64]),
    arrays.array_shapes(max_side=5),
    elements={"min_value": 0, "max_value": 1e5},
)
VALUES = arrays.arrays(
    st.sampled_from([np.float32, np.float64, np.uint8, np.int64]),
    arrays.array_shapes(min_dims=1, max_dims=3, max_side=5),
    elements={"min_value": 0, "max_value": 100},
)


def reduce(output, kind, **fields):
    return plan(MODEL, [], [Reduction(output_name="y", reduction_kind=kind, **fields)]).apply({"y": output})


@given(VALUES, st.data())
def test_argmax_and_max(output, data):
    """The axis goes; indices are INT32."""
    axis = data.draw(st.integers(-output.ndim, output.ndim - 1))
    index = reduce(output, ReductionKind.REDUCTION_KIND_ARGMAX, axis=axis)["y"]
    value = reduce(output, ReductionKind.REDUCTION_KIND_MAX, axis=axis)["y"]

    assert index.dtype == np.int32
    assert value.dtype == output.dtype
    assert np.array_equal(np.take_along_axis(output, np.expand_dims(index, axis), axis).squeeze(axis), value)
    assert np.array_equal(value, output.max(axis))


@given(FLOATS, st.data())
def test_softmax(output, data):
    """The shape stays, every value is positive and the axis sums to one; large values do not overflow."""
    axis = data.draw(st.integers(-output.ndim, output.ndim - 1))
    found = reduce(output, ReductionKind.REDUCTION_KIND_SOFTMAX, axis=axis)["y"]

    assert found.shape == output.shape
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis), 1, rtol=1e-5)


@given(VALUES, st.data())
def test_top_k(output, data):
    """The largest come first, of equal ones the lower index, and the indices lead back to the values."""
    axis = data.draw(st.integers(-output.ndim, output.ndim - 1))
    top_k = data.draw(st.integers(1, output.shape[axis]))
    found = reduce(output, ReductionKind.REDUCTION_KIND_TOP_K, axis=axis, top_k=top_k, name="best")

    value, index = found["best"], found["best_index"]
    assert index.dtype == np.int32
    assert np.array_equal(value, np.flip(np.sort(output, axis), axis).take(range(top_k), axis))
    assert np.array_equal(np.take_along_axis(output, index.astype(np.int64), axis), value)
    ties = np.diff(value, axis=axis) == 0
    assert (np.diff(index, axis=axis)[ties] > 0).all()


def test_quantize():
    """0 to 1 becomes 0 to 255, rounded; what lies outside is cut, and NaN is 0."""
    output = np.array([-1, 0, 0.5, 1, 2, np.nan], np.float32)

    found = reduce(output, ReductionKind.REDUCTION_KIND_QUANTIZE)["y"]

    assert (found.dtype, found.tolist()) == (np.uint8, [0, 0, 128, 255, 255, 0])


def test_what_is_reduced_is_not_sent_whole():
    """Outputs that were asked for come whole, but not those that have a reduction; `output` means the only one."""
    spec = TensorSpec("z", DataType.DATA_TYPE_FLOAT32, (Axis(),))
    model = ModelVersion("m", "1", Path("m"), "", 0, 0, outputs=(DYNAMIC, spec))
    largest = Reduction(output_name="y", reduction_kind=ReductionKind.REDUCTION_KIND_MAX, name="best")
    outputs = {"y": np.arange(3.0), "z": np.zeros(1)}

    assert set(plan(model, ["y", "z"], [largest]).apply(outputs)) == {"best", "z"}
    assert set(plan(model, [], [largest]).apply(outputs)) == {"best"}
    assert set(plan(model, [], []).apply(outputs)) == {"y", "z"}
    assert set(plan(MODEL, ["output"], []).apply(outputs)) == {"output"}


@pytest.mark.parametrize(("output_names", "needed"), [(["z"], ("z", "y")), ([], ("y",))])
def test_only_needed_outputs_are_computed(output_names, needed):
    """The runtime is asked for what is sent or reduced, each once."""
    spec = TensorSpec("z", DataType.DATA_TYPE_FLOAT32, None)
    model = ModelVersion("m", "1", Path("m"), "", 0, 0, outputs=(DYNAMIC, spec))
    kinds = (ReductionKind.REDUCTION_KIND_MAX, ReductionKind.REDUCTION_KIND_ARGMAX)
    reductions = [Reduction(output_name="y", reduction_kind=kind, name=str(kind)) for kind in kinds]

    assert plan(model, output_names, reductions).output_names == needed
