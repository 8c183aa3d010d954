"""The numbers of status codes and reasons that the pure core names; a test holds them to the contract's."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """gRPC status codes."""

    CANCELLED = 1
    DEADLINE_EXCEEDED = 4
    RESOURCE_EXHAUSTED = 8
    ABORTED = 10
    UNAVAILABLE = 14


class Reason(IntEnum):
    """Reasons of error.v1.ErrorReason."""

    PAYLOAD_TOO_LARGE = 30
    MODEL_BUDGET_EXCEEDED = 62
    DEADLINE_EXCEEDED = 70
    BUDGET_TOO_SHORT = 71
    STEP_TIMED_OUT = 72
    STEP_QUEUED_TOO_LONG = 73
    STEP_FAILED = 74
    CANCELLED = 75
    TERMINATED = 76
    WORKER_LOST = 77
