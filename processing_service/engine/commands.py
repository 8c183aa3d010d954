"""What a client's command does to a session: pause, resume, cancel, terminate, retry. Pure: standard library only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from processing_service.engine.events import Cancel, Command
from processing_service.engine.reasons import Code, Reason
from processing_service.engine.records import Action, Fault, Kind, SessionState
from processing_service.engine.turn import Turn, flights

LEGAL: Final[dict[Action, frozenset[SessionState]]] = {
    Action.PAUSE: frozenset({SessionState.PENDING, SessionState.RUNNING}),
    Action.RESUME: frozenset({SessionState.PAUSING, SessionState.PAUSED}),
    Action.CANCEL: frozenset(state for state in SessionState if state < SessionState.CANCELLING),
    Action.TERMINATE: frozenset(state for state in SessionState if not state.terminal),
    Action.RETRY: frozenset(state for state in SessionState if state > SessionState.SUCCEEDED),
}
"""In which states a client may ask for what."""


def obey(turn: Turn, event: Command) -> None:
    """Applies a command, or notes that it is not legal now."""
    state = turn.state
    facts: dict[str, Any] = {
        "action": event.action,
        "request_id": event.request_id,
        "actor": event.actor,
        "elapsed_us": max(0, event.at - event.accepted_at),
    }
    if state.state not in LEGAL[event.action]:
        turn.note(Kind.COMMAND_REFUSED, message=event.comment, **facts)
        return
    _BY_ACTION[event.action](turn, event, facts | {"message": event.comment})


def _pause(turn: Turn, event: Command, facts: dict[str, Any]) -> None:
    turn.note(Kind.COMMAND_APPLIED, SessionState.PAUSING, **facts)
    turn.settle()


def _resume(turn: Turn, event: Command, facts: dict[str, Any]) -> None:
    turn.note(Kind.COMMAND_APPLIED, SessionState.RUNNING, **facts)
    turn.launch()


def _cancel(turn: Turn, event: Command, facts: dict[str, Any]) -> None:
    turn.note(Kind.COMMAND_APPLIED, SessionState.CANCELLING, **facts)
    for index, step in enumerate(turn.state.steps):
        turn.actions.extend(Cancel(index, item, attempt) for item, attempt in flights(step))
    turn.settle()


def _terminate(turn: Turn, event: Command, facts: dict[str, Any]) -> None:
    turn.note(Kind.COMMAND_APPLIED, **facts)
    turn.finish(SessionState.TERMINATED, Fault(Code.CANCELLED, Reason.TERMINATED, "the session was terminated"))


def _retry(turn: Turn, event: Command, facts: dict[str, Any]) -> None:
    budget = event.timeout_us or turn.state.budget_us
    turn.note(
        Kind.COMMAND_APPLIED,
        SessionState.RUNNING,
        session_attempt=turn.state.attempt + 1,
        delay_us=budget,
        **facts,
    )
    turn.launch()


_BY_ACTION: Final[dict[Action, Callable[[Turn, Command, dict[str, Any]], None]]] = {
    Action.PAUSE: _pause,
    Action.RESUME: _resume,
    Action.CANCEL: _cancel,
    Action.TERMINATE: _terminate,
    Action.RETRY: _retry,
}
