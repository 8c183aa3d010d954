"""Images become tensors as model.yaml says, and inputs that can share a batch are told apart."""

from pathlib import Path

import numpy as np
import pytest
from coordinator.payload.v1.payload_pb2 import DataType

from processing_service.domains.inference.inputs import (
    check,
    describe,
    max_rows,
    normalize,
    row_count,
    row_signature,
    to_feeds,
)
from processing_service.domains.models import Axis, ModelVersion, Normalization, TensorSpec
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.tensors import from_array

IMAGES = Normalization(1 / 255, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), "RGB")
PICTURE = TensorSpec("x", DataType.DATA_TYPE_FLOAT32, (Axis(), Axis(3), Axis(), Axis()), IMAGES)


def model(*inputs):
    return ModelVersion("m", "1", Path("m"), "", 0, 0, inputs=inputs)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("shape", [(5, 4, 3), (2, 5, 4, 3)])
def test_images_are_normalised_by_channel(order, shape):
    """(value * scale - mean) / std in the model's channel order, as n, channel, height, width."""
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    how = Normalization(IMAGES.scale, IMAGES.mean, IMAGES.std, order)

    found = normalize(images, how)

    channels = images if order == "RGB" else images[..., ::-1]
    wanted = (channels / 255.0 - IMAGES.mean) / IMAGES.std
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.moveaxis(wanted.reshape(-1, 5, 4, 3), -1, 1), atol=1e-5)


def test_nan_is_refused_unless_the_model_knows_of_it():
    """NaN would run through most models silently."""
    nan = {"x": np.full(2, np.nan, np.float32)}
    spec = TensorSpec("x", DataType.DATA_TYPE_FLOAT32, None)

    with pytest.raises(CoordinatorError, match="allow_nan"):
        to_feeds(model(spec), nan)
    assert to_feeds(model(TensorSpec("x", DataType.DATA_TYPE_FLOAT32, None, allow_nan=True)), nan) == nan


def test_a_model_without_known_axes_takes_any_shape():
    """Where the model file does not say how many axes there are, only the element type is checked."""
    spec = TensorSpec("x", DataType.DATA_TYPE_FLOAT32, None)

    assert check(model(spec), {"input": from_array(np.zeros((1, 2, 3), np.float32))})["x"].shape == (1, 2, 3)


def test_inputs_that_differ_in_rows_alone_can_share_a_batch():
    """A single image is a row of a batch; inputs with different rows run with nothing beside them."""
    one, two = np.zeros((8, 6, 3), np.uint8), np.zeros((2, 8, 6, 3), np.uint8)
    wide = np.zeros((8, 7, 3), np.uint8)
    pair = model(TensorSpec("a", DataType.DATA_TYPE_INT64, None), TensorSpec("b", DataType.DATA_TYPE_INT64, None))

    def signature(array):
        return row_signature(model(PICTURE), {"x": array})

    assert signature(one) == signature(two) != signature(wide)
    assert [row_count(model(PICTURE), {"x": array}) for array in (one, two)] == [1, 2]
    assert row_count(pair, {"a": np.zeros(2), "b": np.zeros(3)}) == 0


@pytest.mark.parametrize(("limit", "rows"), [(0, 8), (4, 4), (16, 8)])
def test_a_batch_keeps_the_limit_of_axis_0(limit, rows):
    """Calls that fit one by one do not become a batch that the model cannot take."""
    spec = TensorSpec("x", DataType.DATA_TYPE_FLOAT32, (Axis(max_size=limit), Axis(3)))

    assert max_rows(model(spec)) == rows


def test_an_input_is_described_in_words():
    """Errors tell what the model takes."""
    assert describe(PICTURE) == "x FLOAT32 [*, 3, *, *] or UINT8 [height, width, 3]"
