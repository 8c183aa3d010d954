"""What a client's command does to a session: pause, resume, cancel, terminate, retry. Pure: standard library only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from processing_service.engine.events import Cancel, Command
from processing_service.engine.projection import kept
from processing_service.engine.reasons import Code, Reason
from processing_service.engine.records import Action, Fault, Kind, Plan, SessionState
from processing_service.engine.state import State, flights
from processing_service.engine.turn import Turn

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
        rerun=rerun_of(turn.plan, turn.state, event.rerun),
        **facts,
    )
    turn.launch()


def rerun_of(plan: Plan, state: State, changed: Iterable[int] = ()) -> tuple[int, ...]:
    """Steps that ended well and that a RETRY runs again all the same, by index, in their order.

    An output that was made from another one does not outlive it: what depends on a step that runs again, does so too.

    Args:
        changed: those whose outputs do not hold any more by themselves.
    """
    waiting = [index for index, step in enumerate(state.steps) if not kept(step)]
    again = set(waiting)
    waiting += changed
    again.update(changed)
    while waiting:
        for follower in plan.followers[waiting.pop()]:
            if follower not in again:
                again.add(follower)
                waiting.append(follower)
    return tuple(index for index, step in enumerate(state.steps) if index in again and kept(step))


_BY_ACTION: Final[dict[Action, Callable[[Turn, Command, dict[str, Any]], None]]] = {
    Action.PAUSE: _pause,
    Action.RESUME: _resume,
    Action.CANCEL: _cancel,
    Action.TERMINATE: _terminate,
    Action.RETRY: _retry,
}
