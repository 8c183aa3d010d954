"""What of a batch's updates is worth a line, in a few words."""

from __future__ import annotations

from typing import Final

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.cli.batch_tables import batch_state, cell_name, done, ended_text, root, standing, unsuccessful
from processing_service.cli.tables import seconds, session_state

_CELLS: Final = 20
"""Cells without success that are told one by one; more of them are counted."""


class News:
    """Tells what is new: cells that succeed are counted, not told, and a reason is told once."""

    def __init__(self) -> None:
        self._cells = 0
        self._reason = ""

    def of(self, event: pb.BatchEvent) -> str:
        """A line; empty if the event is not worth one."""
        match event.kind:
            case pb.BATCH_EVENT_KIND_BATCH_CREATED:
                return "batch created"
            case pb.BATCH_EVENT_KIND_CELL_ENDED:
                return self._cell(event.cell)
            case pb.BATCH_EVENT_KIND_CANARY_FAILED:
                self._reason = event.message
                return event.message or "the canary did not pass"
            case pb.BATCH_EVENT_KIND_BATCH_STATE_CHANGED:
                return f"batch is {batch_state(event.batch_state)}{self._why(event)}"
            case pb.BATCH_EVENT_KIND_BATCH_ENDED:
                return f"batch ended {batch_state(event.batch_state)}: {ended_text(event.counts)}{self._why(event)}"
        words = pb.BatchEventKind.Name(event.kind).removeprefix("BATCH_EVENT_KIND_").replace("_", " ").lower()
        return f"{words}{self._why(event)}"

    def _cell(self, cell: pb.BatchCell) -> str:
        if cell.state == pb.SESSION_STATE_SUCCEEDED:
            return ""
        self._cells += 1
        if self._cells > _CELLS:
            return "further cells without success are counted only" if self._cells == _CELLS + 1 else ""
        state = session_state(cell.state).replace("_", " ").lower()
        why = f": {root(cell.failure).message}" if cell.HasField("failure") else ""
        return f"{cell_name(cell)} {state}{why}"

    def _why(self, event: pb.BatchEvent) -> str:
        if not event.message or event.message == self._reason:
            return ""
        self._reason = event.message
        return f": {event.message}"


def snapshot_text(batch: pb.Batch) -> str:
    """`batch b is RUNNING, 24 of 40 cells done, 1 failed`."""
    return f"batch {batch.batch_id} is {standing(batch)}, {progress_text(batch.counts)}"


def progress_text(counts: pb.BatchCounts) -> str:
    """`24 of 40 cells done, 1 failed`."""
    return ", ".join(filter(None, [f"{done(counts)} of {counts.total} cells done", unsuccessful(counts)]))


def rate(progress: pb.BatchProgress) -> str:
    """`1.3 cells/s`, `6 cells/min`; empty while it cannot be told."""
    if progress.cells_per_second <= 0:
        return ""
    slow = progress.cells_per_second < 1
    return f"{progress.cells_per_second * 60:.2g} cells/min" if slow else f"{progress.cells_per_second:,.1f} cells/s"


def left(progress: pb.BatchProgress) -> str:
    """`12 s left`; empty while it cannot be told."""
    whole = seconds(round(progress.time_left.ToMicroseconds() / 1e6))
    return f"{whole.replace('.0 s', ' s')} left" if whole else ""
