"""Images as arrays UINT8 [height, width, 3], channels red, green, blue: how they are read, bounded and written."""

from __future__ import annotations

import numpy as np
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Tensor

from processing_service.domains.postprocessing.settings import MAX_SIDE, PostprocessingSettings
from processing_service.wire.errors import Code, CoordinatorError, invalid
from processing_service.wire.tensors import Array, from_array, name_of, to_array


def read_image(tensor: Tensor, field_path: str, settings: PostprocessingSettings) -> Array:
    """The pixels of an image tensor, read-only.

    Raises:
        CoordinatorError: TENSOR_INVALID if it is not UINT8 [height, width, 3], IMAGE_TOO_LARGE.
    """
    array = to_array(tensor, field_path)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        found = f"{name_of(tensor.data_type)} {list(array.shape)}"
        raise invalid(
            ErrorReason.ERROR_REASON_TENSOR_INVALID,
            field_path,
            f"an image is UINT8 [height, width, 3] with at least one pixel; this is {found}",
        )
    check_size(array.shape[1], array.shape[0], field_path, settings.max_pixels)
    return array


def check_size(width: int, height: int, field_path: str, max_pixels: int) -> None:
    """Refuses an image that is too large to be read or made.

    Raises:
        CoordinatorError: IMAGE_TOO_LARGE.
    """
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise invalid(
            ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE,
            field_path,
            f"{width} x {height} pixels; at most {max_pixels} pixels and {MAX_SIDE} a side are taken; make it smaller",
        )


def write_tensor(array: Array, settings: PostprocessingSettings) -> Tensor:
    """The tensor of a result.

    Raises:
        CoordinatorError: PAYLOAD_TOO_LARGE.
    """
    check_result(array.nbytes, settings)
    return from_array(array)


def put_tensor(place: Tensor, array: Array, settings: PostprocessingSettings) -> None:
    """Writes the tensor of a result where it belongs; a constructor that is given one writes and parses it once more.

    Raises:
        CoordinatorError: PAYLOAD_TOO_LARGE.
    """
    place.CopyFrom(write_tensor(array, settings))


def check_result(size_bytes: int, settings: PostprocessingSettings) -> None:
    """Refuses a result that no message could carry.

    Raises:
        CoordinatorError: PAYLOAD_TOO_LARGE.
    """
    if size_bytes > settings.max_result_bytes:
        raise CoordinatorError(
            Code.RESOURCE_EXHAUSTED,
            ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE,
            f"the result takes {size_bytes} bytes or more, at most {settings.max_result_bytes} fit a reply; "
            "ask for less at a time, or for smaller images",
            metadata={"size_bytes": str(size_bytes), "limit_bytes": str(settings.max_result_bytes)},
        )


def invalid_field(field_path: str, description: str) -> CoordinatorError:
    """FIELD_INVALID, for a parameter of an operation."""
    return invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, field_path, description)
