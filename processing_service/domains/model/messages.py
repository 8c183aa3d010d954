"""What the repository knows, as messages of the contract."""

from __future__ import annotations

from coordinator.model.v1 import model_pb2 as pb

from processing_service.domains.models import Axis, ModelVersion, TensorSpec

_SHORT_BYTES = 1024
"""Longest value of the file's metadata in a list, in bytes."""


def model_info(model: ModelVersion, *, short: bool = False) -> pb.ModelInfo:
    """One version of one model; without long values of its metadata if `short`."""
    metadata = {key: value for key, value in model.metadata.items() if not short or len(value.encode()) <= _SHORT_BYTES}
    return pb.ModelInfo(
        model_id=model.model_id,
        model_version=model.model_version,
        digest=model.digest,
        file_size_bytes=model.file_size_bytes,
        declared_size_bytes=model.declared_size_bytes,
        device=model.device,
        providers=model.providers,
        inputs=map(_tensor_info, model.inputs),
        outputs=map(_tensor_info, model.outputs),
        labels=model.labels,
        metadata=metadata,
        batching_enabled=model.batching.enabled,
        max_batch_size=model.batching.max_batch_size if model.batching.enabled else 0,
    )


def _tensor_info(spec: TensorSpec) -> pb.TensorInfo:
    return pb.TensorInfo(
        name=spec.name,
        data_type=spec.data_type,
        axes=map(_axis, spec.axes or ()),
        normalized=spec.normalization is not None,
    )


def _axis(axis: Axis) -> pb.Axis:
    if axis.size:
        return pb.Axis(size=axis.size)
    return pb.Axis(min_size=axis.min_size, max_size=axis.max_size, multiple_of=axis.multiple_of)
