"""Image files: decoding within bounds, encoding."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.image_headers import ImageHeader, read_header
from processing_service.domains.postprocessing.images import (
    check_result,
    check_size,
    invalid_field,
    put_tensor,
    read_image,
)
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import CoordinatorError, invalid
from processing_service.wire.tensors import Array

_QUALITY: Final = 90
_PNG: Final = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE)
_WEBP_MAX_SIDE: Final = 16_383


def decode(operation: pb.DecodeOperation, settings: PostprocessingSettings) -> pb.DecodeResult:
    """Decodes an image file.

    Raises:
        CoordinatorError: IMAGE_INVALID if it is not an image or damaged, IMAGE_TOO_LARGE.
    """
    data = operation.image_bytes
    header = _check_file(data, operation.max_pixels, settings)
    image = _decode(data, header)
    if image is None or sorted(image.shape[:2]) != sorted((header.width, header.height)):
        raise _invalid_image(f"damaged {header.media_type}: it cannot be decoded to its end; send the whole file")
    result = pb.DecodeResult(width=image.shape[1], height=image.shape[0])
    put_tensor(result.image, image, settings)
    return result


def _check_file(data: bytes, max_pixels: int, settings: PostprocessingSettings) -> ImageHeader:
    if not data:
        raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, "decode.image_bytes", "the file is empty")
    if max_pixels < 0:
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "decode.max_pixels", f"{max_pixels} is negative")
    if len(data) > settings.max_image_bytes:
        raise invalid(
            ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE,
            "decode.image_bytes",
            f"{len(data)} bytes; at most {settings.max_image_bytes} are taken",
        )
    header = read_header(data)
    if header is None:
        raise _invalid_image("not a PNG, JPEG, WebP, BMP or TIFF file, or its header is damaged")
    check_size(
        header.width, header.height, "decode.image_bytes", min(max_pixels or settings.max_pixels, settings.max_pixels)
    )
    return header


def _decode(data: bytes, header: ImageHeader) -> Array | None:
    encoded = np.frombuffer(data, np.uint8)
    try:
        if header.has_alpha:
            layered = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
            return None if layered is None else _lay_on_white(layered)
        image: Array | None = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        return None
    return image


def _lay_on_white(layered: Array) -> Array:
    """Pixels of blue, green, red, alpha on white paper: what is transparent is often black underneath."""
    if layered.ndim != 3 or layered.shape[2] != 4:
        flat: Array = cv2.cvtColor(layered, cv2.COLOR_GRAY2RGB if layered.ndim == 2 else cv2.COLOR_BGR2RGB)
        return flat
    if layered.dtype == np.uint16:
        layered = (layered >> 8).astype(np.uint8)
    colours: Array = cv2.cvtColor(layered, cv2.COLOR_BGRA2RGB)
    clear = layered[:, :, 3] < 255
    if clear.any():
        alpha = layered[:, :, 3:][clear].astype(np.float32) / 255
        colours[clear] = np.rint(colours[clear] * alpha + 255 * (1 - alpha))
    return colours


def _invalid_image(description: str) -> CoordinatorError:
    return invalid(ErrorReason.ERROR_REASON_IMAGE_INVALID, "decode.image_bytes", description)


def encode(operation: pb.EncodeOperation, settings: PostprocessingSettings) -> pb.EncodeResult:
    """Writes an image file; a PNG with little compression (level 1) of the plain pixels, which takes no longer than
    OpenCV's own choice (run lengths of differences) and gives half of the bytes for a drawn page.

    Raises:
        CoordinatorError: FIELD_INVALID, IMAGE_TOO_LARGE, PAYLOAD_TOO_LARGE, TENSOR_INVALID.
    """
    image = read_image(operation.image, "encode.image", settings)
    if not 0 <= operation.quality <= 100:
        raise invalid_field("encode.quality", f"{operation.quality} is not within 1 and 100 (0 = {_QUALITY})")
    suffix, media_type, options = _format_of(operation)
    if suffix == ".webp" and max(image.shape[:2]) > _WEBP_MAX_SIDE:
        raise invalid(
            ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE, "encode.image", f"WebP has at most {_WEBP_MAX_SIDE} pixels a side"
        )
    _, encoded = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    check_result(encoded.nbytes, settings)
    result = pb.EncodeResult()
    result.file.media_type, result.file.inline_bytes = media_type, encoded.tobytes()
    return result


def _format_of(operation: pb.EncodeOperation) -> tuple[str, str, list[int]]:
    quality = operation.quality or _QUALITY
    if operation.image_format in (pb.IMAGE_FORMAT_UNSPECIFIED, pb.IMAGE_FORMAT_PNG):
        return ".png", "image/png", list(_PNG)
    if operation.image_format == pb.IMAGE_FORMAT_JPEG:
        return ".jpg", "image/jpeg", [cv2.IMWRITE_JPEG_QUALITY, quality]
    if operation.image_format == pb.IMAGE_FORMAT_WEBP:
        return ".webp", "image/webp", [cv2.IMWRITE_WEBP_QUALITY, quality]
    raise invalid_field("encode.image_format", f"{operation.image_format} is no value of ImageFormat")
