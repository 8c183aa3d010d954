"""What the Inference service may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InferenceSettings:
    """Memory, threads and limits of the Inference service."""

    memory_budget_bytes: int = 1 << 30
    """Memory that resident models may take together on the CPU, in bytes."""

    workers: int = 2
    """Runs at the same time; one for each core is best."""

    intra_op_threads: int = 1
    """Threads of one run."""

    max_in_flight: int = 256
    """Calls that wait or run at the same time; one more is refused with SERVER_OVERLOADED."""

    max_message_bytes: int = 64 << 20
    """Largest reply, in bytes."""

    load_patience: float = 1.0
    """Seconds that a load waits for room before new calls of the least recently used model wait behind it."""

    max_sessions: int = 10_000
    """Inference sessions that are kept at the same time."""

    session_idle: float = 86_400.0
    """Seconds without a run after which an inference session is forgotten."""

    request_retention: float = 86_400.0
    """How long a request_id is known, in seconds; the oldest go before that where there are more than 10,000."""
