"""Outputs made smaller where they are made: a recogniser's probabilities for one page are 428 MiB, what one reads
of them is 0.07 MiB.

A plan is checked before the model runs; it is applied in the worker thread, with numpy, because the same reductions
inside the graph cost more time than there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.inference.v1.inference_pb2 import Reduction, ReductionKind

from processing_service.domains.models import ModelVersion, TensorSpec
from processing_service.wire.errors import CoordinatorError, invalid, nearest
from processing_service.wire.tensors import Array

ALIAS: Final = "output"
"""By this name the single output of a model may be asked for too; it then has this name in the reply."""

_WITH_AXIS: Final = (
    ReductionKind.REDUCTION_KIND_ARGMAX,
    ReductionKind.REDUCTION_KIND_MAX,
    ReductionKind.REDUCTION_KIND_SOFTMAX,
    ReductionKind.REDUCTION_KIND_TOP_K,
)


@dataclass(frozen=True, slots=True)
class Result:
    """One entry of the reply: which output it comes from, and how."""

    name: str
    output_name: str
    reduction: Reduction | None = None
    path: str = ""
    """Where the reduction stands in the request."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the reply of one call holds."""

    results: tuple[Result, ...]

    @property
    def output_names(self) -> tuple[str, ...]:
        """Outputs that the model must give, each once."""
        return tuple(dict.fromkeys(result.output_name for result in self.results))

    def apply(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """The reply's arrays, of the model's outputs by name.

        Raises:
            CoordinatorError: FIELD_INVALID for an axis or top_k that the output does not have.
        """
        found: dict[str, Array] = {}
        for result in self.results:
            output = outputs[result.output_name]
            if result.reduction is None:
                found[result.name] = output
            else:
                found.update(_reduce(result.name, output, result.reduction, result.path))
        return found


def plan(model: ModelVersion, output_names: Sequence[str], reductions: Sequence[Reduction]) -> Plan:
    """What to compute for these fields of a request.

    Raises:
        CoordinatorError: FIELD_UNKNOWN for an output, FIELD_INVALID or FIELD_REQUIRED for a reduction, FIELD_CONFLICT
            for two results of one name.
    """
    reduced = [_result(model, each, f"reductions[{index}]") for index, each in enumerate(reductions)]
    sources = {result.output_name for result in reduced}
    if output_names:
        asked = [(name, _find(model, name, f"output_names[{at}]").name) for at, name in enumerate(output_names)]
    else:
        asked = [] if reduced else [(spec.name, spec.name) for spec in model.outputs]
    whole = [Result(name, source) for name, source in asked if source not in sources]
    _check_names([*whole, *reduced])
    return Plan((*whole, *reduced))


def _result(model: ModelVersion, reduction: Reduction, path: str) -> Result:
    spec = _find(model, reduction.output_name, f"{path}.output_name")
    kind = reduction.reduction_kind
    if kind not in _REDUCE:
        raise invalid(ErrorReason.ERROR_REASON_FIELD_REQUIRED, f"{path}.reduction_kind", "name one of REDUCTION_KIND_*")
    if kind == ReductionKind.REDUCTION_KIND_TOP_K and reduction.top_k < 1:
        raise _invalid(f"{path}.top_k", f"{reduction.top_k} is not a number of values; it is 1 or more")
    if kind in _WITH_AXIS and spec.axes is not None:
        _check_axis(reduction, len(spec.axes), path)
    return Result(reduction.name or reduction.output_name, spec.name, reduction, path)


def _find(model: ModelVersion, name: str, path: str) -> TensorSpec:
    known = {spec.name: spec for spec in model.outputs}
    if name == ALIAS and len(known) == 1:
        return model.outputs[0]
    if name not in known:
        raise invalid(
            ErrorReason.ERROR_REASON_FIELD_UNKNOWN,
            path,
            f"model {model.model_id!r} has no output {name!r}; it gives {', '.join(known)}",
            nearest(name, known),
        )
    return known[name]


def _check_names(results: Sequence[Result]) -> None:
    seen: set[str] = set()
    for result in results:
        names = {result.name}
        if result.reduction and result.reduction.reduction_kind == ReductionKind.REDUCTION_KIND_TOP_K:
            names.add(_index_name(result.name))
        if names & seen:
            raise invalid(
                ErrorReason.ERROR_REASON_FIELD_CONFLICT,
                f"{result.path}.name" if result.path else "output_names",
                f"two results are called {min(names & seen)!r}; give one of them another name",
            )
        seen |= names


def _check_axis(reduction: Reduction, rank: int, path: str) -> None:
    if not -rank <= reduction.axis < rank:
        raise _invalid(f"{path}.axis", f"{reduction.axis} is not an axis of an output with {rank}")


def _reduce(name: str, output: Array, reduction: Reduction, path: str) -> dict[str, Array]:
    if reduction.reduction_kind in _WITH_AXIS:
        _check_axis(reduction, output.ndim, path)
        if not output.shape[reduction.axis]:
            raise _invalid(f"{path}.axis", f"axis {reduction.axis} of the output is empty")
    if reduction.reduction_kind == ReductionKind.REDUCTION_KIND_TOP_K:
        size = output.shape[reduction.axis]
        if reduction.top_k > size:
            raise _invalid(f"{path}.top_k", f"{reduction.top_k} values of an axis with {size}")
    return _REDUCE[reduction.reduction_kind](name, output, reduction)


def _argmax(name: str, output: Array, reduction: Reduction) -> dict[str, Array]:
    return {name: output.argmax(reduction.axis).astype(np.int32)}


def _max(name: str, output: Array, reduction: Reduction) -> dict[str, Array]:
    return {name: np.asarray(output.max(reduction.axis))}


def _softmax(name: str, output: Array, reduction: Reduction) -> dict[str, Array]:
    values = output.astype(np.float64 if output.dtype == np.float64 else np.float32)
    np.subtract(values, values.max(reduction.axis, keepdims=True), out=values)  # so that exp cannot overflow
    np.exp(values, out=values)
    np.divide(values, values.sum(reduction.axis, keepdims=True), out=values)
    return {name: values}


def _top_k(name: str, output: Array, reduction: Reduction) -> dict[str, Array]:
    """Equal values stand in the order of their indices; which of those that tie for the last place is open."""
    axis, top_k = reduction.axis, reduction.top_k
    size = output.shape[axis]
    index = np.argpartition(output, size - top_k, axis)
    index = np.flip(np.sort(np.take(index, range(size - top_k, size), axis), axis), axis)
    order = np.argsort(np.take_along_axis(output, index, axis), axis, kind="stable")
    index = np.flip(np.take_along_axis(index, order, axis), axis)
    return {name: np.take_along_axis(output, index, axis), _index_name(name): index.astype(np.int32)}


def _quantize(name: str, output: Array, reduction: Reduction) -> dict[str, Array]:
    del reduction
    values = np.nan_to_num(output.astype(np.float32), nan=0.0)
    np.clip(values, 0.0, 1.0, out=values)
    values *= 255.0
    return {name: np.rint(values).astype(np.uint8)}


_REDUCE: Final[dict[ReductionKind.ValueType, Callable[[str, Array, Reduction], dict[str, Array]]]] = {
    ReductionKind.REDUCTION_KIND_ARGMAX: _argmax,
    ReductionKind.REDUCTION_KIND_MAX: _max,
    ReductionKind.REDUCTION_KIND_SOFTMAX: _softmax,
    ReductionKind.REDUCTION_KIND_TOP_K: _top_k,
    ReductionKind.REDUCTION_KIND_QUANTIZE: _quantize,
}

KINDS: Final = tuple(_REDUCE)
"""The reductions that there are."""


def _index_name(name: str) -> str:
    return f"{name}_index"


def _invalid(path: str, description: str) -> CoordinatorError:
    return invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, path, description)
