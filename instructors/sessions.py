"""Reads what is stored of sessions: one, many, their histories."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from instructors.listing import listed
from instructors.selection import selected
from instructors.views import event_of, receipts_of, row_view, session_of, steps_of
from instructors.waits import add_waits
from processing_service.engine.definitions import Definition
from processing_service.engine.managers.sessions import SessionManager
from processing_service.engine.recovery import restored_aside
from processing_service.engine.refusals import not_stored
from processing_service.engine.roster import Roster
from processing_service.engine.store.base import ArtifactStore, SessionFilter, SessionRow, SessionStore
from processing_service.wire.callcontext import current
from processing_service.wire.errors import Code, CoordinatorError, invalid
from processing_service.wire.pages import fit, list_of, make_token, page_size, read_number

_FIRST_SECOND: Final = -62_135_596_800
_LAST_SECOND: Final = 253_402_300_799
"""Of google.protobuf.Timestamp."""


class SessionReader:
    """Shows sessions as they are durable.

    Args:
        artifacts: where results go that somebody asks for and that were small enough to stand in the history.
    """

    def __init__(
        self,
        store: SessionStore,
        sessions: SessionManager,
        roster: Roster,
        artifacts: ArtifactStore,
        now_us: Callable[[], int],
        owner: str,
    ) -> None:
        self._store, self._sessions, self._roster, self._artifacts = store, sessions, roster, artifacts
        self._now_us, self._owner = now_us, owner

    async def row(self, session_id: str, tenant: str) -> SessionRow:
        """What the store has of a session. Raises CoordinatorError: SESSION_NOT_FOUND, SESSION_NOT_STORED."""
        live = self._roster.live(session_id, tenant)
        if live is not None and not live.number:
            raise not_stored(session_id)
        return await self._store.read(session_id, tenant)

    def brief(self, row: SessionRow) -> pb.Session:
        """A session without its steps."""
        return row_view(row, self._now_us(), self._owner)

    async def first(self, request_id: str, digest: bytes, tenant: str) -> str:
        """The session that a request_id made; empty if none. Raises CoordinatorError: REQUEST_ID_REUSED."""
        return await self._store.first(request_id, digest, tenant)

    async def read(self, session_id: str, tenant: str) -> pb.Session:
        """A session with its steps. Raises as `row`."""
        await self.row(session_id, tenant)
        session, _ = await self.snapshot(session_id, tenant, keep_results=True)
        return session

    async def snapshot(
        self, session_id: str, tenant: str, *, keep_results: bool = False
    ) -> tuple[pb.Session, Mapping[int, str]]:
        """A session with its steps, and step_id by index.

        Args:
            keep_results: put small results into the artifact store, so that their references can be followed.
        """
        row, records = await self._store.load(session_id, tenant)
        try:
            definition = self._sessions.definition_of(row)
        except CoordinatorError:  # an operation is gone: the session is shown without its steps
            return row_view(row, self._now_us(), self._owner), {}
        state = await restored_aside(row, definition.plan, records)
        session = session_of(row.start, state, row.result, self._now_us(), self._owner)
        session.steps.extend(steps_of(definition, state))
        session.receipts.extend(receipts_of(records, definition, session_id))
        if live := self._roster.live(session_id, tenant):
            session.progress = live.fraction()
            add_waits(session.steps, live)
        if keep_results:
            for step in state.steps:
                if step.output is not None and not step.output.digest:
                    await self._artifacts.put(step.output.data, type_name=step.output.type_name)
        return session, _step_ids(definition)

    def _step_ids(self, row: SessionRow) -> Mapping[int, str]:
        """step_id by index; none if an operation is gone."""
        try:
            return _step_ids(self._sessions.definition_of(row))
        except CoordinatorError:
            return {}

    async def page(self, request: pb.GetProcessingSessionsRequest) -> pb.GetProcessingSessionsResponse:
        """Sessions, newest first, as `listed`. Raises CoordinatorError: PAGE_TOKEN_INVALID, FIELD_INVALID."""
        size = page_size(request.page_size)
        asked = pb.GetProcessingSessionsRequest()
        asked.CopyFrom(request)
        asked.ClearField("page_size")
        asked.ClearField("page_token")
        which = list_of(asked)
        before = read_number(which, request.page_token)
        chosen = _filter(request, current().tenant)
        rows = await self._store.page(chosen, before, size + 1)
        now_us = self._now_us()
        shown = fit((self._listed(row, now_us) for row in rows), size)
        response = pb.GetProcessingSessionsResponse(sessions=shown)
        if len(rows) > len(shown):
            response.next_page_token = make_token(which, str(rows[len(shown) - 1].number))
        total = await self._store.count(chosen)
        if total is not None:
            response.total_count = total
        return response

    def _listed(self, row: SessionRow, now_us: int) -> pb.Session:
        session = listed(row_view(row, now_us, self._owner))
        if not row.state.terminal and (live := self._roster.live(row.start.session_id, row.start.tenant)):
            session.progress = live.fraction()
        return session

    async def events(self, request: pb.GetProcessingSessionEventsRequest) -> pb.GetProcessingSessionEventsResponse:
        """History, oldest first. Raises as `row`; SEQUENCE_OUT_OF_RANGE, PAGE_TOKEN_INVALID."""
        tenant, size = current().tenant, page_size(request.page_size)
        row = await self.row(request.session_id, tenant)
        check_sequence(request.after_sequence, row.last_sequence)
        which = list_of(pb.GetProcessingSessionEventsRequest(session_id=request.session_id))
        after = read_number(which, request.page_token) or request.after_sequence
        records = await self._store.records(request.session_id, tenant, after, size + 1)
        step_ids = self._step_ids(row)
        shown = fit((event_of(record, request.session_id, step_ids) for record in records), size)
        response = pb.GetProcessingSessionEventsResponse(events=shown)
        if len(records) > len(shown):
            response.next_page_token = make_token(which, str(shown[-1].sequence))
        return response


def _step_ids(definition: Definition) -> Mapping[int, str]:
    return {index: step.step_id for index, step in enumerate(definition.plan.steps)}


def check_sequence(after: int, last: int) -> None:
    """Raises CoordinatorError: SEQUENCE_OUT_OF_RANGE if `after` is past the end of the history."""
    if not 0 <= after <= last:
        raise CoordinatorError(
            Code.OUT_OF_RANGE,
            ErrorReason.ERROR_REASON_SEQUENCE_OUT_OF_RANGE,
            f"after_sequence {after} is outside of the history, which ends with {last}",
            metadata={"after_sequence": str(after), "last_sequence": str(last)},
        )


def _filter(request: pb.GetProcessingSessionsRequest, tenant: str) -> SessionFilter:
    return selected(request.selector, tenant)._replace(
        parent_session_id=request.parent_session_id,
        created_after_us=_moment("created_after", request.created_after),
        created_before_us=max(1, _moment("created_before", request.created_before))
        if request.HasField("created_before")
        else 0,
    )


def _moment(field_path: str, stamp: Timestamp) -> int:
    """Microseconds since the Unix epoch; 0 if it is unset. Raises CoordinatorError FIELD_INVALID."""
    if not _FIRST_SECOND <= stamp.seconds <= _LAST_SECOND:
        text = "must be from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, field_path, text)
    return stamp.seconds * 1_000_000 + stamp.nanos // 1000
