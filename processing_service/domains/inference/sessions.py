"""Inference sessions: who uses which model, what of theirs is running, and how that is ended.

They live in this process alone and pin nothing: after a restart, a call that names a session of before runs as well.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.domains.models import ModelVersion
from processing_service.wire.errors import Code, CoordinatorError, not_found

_SWEEP_SECONDS: Final = 60.0


@dataclass(eq=False, slots=True)
class InferenceSession:
    """A record of who uses a model."""

    inference_session_id: str
    model: ModelVersion
    workflow_id: str
    session_id: str
    tenant: str
    """Whose session it is: two may name theirs alike."""
    created_at: float
    """Seconds since the epoch."""

    used_at: float = 0.0
    """Seconds since the epoch; 0 if it never ran."""

    run_count: int = 0
    in_flight_count: int = 0


@dataclass(eq=False, slots=True)
class _Run:
    task: asyncio.Task[object]
    inference_session_id: str
    session_id: str
    tenant: str
    is_ended: bool = False


class InferenceSessions:
    """The records, and the runs in flight.

    Args:
        max_sessions: records at the same time.
        idle: seconds without a run after which a record is forgotten.
        now: seconds since the epoch.
    """

    def __init__(self, max_sessions: int, idle: float, now: Callable[[], float] = time.time) -> None:
        self._max_sessions = max_sessions
        self._idle = idle
        self._now = now
        self._sessions: dict[str, InferenceSession] = {}
        self._runs: set[_Run] = set()
        self._swept_at = now()
        self._last_us = 0

    @property
    def in_flight_count(self) -> int:
        """Runs in flight, of a session or of none."""
        return len(self._runs)

    def create(self, model: ModelVersion, workflow_id: str, session_id: str, tenant: str = "") -> InferenceSession:
        """A new record.

        Raises:
            CoordinatorError: SERVER_OVERLOADED when there are too many.
        """
        self._sweep()
        if len(self._sessions) >= self._max_sessions:
            raise CoordinatorError(
                Code.RESOURCE_EXHAUSTED,
                ErrorReason.ERROR_REASON_SERVER_OVERLOADED,
                f"there are {len(self._sessions)} inference sessions, the most that are kept; delete some",
                retry_delay=1.0,
            )
        now = self._now()
        session = InferenceSession(self._new_id(now), model, workflow_id, session_id, tenant, now)
        self._sessions[session.inference_session_id] = session
        return session

    def find(self, inference_session_id: str) -> InferenceSession | None:
        """The record of that id, if there is one."""
        return self._sessions.get(inference_session_id)

    def get(self, inference_session_id: str) -> InferenceSession:
        """The record of that id.

        Raises:
            CoordinatorError: INFERENCE_SESSION_NOT_FOUND.
        """
        session = self._sessions.get(inference_session_id)
        if session is None:
            raise not_found(
                ErrorReason.ERROR_REASON_INFERENCE_SESSION_NOT_FOUND,
                "inference session",
                inference_session_id,
                hint="it was deleted, or the Inference service has restarted since",
            )
        return session

    def select(self, model_id: str = "", session_id: str = "", tenant: str = "") -> list[InferenceSession]:
        """The records of that model and of a tenant's processing session, oldest first; empty = any."""
        return [
            each
            for each in self._sessions.values()
            if model_id in ("", each.model.model_id) and (not session_id or _is_of(each, session_id, tenant))
        ]

    def delete(self, inference_session_id: str, session_id: str, tenant: str = "") -> tuple[int, int]:
        """End a record, or all of a tenant's processing session, and cancel what runs for them.

        Returns:
            Records that were ended, runs that were cancelled.
        """
        gone = [
            each
            for each in self._sessions.values()
            if each.inference_session_id == inference_session_id or _is_of(each, session_id, tenant)
        ]
        for each in gone:
            del self._sessions[each.inference_session_id]
        ids = {inference_session_id, *(each.inference_session_id for each in gone)} - {""}
        runs = [run for run in self._runs if run.inference_session_id in ids or _is_of(run, session_id, tenant)]
        for run in runs:
            run.is_ended = True
            run.task.cancel()
        return len(gone), len(runs)

    @contextmanager
    def running(self, inference_session_id: str, session_id: str, tenant: str = "") -> Iterator[None]:
        """The current task runs a model, for a session or for none.

        Raises:
            CoordinatorError: CANCELLED if its session was deleted meanwhile.
        """
        task = asyncio.current_task()
        assert task is not None
        run = _Run(task, inference_session_id, session_id, tenant)
        session = self._sessions.get(inference_session_id)
        self._runs.add(run)
        if session:
            session.in_flight_count += 1
        try:
            yield
        except asyncio.CancelledError:
            # Cancelled here and not by the caller: the call still owes an answer.
            if run.is_ended and not task.uncancel():
                raise _ended() from None
            raise
        finally:
            self._runs.discard(run)
            if session:
                session.in_flight_count -= 1
                session.run_count += 1
                session.used_at = self._now()

    def _new_id(self, now: float) -> str:
        """Sorts by time: microseconds since the epoch, each used once, then randomness."""
        self._last_us = max(self._last_us + 1, int(now * 1e6))
        return f"is-{self._last_us:014x}-{secrets.token_hex(4)}"

    def _sweep(self) -> None:
        now = self._now()
        if now - self._swept_at < _SWEEP_SECONDS and len(self._sessions) < self._max_sessions:
            return
        self._swept_at = now
        for each in list(self._sessions.values()):
            if not each.in_flight_count and now - max(each.created_at, each.used_at) > self._idle:
                del self._sessions[each.inference_session_id]


def _is_of(each: InferenceSession | _Run, session_id: str, tenant: str) -> bool:
    """Whether it belongs to that processing session; none has an empty id."""
    return bool(session_id) and (each.session_id, each.tenant) == (session_id, tenant)


def _ended() -> CoordinatorError:
    return CoordinatorError(
        Code.CANCELLED, ErrorReason.ERROR_REASON_CANCELLED, "the run was cancelled: its inference session was deleted"
    )
