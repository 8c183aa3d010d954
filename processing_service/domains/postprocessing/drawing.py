"""Pictures for people: regions on the page, and what they say on white paper beside it."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.images import check_size, invalid_field, put_tensor, read_image
from processing_service.domains.postprocessing.regions import read_quads, size_of, turn_upright
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.tensors import Array

_PLAIN: Final = (40, 110, 200)
_SURE: Final = (20, 150, 90)
_UNSURE: Final = (215, 90, 30)
_PAPER: Final = 255

# The colour of paper that is covered so much with ink, from 0 to 255.
_INKED: Final = np.linspace((_PAPER,) * 3, (25, 25, 35), 256).round().astype(np.uint8)[:, np.newaxis]

_COVERED: Final = 255
_WEIGHT: Final = 450
_MAX_TEXT: Final = 300

# Share of a region's height that a font's em takes.
_FILL: Final = 0.72

# How far the baseline lies below the middle of a line, in ems.
_DROP: Final = 0.36

# Letters are drawn this many times larger than they are shown, up to this many rows a line.
_OVERSAMPLING: Final = 3
_MAX_ROWS: Final = 256


def annotate(operation: pb.AnnotateOperation, settings: PostprocessingSettings) -> pb.AnnotateResult:
    """Draws regions on an image; with texts, what they say stands in place on white paper to the right of it.

    Raises:
        CoordinatorError: FIELD_INVALID, IMAGE_TOO_LARGE, TENSOR_INVALID.
    """
    image = read_image(operation.image, "annotate.image", settings)
    quads = read_quads(operation.regions, "annotate.regions")
    _check(operation, len(quads))
    height, width = image.shape[:2]
    picture_width = width * (2 if operation.texts else 1)
    check_size(picture_width, height, "annotate", settings.max_pixels)
    picture = np.empty((height, picture_width, 3), np.uint8)
    page, paper = picture[:, :width], picture[:, width:]
    page[:], paper[:] = image, _PAPER
    for index, quad in enumerate(quads):
        colour = _colour(operation, index)
        _outline(page, quad, colour)
        if operation.texts:
            _outline(paper, quad, colour)
            _write(paper, turn_upright(quad), operation.texts[index])
    result = pb.AnnotateResult()
    put_tensor(result.image, picture, settings)
    return result


def _check(operation: pb.AnnotateOperation, count: int) -> None:
    for name in ("texts", "confidences"):
        if len(getattr(operation, name)) not in (0, count):
            raise invalid_field(
                f"annotate.{name}", f"{len(getattr(operation, name))} for {count} regions; give one a region, or none"
            )


def _colour(operation: pb.AnnotateOperation, index: int) -> tuple[int, int, int]:
    if not operation.confidences:
        return _PLAIN
    return _UNSURE if operation.confidences[index] < operation.low_confidence else _SURE


def _outline(canvas: Array, quad: Array, colour: tuple[int, int, int]) -> None:
    thickness = max(1, round(min(canvas.shape[:2]) / 900))
    cv2.polylines(canvas, [np.rint(quad).astype(np.int32)], True, colour, thickness, cv2.LINE_AA)


def _write(paper: Array, quad: Array, text: str) -> None:
    """Writes a text into a region, as large as it fits, at the region's angle."""
    width, height = (round(side) for side in size_of(quad))
    left, top = np.maximum(np.floor(quad.min(axis=0)), 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(quad.max(axis=0)) + 1, paper.shape[1::-1]).astype(int).tolist()
    if left >= right or top >= bottom or width * height > paper.shape[0] * paper.shape[1]:
        return
    strip = _strip(text, width, height)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, quad - np.array((left, top), np.float32))
    cover = cv2.warpPerspective(strip, matrix, (right - left, bottom - top))
    place = paper[top:bottom, left:right]
    np.minimum(place, cv2.applyColorMap(cover, _INKED), out=place)


def _strip(text: str, width: int, height: int) -> Array:
    """How much of each pixel the text covers, 0 to 255: drawn larger and then made smaller, for even spacing and soft
    edges.
    """
    text = "".join(c if c.isprintable() else " " for c in text[:_MAX_TEXT])
    face = cv2.FontFace("sans")
    rows = min(height * _OVERSAMPLING, _MAX_ROWS)
    size = max(4, round(rows * _FILL))
    needed: int = cv2.getTextSize((0, 0), text, (0, 0), face, size, _WEIGHT)[2]
    large = np.zeros((rows, max(needed, round(width * rows / height))), np.uint8)
    cv2.putText(large, text, (0, round(rows / 2 + _DROP * size)), _COVERED, face, size, _WEIGHT)
    strip: Array = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
    return strip
