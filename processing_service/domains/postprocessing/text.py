"""Text: characters from classes, lines from characters."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Tensor
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.images import invalid_field
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import CoordinatorError, invalid
from processing_service.wire.tensors import Array, name_of, to_array

_BLANK: Final = 0


def ctc_decode(operation: pb.CtcDecodeOperation, _: PostprocessingSettings) -> pb.CtcDecodeResult:
    """Reads characters from the best class of each time step (CTC, Graves et al. 2006, best path).

    Raises:
        CoordinatorError: FIELD_INVALID, TENSOR_INVALID.
    """
    if len(operation.probabilities) not in (0, len(operation.class_indices)):
        raise invalid_field(
            "ctc_decode.probabilities",
            f"{len(operation.probabilities)} tensors for {len(operation.class_indices)} lines; give one each, or none",
        )
    characters = _characters(operation.characters)
    result = pb.CtcDecodeResult()
    for index, tensor in enumerate(operation.class_indices):
        classes = _steps(tensor, f"ctc_decode.class_indices[{index}]", "iu")
        kept = np.flatnonzero((classes != _BLANK) & (classes != np.concatenate(([_BLANK], classes[:-1]))))
        text = "".join([characters[c] if c < len(characters) else " " for c in classes[kept].tolist()])
        result.texts.append(text)
        result.confidences.append(_confidence(operation, index, classes.size, kept))
    return result


def _confidence(operation: pb.CtcDecodeOperation, index: int, steps: int, kept: Array) -> float:
    if not kept.size:
        return 0.0
    if not operation.probabilities:
        return 1.0
    field_path = f"ctc_decode.probabilities[{index}]"
    probabilities = _steps(operation.probabilities[index], field_path, "f")
    if probabilities.size != steps:
        raise _invalid_tensor(field_path, f"{probabilities.size} steps, but class_indices[{index}] has {steps}")
    with np.errstate(all="ignore"):  # NaN and infinity go in, NaN comes out
        return float(probabilities[kept].mean(dtype=np.float64))


@lru_cache(maxsize=8)
def _characters(text: str) -> list[str]:
    """Characters by class, the blank in front."""
    return ["", *text.splitlines()]


def _steps(tensor: Tensor, field_path: str, kinds: str) -> Array:
    """A vector with a value for each time step."""
    values = to_array(tensor, field_path)
    if values.dtype.kind not in kinds or not 1 <= values.ndim <= 2 or (values.ndim == 2 and values.shape[0] != 1):
        kind = "whole numbers" if kinds == "iu" else "floating-point numbers"
        found = f"{name_of(tensor.data_type)} {list(values.shape)}"
        raise _invalid_tensor(field_path, f"a line is [steps] or [1, steps] of {kind}; this is {found}")
    if kinds == "iu" and values.size and values.min() < 0:
        raise _invalid_tensor(field_path, f"class {values.min()} is negative")
    return values.reshape(-1)


def _invalid_tensor(field_path: str, description: str) -> CoordinatorError:
    return invalid(ErrorReason.ERROR_REASON_TENSOR_INVALID, field_path, description)


def collect_lines(operation: pb.CollectLinesOperation, _: PostprocessingSettings) -> pb.CollectLinesResult:
    """Joins regions with what was read in them.

    Raises:
        CoordinatorError: FIELD_INVALID.
    """
    count = len(operation.regions)
    for name in ("texts", "confidences"):
        if len(getattr(operation, name)) != count:
            raise invalid_field(
                f"collect_lines.{name}", f"{len(getattr(operation, name))} for {count} regions; give one a region"
            )
    if not 0 <= operation.min_confidence <= 1:
        raise invalid_field("collect_lines.min_confidence", f"{operation.min_confidence} is not within 0 and 1")
    lines = [
        pb.TextLine(region=region, text=text, confidence=confidence)
        for region, text, confidence in zip(operation.regions, operation.texts, operation.confidences, strict=True)
        if text and confidence >= operation.min_confidence
    ]
    if operation.upside_down:
        lines = [_turn_round(line) for line in reversed(lines)]
    return pb.CollectLinesResult(lines=lines, text="\n".join(line.text for line in lines))


def _turn_round(line: pb.TextLine) -> pb.TextLine:
    """The line with its corners clockwise from the opposite one."""
    corners = line.region.corners
    half = len(corners) // 2
    region = pb.Region(corners=[*corners[half:], *corners[:half]], score=line.region.score)
    return pb.TextLine(region=region, text=line.text, confidence=line.confidence)
