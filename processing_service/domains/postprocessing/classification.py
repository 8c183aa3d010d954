"""Classes: probabilities from scores, the best ones, and what a majority says."""

from __future__ import annotations

from typing import Final

import numpy as np
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb

from processing_service.domains.postprocessing.images import invalid_field, put_tensor
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.wire.errors import invalid
from processing_service.wire.tensors import name_of, to_array

_TOP_K: Final = 5
_HALF: Final = 0.5


def softmax(operation: pb.SoftmaxOperation, settings: PostprocessingSettings) -> pb.SoftmaxResult:
    """exp(x) / sum(exp(x)) along an axis, shifted by the largest x so that nothing overflows.

    Raises:
        CoordinatorError: FIELD_INVALID, TENSOR_INVALID, PAYLOAD_TOO_LARGE.
    """
    values = to_array(operation.tensor, "softmax.tensor")
    if values.dtype not in (np.float32, np.float64) or values.size == 0 or values.ndim == 0:
        found = f"{name_of(operation.tensor.data_type)} {list(values.shape)}"
        raise invalid(
            ErrorReason.ERROR_REASON_TENSOR_INVALID,
            "softmax.tensor",
            f"takes FLOAT32 or FLOAT64 with at least one axis and one element; this is {found}",
        )
    axis = operation.axis if operation.HasField("axis") else -1
    if not -values.ndim <= axis < values.ndim:
        raise invalid_field("softmax.axis", f"{axis}, but the tensor has {values.ndim} axes")
    with np.errstate(all="ignore"):  # NaN and infinity go in, NaN comes out
        powers = np.exp(values - values.max(axis=axis, keepdims=True))
        powers /= powers.sum(axis=axis, keepdims=True)
    result = pb.SoftmaxResult()
    put_tensor(result.tensor, powers, settings)
    return result


def top_k(operation: pb.TopKOperation, _: PostprocessingSettings) -> pb.TopKResult:
    """The largest values of a vector, largest first; equal ones by index, NaN last.

    Raises:
        CoordinatorError: FIELD_INVALID, TENSOR_INVALID.
    """
    values = to_array(operation.tensor, "top_k.tensor").reshape(-1)
    if operation.top_k < 0:
        raise invalid_field("top_k.top_k", f"{operation.top_k} is negative")
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN too
        values = values.astype(np.float64)
    best = np.argsort(-values, kind="stable")[: operation.top_k or _TOP_K].tolist()
    labels = operation.labels
    return pb.TopKResult(
        classifications=[
            pb.Classification(class_index=i, label=labels[i] if i < len(labels) else "", score=values[i]) for i in best
        ]
    )


def vote(operation: pb.VoteOperation, _: PostprocessingSettings) -> pb.VoteResult:
    """Decides by majority between classes.

    Raises:
        CoordinatorError: FIELD_INVALID, TENSOR_INVALID.
    """
    for name in ("threshold", "majority"):
        if not 0 <= getattr(operation, name) <= 1:
            raise invalid_field(f"vote.{name}", f"{getattr(operation, name)} is not within 0 and 1")
    threshold, yes = operation.threshold or _HALF, 0
    for index, tensor in enumerate(operation.scores):
        scores = to_array(tensor, f"vote.scores[{index}]").reshape(-1)
        if not 0 <= operation.class_index < scores.size:
            raise invalid_field(
                "vote.class_index", f"{operation.class_index}, but voter {index} knows {scores.size} classes"
            )
        yes += bool(scores[operation.class_index] > threshold)
    count = len(operation.scores)
    won = count > 0 and yes / count > (operation.majority or _HALF)
    return pb.VoteResult(won=won, yes_count=yes, voter_count=count)
