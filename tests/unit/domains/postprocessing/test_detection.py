import cv2
import numpy as np
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.detection import detect_regions
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.tensors import from_array

SETTINGS = PostprocessingSettings()


def map_with(*boxes: tuple[int, int, int, int], value: float = 0.9) -> np.ndarray:
    values = np.zeros((100, 200), np.float32)
    for left, top, right, bottom in boxes:
        values[top:bottom, left:right] = value
    return values


def detect(values: np.ndarray, **fields: float) -> list[pb.Region]:
    return list(
        detect_regions(pb.DetectRegionsOperation(probability_map=from_array(values), **fields), SETTINGS).regions
    )


def bounds(region: pb.Region) -> tuple[float, float, float, float]:
    xs, ys = [c.x for c in region.corners], [c.y for c in region.corners]
    return min(xs), min(ys), max(xs), max(ys)


def test_a_region_grows_by_area_over_circumference():
    """A kernel of 100 x 10 pixels (101 x 11 dilated) moves each side out by area * 1.6 / circumference."""
    (region,) = detect(map_with((40, 40, 140, 50)))

    distance = 100 * 10 * 1.6 / (2 * (100 + 10))
    assert bounds(region) == pytest.approx((40 - distance, 40 - distance, 140 + distance, 50 + distance), abs=1.5)
    assert region.score == pytest.approx(0.9, abs=0.1)


def test_bytes_and_floats_give_the_same_regions():
    """A map of UINT8 is a map of FLOAT32 times 255."""
    values = map_with((40, 40, 140, 50), (10, 70, 60, 80))

    floats, whole = detect(values), detect((values * 255).astype(np.uint8))

    assert [bounds(region) for region in floats] == [bounds(region) for region in whole]


def test_axes_of_one_in_front_are_left_out():
    """[1, 1, height, width] is what a model gives."""
    assert len(detect(map_with((40, 40, 140, 50))[np.newaxis, np.newaxis])) == 1


def test_a_slanted_region_keeps_its_angle():
    """The corners follow the text, starting at the top left one."""
    values = np.zeros((100, 200), np.float32)
    cv2.fillPoly(values, [np.array([(20, 30), (150, 60), (148, 70), (18, 40)], np.int32)], 0.8)

    (region,) = detect(values)

    top_left, top_right, *_ = region.corners
    assert (top_right.y - top_left.y) / (top_right.x - top_left.x) == pytest.approx(30 / 130, abs=0.03)


def test_coordinates_are_those_of_the_page():
    """Coordinates of the map are divided by the scale of the page's resize."""
    values = map_with((40, 40, 140, 50))

    (plain,), (scaled,) = detect(values), detect(values, scale_x=0.5, scale_y=0.25)

    left, top, right, bottom = bounds(plain)
    assert bounds(scaled) == pytest.approx((left * 2, top * 4, right * 2, bottom * 4))


def test_regions_come_in_reading_order():
    """Top to bottom, left to right within a row."""
    regions = detect(map_with((110, 10, 180, 20), (10, 12, 80, 22), (10, 60, 180, 70)))

    assert [round(bounds(region)[0] / 100) for region in regions] == [0, 1, 0]


def test_weak_and_small_regions_are_left_out():
    """A mean below the threshold, or a kernel thinner than the least side, is no text."""
    values = map_with((10, 10, 100, 20), value=0.4) + map_with((10, 50, 100, 52))

    assert detect(values) == []
    assert len(detect(values, region_threshold=0.3, min_side=1)) == 2


def test_no_more_regions_than_asked_the_surest_first():
    """Of many regions those with the best scores stay."""
    values = map_with((10, 10, 100, 20), value=0.7) + map_with((10, 50, 100, 60), value=0.95)

    (region,) = detect(values, max_regions=1)

    assert region.score > 0.8


def test_noise_has_an_answer():
    """Not a number anywhere, or a map full of specks, ends in regions within the map."""
    noise = np.random.default_rng(5).random((100, 200), np.float32)
    noise[::7] = np.nan

    for region in detect(noise, region_threshold=0.01, min_side=0.1):
        left, top, right, bottom = bounds(region)
        assert 0 <= left <= right <= 200
        assert 0 <= top <= bottom <= 100


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((3, 100, 200), np.float32),
        np.zeros((100, 200), np.int32),
        np.zeros(100, np.float32),
        np.zeros((0, 20), np.uint8),
    ],
)
def test_a_map_is_one_plane(values):
    """Several planes, other types and no pixels are refused."""
    with pytest.raises(CoordinatorError) as caught:
        detect(values)

    assert caught.value.reason == ErrorReason.ERROR_REASON_TENSOR_INVALID


@pytest.mark.parametrize(
    "fields",
    [
        {"pixel_threshold": 1.5},
        {"region_threshold": -1},
        {"unclip_ratio": float("nan")},
        {"scale_x": -1},
        {"max_regions": -1},
    ],
)
def test_parameters_have_bounds(fields):
    """Each refusal names its field."""
    with pytest.raises(CoordinatorError) as caught:
        detect(map_with(), **fields)

    assert caught.value.violations[0].field_path == f"detect_regions.{next(iter(fields))}"
