"""Crops: regions cut out of a page and straightened, and those among them that a vote looks at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.images import (
    check_result,
    check_size,
    invalid_field,
    read_image,
    write_tensor,
)
from processing_service.domains.postprocessing.regions import read_quads, size_of, turn_upright
from processing_service.domains.postprocessing.settings import MAX_SIDE, PostprocessingSettings
from processing_service.wire.tensors import Array

_GREY: Final = (127, 127, 127)
_PARALLEL: Final = 1.0
_MAX_COUNT: Final = 6
_ASPECT_RATIO: Final = 5.0
_CUT_RATIO: Final = 4.0
_VOTE_HEIGHT: Final = 48
_VOTE_WIDTH: Final = 192


def crop(operation: pb.CropOperation, settings: PostprocessingSettings) -> pb.CropResult:
    """Cuts regions out of an image and straightens them.

    Raises:
        CoordinatorError: FIELD_INVALID, IMAGE_TOO_LARGE, PAYLOAD_TOO_LARGE, TENSOR_INVALID.
    """
    image = read_image(operation.image, "crop.image", settings)
    for name in ("height", "width_multiple", "max_width", "sample_count"):
        if not 0 <= getattr(operation, name) <= MAX_SIDE:
            raise invalid_field(f"crop.{name}", f"{getattr(operation, name)} is not within 0 and {MAX_SIDE}")
    result = pb.CropResult()
    size_bytes = 0
    quads = read_quads(operation.regions, "crop.regions")
    for index in _sample(quads, operation.sample_count):
        quad = quads[index]
        width, height = _crop_size(quad, operation)
        padded = math.ceil(width / (operation.width_multiple or 1)) * (operation.width_multiple or 1)
        check_size(padded, height, f"crop.regions[{index}]", settings.max_pixels)
        size_bytes += padded * height * 3
        check_result(size_bytes, settings)
        piece = _straighten(image, turn_upright(quad), width, height)
        if operation.upside_down:
            piece = cv2.rotate(piece, cv2.ROTATE_180)
        result.crops.append(write_tensor(_pad(piece, padded), settings))
    return result


def _sample(quads: Sequence[Array], count: int) -> Sequence[int]:
    """Indices of the regions to cut, in their order."""
    if not 0 < count < len(quads):
        return range(len(quads))

    def distance(index: int) -> float:
        width, height = size_of(turn_upright(quads[index]))
        return abs(math.log(width / height / _ASPECT_RATIO))

    return sorted(sorted(range(len(quads)), key=distance)[:count])


def _crop_size(quad: Array, operation: pb.CropOperation) -> tuple[int, int]:
    width, height = size_of(turn_upright(quad))
    new_height = operation.height or round(height)
    new_width = math.ceil(width * new_height / height)
    return min(new_width, operation.max_width or new_width), new_height


def _straighten(image: Array, quad: Array, width: int, height: int) -> Array:
    """The region as an upright picture of that size: a slice where its sides are those of the image, else a warp."""
    (left, top), (right, bottom) = quad[0], quad[2]
    square = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
    if np.abs(quad - square).max() <= _PARALLEL:
        piece = image[
            max(0, round(float(top))) : round(float(bottom)), max(0, round(float(left))) : round(float(right))
        ]
        if piece.size:
            resized: Array = cv2.resize(piece, (width, height), interpolation=cv2.INTER_LINEAR)
            return resized
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    matrix = cv2.getPerspectiveTransform(quad, corners)
    warped: Array = cv2.warpPerspective(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return warped


def _pad(piece: Array, width: int) -> Array:
    missing = width - piece.shape[1]
    if not missing:
        return piece
    padded: Array = cv2.copyMakeBorder(piece, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=_GREY)
    return padded


def select_crops(operation: pb.SelectCropsOperation, settings: PostprocessingSettings) -> pb.SelectCropsResult:
    """Picks crops for a vote; each keeps its proportions, with grey to the right of those that are short.

    Raises:
        CoordinatorError: FIELD_INVALID, IMAGE_TOO_LARGE, PAYLOAD_TOO_LARGE, TENSOR_INVALID.
    """
    for name in ("max_count", "aspect_ratio", "cut_ratio", "height", "width"):
        if not 0 <= getattr(operation, name) <= MAX_SIDE:
            raise invalid_field(f"select_crops.{name}", f"{getattr(operation, name)} is not within 0 and {MAX_SIDE}")
    width, height = operation.width or _VOTE_WIDTH, operation.height or _VOTE_HEIGHT
    check_size(width, height, "select_crops", settings.max_pixels)
    crops = [read_image(tensor, f"select_crops.crops[{i}]", settings) for i, tensor in enumerate(operation.crops)]
    wanted = math.log(operation.aspect_ratio or _ASPECT_RATIO)
    nearest = sorted(crops, key=lambda piece: abs(math.log(piece.shape[1] / piece.shape[0]) - wanted))
    chosen = nearest[: operation.max_count or _MAX_COUNT]
    check_result(len(chosen) * width * height * 3, settings)
    cut_ratio = operation.cut_ratio or _CUT_RATIO
    return pb.SelectCropsResult(
        crops=[write_tensor(_fit(piece, cut_ratio, width, height), settings) for piece in chosen]
    )


def _fit(piece: Array, cut_ratio: float, width: int, height: int) -> Array:
    piece = piece[:, : max(1, round(cut_ratio * piece.shape[0]))]
    fitting = min(width, max(1, math.ceil(piece.shape[1] * height / piece.shape[0])))
    return _pad(cv2.resize(piece, (fitting, height), interpolation=cv2.INTER_LINEAR), width)
