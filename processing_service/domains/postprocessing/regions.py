"""Regions as arrays FLOAT32 [4, 2]: corners clockwise from the top left one, in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.images import invalid_field
from processing_service.wire.tensors import Array

_MAX_COORDINATE: Final = 1e6
_UPRIGHT_RATIO: Final = 1.5


def read_quads(regions: Sequence[pb.Region], field_path: str) -> list[Array]:
    """The corners of each region.

    Raises:
        CoordinatorError: FIELD_INVALID if one has not four corners, or coordinates that no image has.
    """
    return [_read_quad(region, f"{field_path}[{index}].corners") for index, region in enumerate(regions)]


def _read_quad(region: pb.Region, field_path: str) -> Array:
    quad = np.array([(corner.x, corner.y) for corner in region.corners], np.float32)
    if quad.shape != (4, 2):
        raise invalid_field(field_path, f"{len(region.corners)} corners; a region has four")
    if not (np.abs(quad) <= _MAX_COORDINATE).all():
        raise invalid_field(field_path, f"a coordinate is not within -{_MAX_COORDINATE:g} and {_MAX_COORDINATE:g}")
    return quad


def to_region(quad: Array, score: float) -> pb.Region:
    """The message of a region."""
    return pb.Region(corners=[pb.Point(x=x, y=y) for x, y in quad.tolist()], score=score)


def order_corners(points: Array) -> Array:
    """Four points as top left, top right, bottom right, bottom left."""
    by_x = points[np.argsort(points[:, 0], kind="stable")]
    left = by_x[:2][np.argsort(by_x[:2, 1], kind="stable")]
    right = by_x[2:][np.argsort(by_x[2:, 1], kind="stable")]
    return np.stack((left[0], right[0], right[1], left[1]))


def size_of(quad: Array) -> tuple[float, float]:
    """Width and height, in pixels: the longer one of each pair of opposite sides, at least 1."""
    top, right, bottom, left = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1).tolist()
    return max(top, bottom, 1.0), max(left, right, 1.0)


def turn_upright(quad: Array) -> Array:
    """The corners as one reads: text in a region much taller than wide runs down, its letters lie on their side."""
    width, height = size_of(quad)
    return np.roll(quad, -1, axis=0) if height >= _UPRIGHT_RATIO * width else quad
