"""How much one call may ask of the postprocessing service."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import invalid

MAX_SIDE: Final = 32_766
"""Longest side of an image, in pixels: OpenCV's warps count coordinates in 16 bits."""


@dataclass(frozen=True, slots=True)
class PostprocessingSettings:
    """Limits of the operations; all are checked before memory is taken."""

    max_pixels: int = 22_000_000
    """Most pixels of an image, read or made. Three bytes each: the default fits a message of 64 MiB."""
    max_image_bytes: int = 32 << 20
    """Largest encoded image, in bytes."""
    max_result_bytes: int = 66_000_000
    """Most bytes of all tensors of one result; the rest of a message of 64 MiB is room for the other fields."""
    workers: int = 2
    """Threads for operations that take more than about a millisecond."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 1:
                raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, field.name, f"{value} is below 1")
