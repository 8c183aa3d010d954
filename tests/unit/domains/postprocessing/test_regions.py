import numpy as np
import pytest
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.regions import (
    order_corners,
    read_quads,
    size_of,
    to_region,
    turn_upright,
)
from processing_service.wire.errors import CoordinatorError


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def test_corners_survive_the_message():
    """A quad, its message, and back."""
    quad = box(1, 2, 30, 12.5)

    assert np.array_equal(read_quads([to_region(quad, 0.5)], "regions")[0], quad)


@pytest.mark.parametrize(
    "corners",
    [
        [],
        [(0, 0), (1, 0), (1, 1)],
        [(0, 0), (1, 0), (1, 1), (float("nan"), 1)],
        [(0, 0), (float("inf"), 0), (1, 1), (0, 1)],
        [(0, 0), (1e7, 0), (1, 1), (0, 1)],
    ],
)
def test_a_region_has_four_corners_that_an_image_can_have(corners):
    """Too few, too far and NaN are refused, by index."""
    broken = pb.Region(corners=[pb.Point(x=x, y=y) for x, y in corners])

    with pytest.raises(CoordinatorError) as caught:
        read_quads([to_region(box(0, 0, 1, 1), 1), broken], "crop.regions")

    assert caught.value.violations[0].field_path == "crop.regions[1].corners"


@pytest.mark.parametrize("shift", range(4))
def test_corners_are_put_in_order(shift):
    """Whatever corner comes first, the order is top left, top right, bottom right, bottom left."""
    slanted = np.array([(0, 5), (50, 0), (52, 10), (2, 15)], np.float32)

    assert np.array_equal(order_corners(np.roll(slanted, shift, axis=0)), slanted)


def test_sizes_are_at_least_a_pixel():
    """The longer of opposite sides counts, and a point has an area."""
    assert size_of(np.array([(0, 0), (10, 0), (12, 5), (0, 4)], np.float32)) == (
        pytest.approx(12.04, abs=0.01),
        pytest.approx(5.39, abs=0.01),
    )
    assert size_of(np.zeros((4, 2), np.float32)) == (1, 1)


def test_tall_regions_are_read_from_top_to_bottom():
    """A region much taller than wide starts at its top right corner; others stay."""
    assert turn_upright(box(0, 0, 10, 100))[0].tolist() == [10, 0]
    assert turn_upright(box(0, 0, 100, 10))[0].tolist() == [0, 0]
