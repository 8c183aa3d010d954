"""Stores and engines that are broken on purpose: what the harness has to find, or it proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final


def acknowledge_before_commit() -> None:
    """The writer tells whoever waits for a session that it is durable, and writes it a moment later."""
    import time

    from processing_service.engine.store.sqlite.session_work import SessionWork
    from processing_service.engine.store.sqlite.writer import Writer

    commit = Writer._commit

    def early(writer: Writer, group: list[Any]) -> Any:
        for work in group:
            if isinstance(work, SessionWork):
                writer._loop.call_soon_threadsafe(work.settle, None)
        time.sleep(0.03)
        return commit(writer, group)

    Writer._commit = early  # type: ignore[method-assign]


def name_results_before_they_are_stored() -> None:
    """A large result is recorded at once and written to the artifact store a moment later."""
    import asyncio
    import hashlib

    from coordinator.payload.v1.payload_pb2 import Artifact

    from processing_service.engine.store.artifacts import FileArtifacts

    put, writes = FileArtifacts.put, set()

    async def late(artifacts: FileArtifacts, data: bytes, **kinds: str) -> Artifact:
        async def write() -> None:
            await asyncio.sleep(0.2)
            await put(artifacts, data, **kinds)

        writes.add(asyncio.ensure_future(write()))
        return Artifact(digest=hashlib.sha256(data).hexdigest(), size_bytes=len(data))

    FileArtifacts.put = late  # type: ignore[method-assign]


def watch_leaves_one_out() -> None:
    """Watch swallows the third event of each session."""
    from coordinator.processing.v1.processing_pb2 import SessionEvent

    from instructors.event_batches import Piece

    make = Piece.__init__

    def lossy(piece: Piece, events: Sequence[SessionEvent]) -> None:
        make(piece, events)
        piece.events = [event for event in events if event.sequence != 3]

    Piece.__init__ = lossy  # type: ignore[method-assign]


def take_up_nothing() -> None:
    """What was running when the process died is forgotten until somebody asks for it."""
    from processing_service.engine.recovery import Recovery

    async def recover(recovery: Recovery) -> int:
        return 0

    Recovery.recover = recover  # type: ignore[method-assign]


def keep_quiet_of_cells() -> None:
    """The end of a cell is stored, and the history of its batch does not hear of it."""
    from processing_service.engine.batches.records import BatchRecord
    from processing_service.engine.store.sqlite.session_work import SessionWork

    def nothing(work: SessionWork) -> dict[int, list[BatchRecord]]:
        return {}

    SessionWork._cell_ends = nothing  # type: ignore[method-assign]


FAULTS: Final[dict[str, Callable[[], None]]] = {
    fault.__name__.replace("_", "-"): fault
    for fault in (
        acknowledge_before_commit,
        name_results_before_they_are_stored,
        watch_leaves_one_out,
        take_up_nothing,
        keep_quiet_of_cells,
    )
}
"""By name."""
