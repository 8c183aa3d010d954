"""A call that waits because as many calls to its domain are out as may."""

from __future__ import annotations

from coordinator.processing.v1.processing_pb2 import WaitReason

from instructors.base import BaseInstructor


class TurnWait:
    """What such a call says of itself.

    Args:
        key: of its step.
        since_us: since when it waits, in microseconds since the Unix epoch.
    """

    __slots__ = ("_instructor", "_key", "_out", "since_us")

    def __init__(self, instructor: BaseInstructor, key: str, since_us: int) -> None:
        self._instructor, self._key, self.since_us = instructor, key, since_us
        self._out = instructor.turns.out

    def reason(self) -> int:
        """LIMIT; 0 once it has its turn."""
        return WaitReason.WAIT_REASON_LIMIT if self._instructor.turns.waits(self._key) else 0

    def position(self) -> int:
        """0: it is in no model's queue."""
        return 0

    def text(self) -> str:
        """For people."""
        return f"waits for its turn: {self._out} calls are out"

    def recall(self) -> None:
        """Takes the call back, if it has no turn yet: its `run` raises NotSent."""
        self._instructor.turns.recall(self._key)
