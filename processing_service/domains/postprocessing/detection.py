"""Text regions from a probability map: differentiable binarization (Liao et al. 2020, arXiv:1911.08947)."""

from __future__ import annotations

import heapq
from typing import Final

import cv2
import numpy as np
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Tensor
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.images import check_size, invalid_field
from processing_service.domains.postprocessing.reading_order import reading_order
from processing_service.domains.postprocessing.regions import order_corners, to_region
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import invalid
from processing_service.wire.tensors import Array, name_of, to_array

_PIXEL_THRESHOLD: Final = 0.3
_REGION_THRESHOLD: Final = 0.5
_UNCLIP_RATIO: Final = 1.6
_MIN_SIDE: Final = 3.0
_MAX_REGIONS: Final = 1000
_MOST_REGIONS: Final = 10_000

# Joins letters that the map holds apart; without it, boxes lose their edges.
_DILATION: Final = np.ones((2, 2), np.uint8)


def detect_regions(operation: pb.DetectRegionsOperation, settings: PostprocessingSettings) -> pb.DetectRegionsResult:
    """Finds text regions in a probability map.

    Raises:
        CoordinatorError: FIELD_INVALID, TENSOR_INVALID, IMAGE_TOO_LARGE.
    """
    _check(operation)
    values = _read_map(operation.probability_map, settings)
    full = 255.0 if values.dtype == np.uint8 else 1.0
    mask = (values > (operation.pixel_threshold or _PIXEL_THRESHOLD) * full).astype(np.uint8)
    contours, _ = cv2.findContours(cv2.dilate(mask, _DILATION), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    most = operation.max_regions or _MAX_REGIONS
    found: list[tuple[float, Array]] = []
    for contour in heapq.nlargest(2 * most, contours, key=cv2.contourArea):
        rectangle = cv2.minAreaRect(contour)
        if min(rectangle[1]) < (operation.min_side or _MIN_SIDE):
            continue
        score = _mean_inside(values, cv2.boxPoints(rectangle)) / full
        if score > (operation.region_threshold or _REGION_THRESHOLD):
            found.append((score, _grow(rectangle, operation.unclip_ratio or _UNCLIP_RATIO)))
    found = heapq.nlargest(most, found, key=lambda pair: pair[0])
    scale = np.array([operation.scale_x or 1.0, operation.scale_y or 1.0], np.float32)
    limit = np.array(values.shape[::-1], np.float32)
    quads = [order_corners(np.clip(quad, 0, limit)) / scale for _, quad in found]
    return pb.DetectRegionsResult(regions=[to_region(quads[i], found[i][0]) for i in reading_order(quads)])


def _check(operation: pb.DetectRegionsOperation) -> None:
    for name in ("pixel_threshold", "region_threshold"):
        if not 0 <= getattr(operation, name) <= 1:
            raise invalid_field(f"detect_regions.{name}", f"{getattr(operation, name)} is not within 0 and 1")
    for name, most in (("unclip_ratio", 10.0), ("min_side", 1e6), ("scale_x", 1e3), ("scale_y", 1e3)):
        if not 0 <= getattr(operation, name) <= most:
            raise invalid_field(f"detect_regions.{name}", f"{getattr(operation, name)} is not within 0 and {most:g}")
    if not 0 <= operation.max_regions <= _MOST_REGIONS:
        raise invalid_field(
            "detect_regions.max_regions", f"{operation.max_regions} is not within 0 and {_MOST_REGIONS}"
        )


def _read_map(tensor: Tensor, settings: PostprocessingSettings) -> Array:
    field_path = "detect_regions.probability_map"
    values = to_array(tensor, field_path)
    if values.dtype not in (np.uint8, np.float32) or not 2 <= values.ndim <= 4 or set(values.shape[:-2]) - {1}:
        found = f"{name_of(tensor.data_type)} {list(values.shape)}"
        raise invalid(
            ErrorReason.ERROR_REASON_TENSOR_INVALID,
            field_path,
            f"a map is UINT8 or FLOAT32 [height, width] with axes of 1 in front, or none; this is {found}",
        )
    if values.size == 0:
        raise invalid(ErrorReason.ERROR_REASON_TENSOR_INVALID, field_path, "the map has no pixel")
    check_size(values.shape[-1], values.shape[-2], field_path, settings.max_pixels)
    return values.reshape(values.shape[-2:])


def _mean_inside(values: Array, box: Array) -> float:
    """Mean of the map under a rectangle."""
    height, width = values.shape
    left, top = np.clip(np.floor(box.min(axis=0)), 0, (width - 1, height - 1)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(box.max(axis=0)), 0, (width - 1, height - 1)).astype(int).tolist()
    window = values[top : bottom + 1, left : right + 1]
    mask = np.zeros(window.shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(box - (left, top)).astype(np.int32)], 1)
    mean: float = cv2.mean(window, mask)[0]
    return mean


def _grow(rectangle: tuple[tuple[float, float], tuple[float, float], float], ratio: float) -> Array:
    """The rectangle with each side moved out by area * ratio / circumference (equation 10 of the paper)."""
    centre, (width, height), angle = rectangle
    distance = width * height * ratio / (2 * (width + height))
    grown: Array = cv2.boxPoints((centre, (width + 2 * distance, height + 2 * distance), angle))
    return grown
