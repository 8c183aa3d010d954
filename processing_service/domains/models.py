"""One version of one model: what the repository knows of it and what a runtime needs to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from coordinator.payload.v1.payload_pb2 import DataType

CPU = "cpu"
"""The device that is always there."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a tensor, and which sizes it takes."""

    size: int = 0
    """Elements; 0 if dynamic."""

    min_size: int = 1
    """Smallest size of a dynamic axis, in elements."""

    max_size: int = 0
    """Largest size of a dynamic axis, in elements; 0 = no limit but memory."""

    multiple_of: int = 1
    """A dynamic size must be a multiple of this, in elements."""

    def fault(self, size: int) -> str:
        """What is wrong with this size; empty if it fits."""
        if self.size:
            return "" if size == self.size else f"must be {self.size}"
        if size < self.min_size:
            return f"must be at least {self.min_size}"
        if self.max_size and size > self.max_size:
            return f"must be at most {self.max_size}"
        return f"must be a multiple of {self.multiple_of}" if size % self.multiple_of else ""


@dataclass(frozen=True, slots=True)
class Normalization:
    """How UINT8 images [height, width, 3] or [n, height, width, 3] in RGB become FLOAT32 [n, 3, height, width]:
    (value * scale - mean) / std, by channel in `channel_order`.
    """

    scale: float
    """What a value from 0 to 255 is multiplied with first."""

    mean: tuple[float, float, float]
    """Subtracted, by channel of the model's order."""

    std: tuple[float, float, float]
    """Divides, by channel of the model's order."""

    channel_order: Literal["RGB", "BGR"] = "RGB"
    """Order of the channels that the model takes."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that a model takes or gives."""

    name: str
    """Name in the model file."""

    data_type: DataType.ValueType
    """Element type; DATA_TYPE_UNSPECIFIED for one that cannot be sent."""

    axes: tuple[Axis, ...] | None
    """Axes, outermost first; None if the model file does not say how many."""

    normalization: Normalization | None = None
    """How UINT8 images become this tensor; None if they do not."""

    allow_nan: bool = False
    """True where NaN is a value for the model, as in trees that know of missing ones."""


@dataclass(frozen=True, slots=True)
class Batching:
    """Whether requests that wait together run as one batch along axis 0."""

    enabled: bool = False
    """On CPU it gains little for most models and costs memory."""

    max_batch_size: int = 8
    """Most rows of a batch."""

    max_delay: float = 0.0
    """Seconds that a request waits for others before it asks for a worker; 0 = batch only what waits anyway."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of one model, read from its folder."""

    model_id: str
    model_version: str
    path: Path
    """The model file."""

    digest: str
    """SHA-256 of the model file, 64 hexadecimal digits."""

    file_size_bytes: int
    """Length of the model file, in bytes."""

    declared_size_bytes: int
    """Memory that model.yaml declares, in bytes; the file's size if it says nothing."""

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    device: str = CPU
    providers: tuple[str, ...] = ()
    """Execution providers, best first; empty = the runtime's own choice for the device."""

    intra_op_threads: int = 0
    """Threads of one run; 0 = as the Inference service is set."""

    max_parallel: int = 0
    """Runs at the same time; 0 = as many as the Inference service has workers."""

    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Metadata of the model file."""

    batching: Batching = Batching()


class ModelSource(Protocol):
    """Where a domain learns what a model is; may read the disk, so call it in a thread."""

    def resolve(self, model_id: str, model_version: str) -> ModelVersion:
        """The model of that name and version; an empty version is the newest.

        Raises:
            CoordinatorError: MODEL_NOT_FOUND, or MODEL_INVALID for one that cannot be used.
        """
        ...
