"""What happened to a session, in a few words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.cli.tables import percent, seconds, session_state, step_name


def snapshot_text(session: pb.Session) -> str:
    """`of read-text is RUNNING, 40%`; one that waits has none: its state may be older than its progress."""
    done = "" if session.state == pb.SESSION_STATE_PENDING else f", {percent(session)}"
    return f"of {session.workflow_id} is {session_state(session.state)}{done}"


def event_text(event: pb.SessionEvent) -> str:
    """`decode succeeded`; an event of a kind that is not listed here by its name."""
    known = _TEXTS.get(event.kind)
    if known is not None:
        return known(event)
    words = pb.EventKind.Name(event.kind).removeprefix("EVENT_KIND_").replace("_", " ").lower()
    return f"{words} {event.message}".rstrip()


def is_item_news(event: pb.SessionEvent) -> bool:
    """Whether one item of many went its way: nothing to tell one by one."""
    return event.HasField("item_index") and event.kind in _PLAIN


def _step(done: str) -> Callable[[pb.SessionEvent], str]:
    return lambda event: f"{step_name(event)} {done}{_attempt(event)}"


def _attempt(event: pb.SessionEvent) -> str:
    return f", attempt {event.attempt}" if event.attempt > 1 else ""


def _retry(event: pb.SessionEvent) -> str:
    delay = seconds(event.retry_delay.ToTimedelta().total_seconds()) or "0 s"
    return f"{step_name(event)} failed, again in {delay}: {event.failure.message}"


def _ended(event: pb.SessionEvent) -> str:
    why = f": {event.failure.message}" if event.HasField("failure") else ""
    return f"session ended {session_state(event.session_state)}{why}"


_PLAIN: Final = (
    pb.EVENT_KIND_STEP_STARTED,
    pb.EVENT_KIND_STEP_SUCCEEDED,
    pb.EVENT_KIND_STEP_SKIPPED,
    pb.EVENT_KIND_STEP_REUSED,
)

_TEXTS: Final[dict[int, Callable[[pb.SessionEvent], str]]] = {
    pb.EVENT_KIND_STEP_STARTED: _step("started"),
    pb.EVENT_KIND_STEP_SUCCEEDED: _step("succeeded"),
    pb.EVENT_KIND_STEP_SKIPPED: _step("skipped"),
    pb.EVENT_KIND_STEP_CANCELLED: _step("cancelled"),
    pb.EVENT_KIND_STEP_FAILED: lambda event: f"{step_name(event)} failed: {event.failure.message}",
    pb.EVENT_KIND_STEP_RETRY_SCHEDULED: _retry,
    pb.EVENT_KIND_STEP_REUSED: lambda event: f"{step_name(event)} took the output of {event.reused_from_step_key}",
    pb.EVENT_KIND_STEP_EXPANDED: lambda event: f"{step_name(event)} has {event.items_total} items",
    pb.EVENT_KIND_SESSION_ENDED: _ended,
    pb.EVENT_KIND_SESSION_STATE_CHANGED: lambda event: f"session is {session_state(event.session_state)}",
}
