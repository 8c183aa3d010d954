"""What is said to a start, a command, or a removal that a session may not get."""

from __future__ import annotations

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.commands import LEGAL
from processing_service.engine.events import Command
from processing_service.engine.records import SessionState
from processing_service.engine.store.base import SessionRow
from processing_service.wire.errors import Code, CoordinatorError, Unavailable


def check_ended(session_id: str, state: SessionState) -> None:
    """Raises CoordinatorError SESSION_STATE_ILLEGAL for a session that may not be removed: it has not ended."""
    if not state.terminal:
        raise CoordinatorError(
            Code.FAILED_PRECONDITION,
            ErrorReason.ERROR_REASON_SESSION_STATE_ILLEGAL,
            f"session {session_id!r} is {state.name}; cancel it first (`session cancel`, or PostSessionControl), "
            "or delete it with `--force` (`force` of the request)",
            metadata={"session_id": session_id, "state": state.name, "legal_actions": "force"},
        )


def check_no_cell(row: SessionRow, wish: str, advice: str) -> None:
    """Raises CoordinatorError SESSION_STATE_ILLEGAL for the session of a cell: its batch counts on it.

    Args:
        wish: what was to be done to it.
        advice: what can be done to its batch in its place.
    """
    if row.start.batch_id:
        raise CoordinatorError(
            Code.FAILED_PRECONDITION,
            ErrorReason.ERROR_REASON_SESSION_STATE_ILLEGAL,
            f"session {row.start.session_id!r} is a cell of batch {row.start.batch_id!r} and is not {wish} alone; "
            f"{advice}",
            metadata={
                "session_id": row.start.session_id,
                "state": row.state.name,
                "legal_actions": "nothing",
                "batch_id": row.start.batch_id,
            },
        )


def draining() -> Unavailable:
    """UNAVAILABLE: SERVER_DRAINING."""
    return Unavailable(ErrorReason.ERROR_REASON_SERVER_DRAINING, "the server is shutting down", retry_delay=1.0)


def taken(session_id: str) -> CoordinatorError:
    """ALREADY_EXISTS: SESSION_ALREADY_EXISTS."""
    return CoordinatorError(
        Code.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_SESSION_ALREADY_EXISTS,
        f"there is a session {session_id!r} already; choose another session_id, or leave it empty",
        metadata={"resource_type": "session", "resource_name": session_id},
    )


def not_stored(session_id: str) -> CoordinatorError:
    """NOT_FOUND: SESSION_NOT_STORED."""
    return CoordinatorError(
        Code.NOT_FOUND,
        ErrorReason.ERROR_REASON_SESSION_NOT_STORED,
        f"session {session_id!r} runs with durability NONE: there is no record of it; start it with FULL",
        metadata={"resource_type": "session", "resource_name": session_id},
    )


def check_legal(session_id: str, state: SessionState, command: Command) -> None:
    """Raises CoordinatorError SESSION_STATE_ILLEGAL that names the state and what would be legal in it."""
    if state in LEGAL[command.action]:
        return
    legal = ", ".join(action.name for action, states in LEGAL.items() if state in states) or "nothing"
    raise CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_SESSION_STATE_ILLEGAL,
        f"session {session_id!r} is {state.name}: {command.action.name} is not possible, {legal} would be",
        metadata={"session_id": session_id, "state": state.name, "legal_actions": legal},
    )
