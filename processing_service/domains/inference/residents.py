"""A model in memory, the memory of a device, and why a model cannot come or go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.domains.inference.measurement import Key, Size
from processing_service.domains.inference.runtimes.base import LoadedModel
from processing_service.domains.models import ModelVersion
from processing_service.wire.errors import Code, CoordinatorError


@dataclass(eq=False, slots=True)
class Resident:
    """A model that is in memory, or on its way there."""

    model: ModelVersion
    size: Size
    holders: list[str] = field(default_factory=list)
    """Step keys of the calls that hold it, or wait for its load to hold it."""

    loaded: LoadedModel | None = None
    """None while it loads."""

    leaving: int = 0
    """How many want it gone; above 0 new calls wait until it is."""

    loaded_at: float = 0.0
    """Seconds since the epoch."""

    used_at: float = 0.0
    """Seconds since the epoch; 0 if it never ran."""

    use: int = 0
    """Number of its last use: the smallest is the least recently used."""

    run_count: int = 0
    load_seconds: float = 0.0
    turns: asyncio.Semaphore | None = field(init=False)
    """Whoever runs it has one of these; None where the workers are the only limit."""

    def __post_init__(self) -> None:
        self.turns = asyncio.Semaphore(self.model.max_parallel) if self.model.max_parallel else None

    @property
    def size_bytes(self) -> int:
        """Memory that it counts for: the largest of declared and measured."""
        return max(self.model.declared_size_bytes, self.size.loaded_bytes + self.size.run_bytes)


@dataclass(slots=True)
class Budget:
    """The memory of one device."""

    budget_bytes: int
    eviction_count: int = 0
    load_count: int = 0


def key_of(model: ModelVersion) -> Key:
    """What tells it from every other: a file that was replaced is another model."""
    return model.model_id, model.model_version, model.digest


def matches(model: ModelVersion, model_id: str, model_version: str) -> bool:
    """True for that version of the model; for any if empty."""
    return model.model_id == model_id and model_version in ("", model.model_version)


def in_use(held: list[Resident]) -> CoordinatorError:
    """MODEL_IN_USE with the step keys of those that hold it."""
    holders = sorted({holder for each in held for holder in each.holders})
    return CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_MODEL_IN_USE,
        f"model {held[0].model.model_id!r} is held by {len(holders)} calls: {', '.join(holders[:8])}; "
        "wait for them, or unload with drain",
        metadata={"model_id": held[0].model.model_id, "holders": ",".join(holders[:64])},
    )


def no_device(model: ModelVersion, budgets: Mapping[str, Budget]) -> CoordinatorError:
    """MODEL_INVALID for a device that has no budget here."""
    return CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_MODEL_INVALID,
        f"model {model.model_id!r} wants device {model.device!r}, which is not here; there is {', '.join(budgets)}",
        metadata={"model_id": model.model_id, "model_version": model.model_version, "device": model.device},
    )


def too_large(model: ModelVersion, need: int, budget: int) -> CoordinatorError:
    """MODEL_BUDGET_EXCEEDED with both numbers, in bytes."""
    return CoordinatorError(
        Code.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_MODEL_BUDGET_EXCEEDED,
        f"model {model.model_id!r} takes {need} bytes, but device {model.device!r} has a budget of {budget}; "
        "raise the budget or declare a smaller size in its model.yaml",
        metadata={
            "model_id": model.model_id,
            "device": model.device,
            "needed_bytes": str(need),
            "budget_bytes": str(budget),
        },
    )
