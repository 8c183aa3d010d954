"""Size and angle of images, and the tensors that models take."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.images import (
    check_result,
    check_size,
    invalid_field,
    put_tensor,
    read_image,
)
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import invalid
from processing_service.wire.tensors import Array

_INTERPOLATIONS: Final[dict[int, int]] = {
    pb.INTERPOLATION_UNSPECIFIED: cv2.INTER_LINEAR,
    pb.INTERPOLATION_NEAREST: cv2.INTER_NEAREST,
    pb.INTERPOLATION_BILINEAR: cv2.INTER_LINEAR,
    pb.INTERPOLATION_BICUBIC: cv2.INTER_CUBIC,
    pb.INTERPOLATION_AREA: cv2.INTER_AREA,
    pb.INTERPOLATION_LANCZOS: cv2.INTER_LANCZOS4,
}

_QUARTERS: Final = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_WHITE: Final = (255, 255, 255)


def resize(operation: pb.ResizeOperation, settings: PostprocessingSettings) -> pb.ResizeResult:
    """Changes the size of an image.

    Raises:
        CoordinatorError: FIELD_INVALID, FIELD_CONFLICT, IMAGE_TOO_LARGE, TENSOR_INVALID.
    """
    image = read_image(operation.image, "resize.image", settings)
    interpolation = _INTERPOLATIONS.get(operation.interpolation)
    if interpolation is None:
        raise invalid_field("resize.interpolation", f"{operation.interpolation} is no value of Interpolation")
    height, width = image.shape[:2]
    new_width, new_height = _new_size(operation, width, height)
    check_size(new_width, new_height, "resize", settings.max_pixels)
    resized = cv2.resize(image, (new_width, new_height), interpolation=interpolation)
    result = pb.ResizeResult(scale_x=new_width / width, scale_y=new_height / height)
    put_tensor(result.image, resized, settings)
    return result


def _new_size(operation: pb.ResizeOperation, width: int, height: int) -> tuple[int, int]:
    for name in ("width", "height", "max_side", "multiple_of"):
        if getattr(operation, name) < 0:
            raise invalid_field(f"resize.{name}", f"{getattr(operation, name)} is negative")
    if operation.max_side and (operation.width or operation.height):
        raise invalid(
            ErrorReason.ERROR_REASON_FIELD_CONFLICT, "resize.max_side", "set max_side, or width and height, not both"
        )
    new_width, new_height = float(operation.width), float(operation.height)
    if not new_width and not new_height:
        factor = min(1.0, operation.max_side / max(width, height)) if operation.max_side else 1.0
        new_width, new_height = width * factor, height * factor
    new_width = new_width or width * new_height / height
    new_height = new_height or height * new_width / width
    step = operation.multiple_of or 1
    return max(step, round(new_width / step) * step), max(step, round(new_height / step) * step)


def rotate(operation: pb.RotateOperation, settings: PostprocessingSettings) -> pb.RotateResult:
    """Turns an image clockwise; corners that come into view are white.

    Raises:
        CoordinatorError: FIELD_INVALID, IMAGE_TOO_LARGE, TENSOR_INVALID.
    """
    image = read_image(operation.image, "rotate.image", settings)
    if not math.isfinite(operation.angle):
        raise invalid_field("rotate.angle", f"{operation.angle} is no angle")
    angle = operation.angle % 360
    if angle in _QUARTERS:
        image = cv2.rotate(image, _QUARTERS[int(angle)])
    elif angle:
        image = _rotate_freely(image, angle, settings)
    result = pb.RotateResult()
    put_tensor(result.image, image, settings)
    return result


def _rotate_freely(image: Array, angle: float, settings: PostprocessingSettings) -> Array:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -angle, 1.0)
    cosine, sine = abs(matrix[0, 0]), abs(matrix[0, 1])
    new_width, new_height = math.ceil(width * cosine + height * sine), math.ceil(width * sine + height * cosine)
    check_size(new_width, new_height, "rotate", settings.max_pixels)
    matrix[:, 2] += (new_width - width) / 2, (new_height - height) / 2
    turned: Array = cv2.warpAffine(image, matrix, (new_width, new_height), borderValue=_WHITE)
    return turned


def normalize(operation: pb.NormalizeOperation, settings: PostprocessingSettings) -> pb.NormalizeResult:
    """Makes a FLOAT32 tensor from an image.

    Raises:
        CoordinatorError: FIELD_INVALID, IMAGE_TOO_LARGE, PAYLOAD_TOO_LARGE, TENSOR_INVALID.
    """
    image = read_image(operation.image, "normalize.image", settings)
    check_result(image.size * 4, settings)
    mean = _by_channel("normalize.mean", list(operation.mean), 0.0)
    std = _by_channel("normalize.std", list(operation.std), 1.0)
    if not std.all():
        raise invalid_field("normalize.std", "0 would divide by zero")
    if operation.channel_order == pb.CHANNEL_ORDER_BGR:
        image = image[:, :, ::-1]
    values = image.astype(np.float32)
    values *= (operation.scale or 1 / 255) / std
    values -= mean / std
    if operation.tensor_layout != pb.TENSOR_LAYOUT_NHWC:
        values = values.transpose(2, 0, 1)
    result = pb.NormalizeResult()
    put_tensor(result.tensor, values[np.newaxis], settings)
    return result


def _by_channel(field_path: str, values: list[float], default: float) -> Array:
    if len(values) not in (0, 3) or not all(map(math.isfinite, values)):
        raise invalid_field(field_path, f"give one finite number a channel, or none; not {values[:4]}")
    return np.array(values or [default] * 3, np.float32)
