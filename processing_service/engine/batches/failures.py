"""The failed cells of a batch, and what comes of it once they are more than may be."""

from __future__ import annotations

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.batches.rules import FailureLimit, too_many_failed
from processing_service.engine.batches.workers import Workers


class Failures:
    """Counts them. While they are too many no further cell begins.

    Args:
        total: cells of the batch.
    """

    def __init__(self, limit: FailureLimit, total: int, workers: Workers) -> None:
        self._limit, self._total, self._workers = limit, total, workers
        self.count = 0
        """Since they were last run again."""

    def add(self, failed: int) -> None:
        """So many more have failed; below 0, so many that had do not count: they run again, or nothing is stored."""
        self.count += failed
        if not self._limit.exceeded(self.count, self._total):
            self._open()
        elif not self._workers.closed:
            self._workers.fault = too_many_failed(self.count, self._total, self._limit)

    def _open(self) -> None:
        """Others begin again, if it was for these failures that they did not."""
        fault = self._workers.fault
        if fault is not None and fault.reason == ErrorReason.ERROR_REASON_BATCH_FAILURES_EXCEEDED:
            self._workers.fault = None
