"""A batch as it runs: a bar with counts on a terminal, plain lines where nobody looks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import IO, Self

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.cli.batch_events import News, left, progress_text, rate, snapshot_text
from processing_service.cli.batch_tables import batch_state, counts_text, done
from processing_service.cli.output import is_terminal


async def follow(updates: AsyncIterator[pb.WatchProcessingBatchResponse], stream: IO[str]) -> None:
    """Shows the updates on the stream until they end."""
    with BatchBar(stream) if is_terminal(stream) else BatchLines(stream) as view:
        async for update in updates:
            view.show(update)


class BatchLines(AbstractContextManager["BatchLines"]):
    """A line for what is news, and when a tenth more of the cells is done."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._news = stream, News()
        self._tenth = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.flush()

    def show(self, update: pb.WatchProcessingBatchResponse) -> None:
        """Prints one update, or nothing if it tells nothing new."""
        match update.WhichOneof("update"):
            case "snapshot":
                self._tenth = _tenth(update.snapshot.counts)
                self._print(snapshot_text(update.snapshot))
            case "event" if text := self._news.of(update.event):
                moment = update.event.occurred_at.ToDatetime().isoformat(timespec="milliseconds")
                self._print(f"{moment}Z {text}")
            case "batch_progress":
                self._progress(update.batch_progress)

    def _progress(self, progress: pb.BatchProgress) -> None:
        tenth = _tenth(progress.counts)
        if tenth > self._tenth and done(progress.counts) < progress.counts.total:
            self._print(", ".join(filter(None, (progress_text(progress.counts), rate(progress), left(progress)))))
        self._tenth = tenth

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class BatchBar(AbstractContextManager["BatchBar"]):
    """A bar for all cells, the counts and the rate below it, and a line above them for what is worth keeping."""

    def __init__(self, stream: IO[str]) -> None:
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.text import Text

        self._news, self._rate = News(), ""
        state = TextColumn("{task.description}", markup=False)
        percent, time_left = TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.fields[left]}", markup=False)
        bar = BarColumn(bar_width=None)
        self._progress = Progress(state, bar, MofNCompleteColumn(), percent, time_left, expand=True)
        self._task = self._progress.add_task("", left="", visible=False)
        self._below = Text()
        self._live = Live(Group(self._progress, self._below), console=Console(file=stream, highlight=False))

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, update: pb.WatchProcessingBatchResponse) -> None:
        """Draws one update."""
        match update.WhichOneof("update"):
            case "snapshot":
                self._say(snapshot_text(update.snapshot))
                self._state(update.snapshot.state)
                self._draw(update.snapshot.counts)
            case "event":
                self._say(self._news.of(update.event))
                self._state(update.event.batch_state)
                self._draw(update.event.counts)
            case "batch_progress":
                self._rate = rate(update.batch_progress)
                self._progress.update(self._task, left=left(update.batch_progress))
                self._draw(update.batch_progress.counts)

    def _state(self, state: pb.BatchState.ValueType) -> None:
        """Only while it runs there is a pace."""
        self._progress.update(self._task, description=batch_state(state), visible=True)
        if state != pb.BATCH_STATE_RUNNING:
            self._rate = ""
            self._progress.update(self._task, left="")

    def _draw(self, counts: pb.BatchCounts) -> None:
        self._progress.update(self._task, completed=done(counts), total=counts.total)
        self._below.plain = ", ".join(filter(None, (counts_text(counts), self._rate)))

    def _say(self, text: str) -> None:
        if text:
            self._live.console.print(text, markup=False, soft_wrap=True)


def _tenth(counts: pb.BatchCounts) -> int:
    return done(counts) * 10 // counts.total if counts.total else 0
