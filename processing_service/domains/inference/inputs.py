"""Inputs on their way to a model: what the runtime does not check is checked here, and images become tensors.

ONNX Runtime takes big-endian arrays and computes nonsense, and fails deep inside a graph for sizes that its dynamic
axes do not bear; so element type, axes and values are compared with what the model and its model.yaml say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import DataType, Tensor

from processing_service.domains.models import Axis, ModelVersion, Normalization, TensorSpec
from processing_service.wire.errors import Code, CoordinatorError, invalid, nearest
from processing_service.wire.tensors import Array, name_of, to_array

ALIAS: Final = "input"
"""Under this name the single input of a model may be given too."""


def check(model: ModelVersion, tensors: Mapping[str, Tensor]) -> dict[str, Array]:
    """Views of the tensors by the model's own names, each of a type and shape that the model takes.

    Raises:
        CoordinatorError: FIELD_UNKNOWN or FIELD_REQUIRED for a name, TENSOR_INVALID for a tensor that does not fit,
            MODEL_INVALID for a model whose inputs cannot be sent.
    """
    specs = {spec.name: spec for spec in model.inputs}
    arrays: dict[str, Array] = {}
    for given, tensor in tensors.items():
        name = model.inputs[0].name if given == ALIAS and given not in specs and len(specs) == 1 else given
        if name not in specs:
            raise _unknown(model, given)
        if name in arrays:
            raise invalid(ErrorReason.ERROR_REASON_FIELD_CONFLICT, f"inputs[{given}]", f"{name!r} is given twice")
        arrays[name] = _checked(model, specs[name], tensor, f"inputs[{given}]")
    missing = next((name for name in specs if name not in arrays), None)
    if missing is not None:
        raise invalid(
            ErrorReason.ERROR_REASON_FIELD_REQUIRED,
            f"inputs[{missing}]",
            f"model {model.model_id!r} takes {', '.join(map(describe, model.inputs))}",
        )
    return arrays


def to_feeds(model: ModelVersion, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """What the runtime gets: images normalised, values looked at. Takes milliseconds: call it in a worker thread.

    Raises:
        CoordinatorError: TENSOR_INVALID for NaN where the model does not know of it.
    """
    return {spec.name: _feed(spec, arrays[spec.name]) for spec in model.inputs}


def row_count(model: ModelVersion, arrays: Mapping[str, Array]) -> int:
    """Rows along axis 0 of the model's inputs; 0 where they differ, so that nothing can run beside it."""
    counts = {_shape(spec, arrays[spec.name])[0] for spec in model.inputs}
    return counts.pop() if len(counts) == 1 else 0


def max_rows(model: ModelVersion) -> int:
    """Most rows that its batches may have, and that axis 0 of each of its inputs may."""
    limits = [spec.axes[0].max_size for spec in model.inputs if spec.axes]
    return min([model.batching.max_batch_size, *filter(None, limits)])


def row_signature(model: ModelVersion, arrays: Mapping[str, Array]) -> tuple[object, ...]:
    """Equal for inputs that can run as one batch: element types and all axes but the first."""
    return tuple((arrays[spec.name].dtype, _shape(spec, arrays[spec.name])[1:]) for spec in model.inputs)


def normalize(images: Array, how: Normalization) -> Array:
    """UINT8 images [height, width, 3] or [n, height, width, 3] in RGB as FLOAT32 [n, 3, height, width].

    (value * scale - mean) / std, by channel; one pass with one factor and one offset a channel.
    """
    batch = images if images.ndim == 4 else images[np.newaxis]
    count, height, width, _ = batch.shape
    out = np.empty((count, 3, height, width), np.float32)
    for channel in range(3):
        source = channel if how.channel_order == "RGB" else 2 - channel
        factor = np.float32(how.scale / how.std[channel])
        np.multiply(batch[..., source], factor, out=out[:, channel], casting="unsafe")
        out[:, channel] -= np.float32(how.mean[channel] / how.std[channel])
    return out


def describe(spec: TensorSpec) -> str:
    """The tensor in words: x FLOAT32 [*, 3, 48, *]."""
    axes = "any shape" if spec.axes is None else f"[{', '.join(str(axis.size or '*') for axis in spec.axes)}]"
    image = " or UINT8 [height, width, 3]" if spec.normalization else ""
    return f"{spec.name} {name_of(spec.data_type)} {axes}{image}"


def _checked(model: ModelVersion, spec: TensorSpec, tensor: Tensor, path: str) -> Array:
    if spec.data_type == DataType.DATA_TYPE_UNSPECIFIED:
        raise CoordinatorError(
            Code.FAILED_PRECONDITION,
            ErrorReason.ERROR_REASON_MODEL_INVALID,
            f"model {model.model_id!r}: its input {spec.name!r} has an element type that cannot be sent",
            metadata={"model_id": model.model_id, "model_version": model.model_version},
        )
    is_image = spec.normalization is not None and tensor.data_type == DataType.DATA_TYPE_UINT8
    if tensor.data_type != spec.data_type and not is_image:
        raise _invalid(f"{path}.data_type", f"is {name_of(tensor.data_type)}; the model takes {describe(spec)}")
    array = to_array(tensor, path)
    if is_image:
        _check_image(spec, array.shape, path)
    elif spec.axes is not None:
        _check_shape(spec, array.shape, path)
    return array


def _check_shape(spec: TensorSpec, shape: tuple[int, ...], path: str) -> None:
    axes = spec.axes or ()
    if len(shape) != len(axes):
        raise _invalid(f"{path}.shape", f"has {len(shape)} axes; the model takes {describe(spec)}")
    for index, (axis, size) in enumerate(zip(axes, shape, strict=True)):
        _check_axis(axis, size, f"{path}.shape[{index}]")


def _check_image(spec: TensorSpec, shape: tuple[int, ...], path: str) -> None:
    if len(shape) not in (3, 4) or shape[-1] != 3:
        raise _invalid(f"{path}.shape", f"is {list(shape)}; an image is [height, width, 3] or [n, height, width, 3]")
    count, _, height, width = spec.axes or (Axis(),) * 4
    _check_axis(count, 1 if len(shape) == 3 else shape[0], f"{path}.shape" + ("" if len(shape) == 3 else "[0]"))
    _check_axis(height, shape[-3], f"{path}.shape[{len(shape) - 3}]")
    _check_axis(width, shape[-2], f"{path}.shape[{len(shape) - 2}]")


def _check_axis(axis: Axis, size: int, path: str) -> None:
    fault = axis.fault(size)
    if fault:
        raise _invalid(path, f"{size} elements; {fault}")


def _shape(spec: TensorSpec, array: Array) -> tuple[int, ...]:
    is_single_image = spec.normalization is not None and array.ndim == 3
    return (1, *array.shape) if is_single_image else array.shape


def _feed(spec: TensorSpec, array: Array) -> Array:
    if spec.normalization is not None and array.dtype == np.uint8:
        return normalize(array, spec.normalization)
    if array.dtype.kind == "f" and array.size and not spec.allow_nan and np.isnan(array.min()):
        raise _invalid(f"inputs[{spec.name}].data", "holds NaN; set allow_nan in model.yaml if the model knows of it")
    return array


def _unknown(model: ModelVersion, name: str) -> CoordinatorError:
    names = [spec.name for spec in model.inputs]
    return invalid(
        ErrorReason.ERROR_REASON_FIELD_UNKNOWN,
        f"inputs[{name}]",
        f"model {model.model_id!r} takes {', '.join(names)}",
        nearest(name, names),
    )


def _invalid(path: str, description: str) -> CoordinatorError:
    return invalid(ErrorReason.ERROR_REASON_TENSOR_INVALID, path, description)
