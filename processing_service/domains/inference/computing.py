"""What a worker thread does for one run: from checked inputs to the tensors of the reply, for one call or a batch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Tensor

from processing_service.domains.inference.inputs import to_feeds
from processing_service.domains.inference.measurement import Meter
from processing_service.domains.inference.reductions import Plan
from processing_service.domains.inference.residents import Resident
from processing_service.domains.inference.runtimes.base import Stop
from processing_service.domains.models import ModelVersion
from processing_service.wire.errors import Code, CoordinatorError
from processing_service.wire.tensors import Array, from_array

Arrays = dict[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One call's share of a run."""

    model: ModelVersion
    arrays: Arrays
    """Checked views of the inputs, by the model's own names."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the run gave for one job."""

    outputs: dict[str, Tensor]
    batch_size: int
    """Jobs that ran together."""

    started_at: float
    """When a worker began, in seconds of `time.perf_counter()`."""

    seconds: float
    """From there until the tensors were made."""


@dataclass(frozen=True, slots=True)
class Computer:
    """Runs jobs; its methods block, so call them in a worker thread.

    Args:
        meter: is told of each run's memory.
        max_bytes: largest reply, in bytes.
    """

    meter: Meter
    max_bytes: int

    def compute(self, resident: Resident, jobs: Sequence[Job], stop: Stop) -> dict[Job, Outcome | CoordinatorError]:
        """An outcome or an error for each job; the jobs have the same outputs, and the same inputs but for axis 0.

        Raises:
            Stopped: `stop` was set.
            CoordinatorError: the run failed, for all of them.
        """
        started_at = time.perf_counter()
        results: dict[Job, Outcome | CoordinatorError] = {}
        feeds: dict[Job, Arrays] = {}
        for job in jobs:
            try:
                feeds[job] = to_feeds(job.model, job.arrays)
            except CoordinatorError as error:
                results[job] = error
        for job, outputs in self._run(resident, feeds, stop):
            try:
                tensors = self._tensors(job, outputs)
            except CoordinatorError as error:
                results[job] = error
            else:
                results[job] = Outcome(tensors, len(feeds), started_at, time.perf_counter() - started_at)
        return results

    def _run(self, resident: Resident, feeds: Mapping[Job, Arrays], stop: Stop) -> Iterable[tuple[Job, Arrays]]:
        if not feeds:
            return ()
        assert resident.loaded is not None  # the callers hold it
        names = next(iter(feeds)).plan.output_names
        batch = _join(list(feeds.values()))
        elements = sum(array.size for array in batch.values())
        with self.meter.running(resident.size, elements):
            outputs = dict(zip(names, resident.loaded.run(batch, names, stop), strict=True))
        return zip(feeds, _split(resident.model, outputs, list(feeds.values())), strict=True)

    def _tensors(self, job: Job, outputs: Arrays) -> dict[str, Tensor]:
        found = job.plan.apply(outputs)
        size = sum(array.nbytes for array in found.values())
        if size > self.max_bytes:
            raise _too_large(job.model, size, self.max_bytes)
        return {name: from_array(array, f"outputs[{name}]") for name, array in found.items()}


def _join(feeds: Sequence[Arrays]) -> Arrays:
    if len(feeds) == 1:
        return feeds[0]
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def _split(model: ModelVersion, outputs: Arrays, feeds: Sequence[Arrays]) -> list[Arrays]:
    if len(feeds) == 1:
        return [outputs]
    ends = np.cumsum([len(next(iter(feed.values()))) for feed in feeds])
    if any(not output.ndim or len(output) != ends[-1] for output in outputs.values()):
        raise CoordinatorError(
            Code.FAILED_PRECONDITION,
            ErrorReason.ERROR_REASON_MODEL_INVALID,
            f"model {model.model_id!r} does not give a row of output for each row of input; "
            "turn batching off in its model.yaml",
            metadata={"model_id": model.model_id, "model_version": model.model_version},
        )
    parts = {name: np.split(output, ends[:-1]) for name, output in outputs.items()}
    return [{name: parts[name][index] for name in parts} for index in range(len(feeds))]


def _too_large(model: ModelVersion, size: int, limit: int) -> CoordinatorError:
    return CoordinatorError(
        Code.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE,
        f"the outputs of model {model.model_id!r} take {size} bytes, a reply at most {limit}; reduce them, "
        "ask for fewer by output_names, or send smaller inputs",
        metadata={"size_bytes": str(size), "limit_bytes": str(limit)},
    )
