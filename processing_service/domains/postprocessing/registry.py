"""The operations by name: a name is the field of the request, and of the reply, that holds the operation's message."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from coordinator.postprocessing.v1 import postprocessing_pb2 as pb
from google.protobuf.message import Message

from processing_service.domains.postprocessing import (
    classification,
    crops,
    detection,
    drawing,
    echo,
    enhancement,
    image_files,
    text,
    transforms,
)
from processing_service.domains.postprocessing.settings import PostprocessingSettings

_SMALL_TENSOR: Final = 1 << 14
_SMALL_LIST: Final = 32


@dataclass(frozen=True, slots=True)
class Operation:
    """What runs under a name."""

    run: Callable[[Any, PostprocessingSettings], Message]
    """From the operation's message to its result."""
    is_small: Callable[[Any], bool] = lambda _: False
    """True if it takes well under a millisecond: it runs where it arrives, not in a thread."""


def _small_tensor(operation: pb.SoftmaxOperation | pb.TopKOperation) -> bool:
    return math.prod(operation.tensor.shape) <= _SMALL_TENSOR


OPERATIONS: Final[dict[str, Operation]] = {
    "echo": Operation(echo.echo, lambda _: True),
    "decode": Operation(image_files.decode),
    "resize": Operation(transforms.resize),
    "rotate": Operation(transforms.rotate),
    "normalize": Operation(transforms.normalize),
    "softmax": Operation(classification.softmax, _small_tensor),
    "top_k": Operation(classification.top_k, _small_tensor),
    "ctc_decode": Operation(text.ctc_decode, lambda operation: len(operation.class_indices) <= _SMALL_LIST),
    "detect_regions": Operation(detection.detect_regions),
    "crop": Operation(crops.crop),
    "select_crops": Operation(crops.select_crops),
    "vote": Operation(classification.vote, lambda operation: len(operation.scores) <= _SMALL_LIST),
    "upscale": Operation(enhancement.upscale),
    "enhance": Operation(enhancement.enhance),
    "annotate": Operation(drawing.annotate),
    "collect_lines": Operation(text.collect_lines, lambda operation: len(operation.regions) <= _SMALL_LIST),
    "encode": Operation(image_files.encode),
}
