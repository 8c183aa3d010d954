"""Larger and clearer images."""

from __future__ import annotations

import math
from typing import Final

import cv2
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.images import check_size, invalid_field, put_tensor, read_image
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.tensors import Array

_MAX_FACTOR: Final = 8.0
_MAX_DENOISE: Final = 4
_MAX_WEIGHT: Final = 100.0
_TILES: Final = (8, 8)
_BLUR_SIGMA: Final = 1.5


def upscale(operation: pb.UpscaleOperation, settings: PostprocessingSettings) -> pb.UpscaleResult:
    """Makes an image larger (Lanczos over 8 x 8 pixels).

    Raises:
        CoordinatorError: FIELD_INVALID, IMAGE_TOO_LARGE, TENSOR_INVALID.
    """
    image = read_image(operation.image, "upscale.image", settings)
    factor = operation.factor or 2.0
    if not 1.0 <= factor <= _MAX_FACTOR:
        raise invalid_field("upscale.factor", f"{factor} is not within 1 and {_MAX_FACTOR:g}")
    width, height = round(image.shape[1] * factor), round(image.shape[0] * factor)
    check_size(width, height, "upscale", settings.max_pixels)
    enlarged = cv2.resize(image, (width, height), interpolation=cv2.INTER_LANCZOS4)
    result = pb.UpscaleResult()
    put_tensor(result.image, enlarged, settings)
    return result


def enhance(operation: pb.EnhanceOperation, settings: PostprocessingSettings) -> pb.EnhanceResult:
    """Removes noise, then evens out contrast, then sharpens.

    Raises:
        CoordinatorError: FIELD_INVALID, IMAGE_TOO_LARGE, TENSOR_INVALID.
    """
    image = read_image(operation.image, "enhance.image", settings)
    for name, most in (("contrast", _MAX_WEIGHT), ("sharpness", _MAX_WEIGHT), ("denoise", _MAX_DENOISE)):
        value = getattr(operation, name)
        if not (math.isfinite(value) and 0 <= value <= most):
            raise invalid_field(f"enhance.{name}", f"{value} is not within 0 and {most:g}")
    if operation.denoise:
        image = cv2.medianBlur(image, 2 * operation.denoise + 1)
    if operation.contrast:
        image = _even_out(image, operation.contrast)
    if operation.sharpness:
        blurred = cv2.GaussianBlur(image, (0, 0), _BLUR_SIGMA)
        image = cv2.addWeighted(image, 1 + operation.sharpness, blurred, -operation.sharpness, 0)
    result = pb.EnhanceResult()
    put_tensor(result.image, image, settings)
    return result


def _even_out(image: Array, clip_limit: float) -> Array:
    """CLAHE (Zuiderveld 1994) on lightness alone, so that colours stay."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = cv2.createCLAHE(clip_limit, _TILES).apply(lab[:, :, 0])
    clear: Array = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return clear
