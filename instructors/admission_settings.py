"""How calls wait for their models; apart from the gate, so that the command line can read it quickly."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import invalid


@dataclass(frozen=True, slots=True)
class AdmissionSettings:
    """The gate that steps with a model pass."""

    max_wait: float = 30.0
    """Seconds that a step may wait while steps of models in memory go first. At half of it room is made for its own."""

    calls_per_worker: int = 4
    """Calls that are out to an Inference domain for each run that it makes at the same time. More of them fill batches
    and hide the way there, fewer let a step of high priority come sooner."""

    def __post_init__(self) -> None:
        if not self.max_wait > 0:
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "max_wait", "must be more than 0 s")
        if self.calls_per_worker < 1:
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "calls_per_worker", "must be at least 1")
