"""A session as it runs: bars on a terminal, plain lines where nobody looks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.cli.events import event_text, is_item_news, snapshot_text
from processing_service.cli.output import is_terminal
from processing_service.cli.tables import seconds, session_state, step_name

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


async def follow(updates: AsyncIterator[pb.WatchProcessingSessionResponse], stream: IO[str]) -> None:
    """Shows the updates on the stream until they end."""
    with Bars(stream) if is_terminal(stream) else Lines(stream) as view:
        async for update in updates:
            view.show(update)


class Lines(AbstractContextManager["Lines"]):
    """A line for each event but the good ones of single items, and when a tenth more of the whole is done."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._tenth = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.flush()

    def show(self, update: pb.WatchProcessingSessionResponse) -> None:
        """Prints one update, or nothing if it tells nothing new."""
        match update.WhichOneof("update"):
            case "snapshot":
                self._print(f"session {update.snapshot.session_id} {snapshot_text(update.snapshot)}")
            case "event" if not is_item_news(update.event):
                moment = update.event.occurred_at.ToDatetime().isoformat(timespec="milliseconds")
                self._print(f"{moment}Z {event_text(update.event)}")
            case "session_progress":
                self._progress(update.session_progress)

    def _progress(self, progress: pb.SessionProgress) -> None:
        tenth = int(progress.fraction * 10)
        if tenth > self._tenth:
            self._tenth = tenth
            self._print(f"{round(progress.fraction * 100)}% done")

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Bars(AbstractContextManager["Bars"]):
    """A bar for the session and one for each step with items; a line above them for what is worth keeping."""

    def __init__(self, stream: IO[str]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        text = TextColumn("{task.description}", markup=False)
        self._progress: Progress = Progress(
            text, BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), console=Console(file=stream, highlight=False)
        )
        self._stack = ExitStack()
        self._whole: TaskID = self._progress.add_task("session", total=1.0)
        self._items: dict[str, TaskID] = {}
        self._started: dict[str, datetime] = {}

    def __enter__(self) -> Self:
        self._stack.enter_context(self._progress)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def show(self, update: pb.WatchProcessingSessionResponse) -> None:
        """Draws one update."""
        match update.WhichOneof("update"):
            case "snapshot":
                self._snapshot(update.snapshot)
            case "event":
                self._event(update.event)
            case "session_progress":
                text = update.session_progress.step_id or "session"
                self._progress.update(self._whole, completed=update.session_progress.fraction, description=text)

    def _snapshot(self, session: pb.Session) -> None:
        self._progress.update(self._whole, completed=session.progress, description=session.workflow_id)
        for step in session.steps:
            if step.items_total and not step.HasField("item_index"):
                self._bar(step.step_id, step.items_total)
                self._progress.update(self._items[step.step_id], completed=step.items_done)

    def _event(self, event: pb.SessionEvent) -> None:
        name = step_name(event)
        if event.kind == pb.EVENT_KIND_STEP_STARTED:
            self._started[name] = event.occurred_at.ToDatetime()
        elif event.kind == pb.EVENT_KIND_STEP_EXPANDED:
            self._bar(event.step_id, event.items_total)
        elif is_item_news(event):
            self._bar(event.step_id, None)
            self._progress.advance(self._items[event.step_id])
        elif event.kind == pb.EVENT_KIND_STEP_SUCCEEDED:
            self._say(f"{name} {self._took(name, event)}".rstrip())
        else:
            self._say(event_text(event))
        if event.kind == pb.EVENT_KIND_SESSION_ENDED:
            done = 1.0 if event.session_state == pb.SESSION_STATE_SUCCEEDED else None
            self._progress.update(self._whole, completed=done, description=session_state(event.session_state))

    def _bar(self, step_id: str, total: int | None) -> None:
        if step_id not in self._items:
            self._items[step_id] = self._progress.add_task(step_id, total=total)

    def _took(self, name: str, event: pb.SessionEvent) -> str:
        started = self._started.get(name)
        return seconds((event.occurred_at.ToDatetime() - started).total_seconds()) if started else ""

    def _say(self, text: str) -> None:
        self._progress.console.print(text, markup=False)
