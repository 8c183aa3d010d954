import numpy as np
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.domains.postprocessing.transforms import normalize, resize, rotate
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.tensors import from_array, to_array

SETTINGS = PostprocessingSettings()
IMAGE = np.random.default_rng(4).integers(0, 255, (30, 50, 3), dtype=np.uint8)
TENSOR = from_array(IMAGE)


def shape_of(tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


@pytest.mark.parametrize(
    ("fields", "height", "width"),
    [
        ({"width": 20, "height": 10}, 10, 20),
        ({"width": 100}, 60, 100),
        ({"height": 15}, 15, 25),
        ({"max_side": 25}, 15, 25),
        ({"max_side": 500}, 30, 50),
        ({"max_side": 40, "multiple_of": 32}, 32, 32),
        ({"multiple_of": 64}, 64, 64),
        ({}, 30, 50),
    ],
)
def test_images_get_the_size_that_is_asked_for(fields, height, width):
    """One side follows the other, max_side never enlarges, sides are rounded to a multiple, at least one."""
    result = resize(pb.ResizeOperation(image=TENSOR, **fields), SETTINGS)

    assert shape_of(result.image) == (height, width, 3)
    assert (result.scale_x, result.scale_y) == (pytest.approx(width / 50), pytest.approx(height / 30))


@pytest.mark.parametrize("interpolation", pb.Interpolation.values())
def test_every_interpolation_is_known(interpolation):
    """Each value of the enum resizes."""
    result = resize(pb.ResizeOperation(image=TENSOR, width=20, interpolation=interpolation), SETTINGS)

    assert shape_of(result.image) == (12, 20, 3)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"width": -1}, ErrorReason.ERROR_REASON_FIELD_INVALID),
        ({"max_side": 10, "width": 10}, ErrorReason.ERROR_REASON_FIELD_CONFLICT),
        ({"interpolation": 77}, ErrorReason.ERROR_REASON_FIELD_INVALID),
        ({"width": 30_000}, ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE),
        ({"multiple_of": 2**31 - 1}, ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE),
    ],
)
def test_sizes_out_of_bounds_are_refused(fields, reason):
    """Negative, contradicting and giant sizes are errors, before memory is taken."""
    with pytest.raises(CoordinatorError) as caught:
        resize(pb.ResizeOperation(image=TENSOR, **fields), SETTINGS)

    assert caught.value.reason == reason


@pytest.mark.parametrize(("angle", "turns"), [(0, 0), (90, -1), (180, 2), (270, 1), (-90, 1), (720, 0)])
def test_quarter_turns_are_exact(angle, turns):
    """Multiples of 90 degrees move pixels and change none."""
    result = rotate(pb.RotateOperation(image=TENSOR, angle=angle), SETTINGS)

    assert np.array_equal(to_array(result.image, "image"), np.rot90(IMAGE, turns))


def test_other_angles_enlarge_the_canvas():
    """At 45 degrees a square becomes its diagonal; new corners are white, and the turn is clockwise."""
    square = np.zeros((40, 40, 3), np.uint8)
    square[:10, :10] = (255, 0, 0)

    turned = to_array(rotate(pb.RotateOperation(image=from_array(square), angle=45), SETTINGS).image, "image")

    assert turned.shape == (57, 57, 3)
    assert turned[0, 0].tolist() == [255, 255, 255]
    assert turned[5, 28].tolist() == [255, 0, 0]


@pytest.mark.parametrize("angle", [float("nan"), float("inf")])
def test_an_angle_is_a_number(angle):
    """NaN and infinity are no angles."""
    with pytest.raises(CoordinatorError) as caught:
        rotate(pb.RotateOperation(image=TENSOR, angle=angle), SETTINGS)

    assert caught.value.violations[0].field_path == "rotate.angle"


def test_a_turn_beyond_the_limit_is_refused():
    """The enlarged canvas is bounded too."""
    with pytest.raises(CoordinatorError) as caught:
        rotate(pb.RotateOperation(image=TENSOR, angle=45), PostprocessingSettings(max_pixels=1600))

    assert caught.value.reason == ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE


def test_a_tensor_is_scaled_by_channel():
    """(pixel * scale - mean) / std, by default scale 1/255, NCHW and RGB."""
    operation = pb.NormalizeOperation(image=TENSOR, mean=[0.5, 0.4, 0.3], std=[0.5, 0.2, 0.1])

    values = to_array(normalize(operation, SETTINGS).tensor, "tensor")

    expected = ((IMAGE / 255 - [0.5, 0.4, 0.3]) / [0.5, 0.2, 0.1]).transpose(2, 0, 1)[np.newaxis]
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)


def test_a_tensor_has_the_layout_that_is_asked_for():
    """NHWC keeps the axes, BGR turns the channels round, scale replaces 1/255."""
    operation = pb.NormalizeOperation(
        image=TENSOR, scale=1, tensor_layout=pb.TENSOR_LAYOUT_NHWC, channel_order=pb.CHANNEL_ORDER_BGR
    )

    values = to_array(normalize(operation, SETTINGS).tensor, "tensor")

    assert np.array_equal(values[0], IMAGE[:, :, ::-1])


@pytest.mark.parametrize("fields", [{"mean": [1]}, {"std": [1, 0, 1]}, {"mean": [0, 0, float("nan")]}])
def test_statistics_are_one_finite_number_a_channel(fields):
    """A wrong count, a zero deviation and NaN are refused."""
    with pytest.raises(CoordinatorError) as caught:
        normalize(pb.NormalizeOperation(image=TENSOR, **fields), SETTINGS)

    assert caught.value.reason == ErrorReason.ERROR_REASON_FIELD_INVALID


def test_a_tensor_that_no_message_carries_is_refused():
    """Four bytes a value count."""
    with pytest.raises(CoordinatorError) as caught:
        normalize(pb.NormalizeOperation(image=TENSOR), PostprocessingSettings(max_result_bytes=17_999))

    assert caught.value.reason == ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE
