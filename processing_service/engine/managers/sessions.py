"""Sessions: how one may begin, and when one may go."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import AdmissionClass, PostWorkflowExecuteRequest, Workflow
from google.protobuf.duration_pb2 import Duration

from processing_service.engine.base import SessionContext
from processing_service.engine.definitions import Definition
from processing_service.engine.ids import check_id
from processing_service.engine.managers.settings import SessionSettings
from processing_service.engine.managers.workflows import WorkflowManager
from processing_service.engine.priorities import priority_of
from processing_service.engine.records import Durability, Plan
from processing_service.engine.store.base import CellKey, SessionRow, SessionStart
from processing_service.wire.errors import Code, CoordinatorError, invalid
from processing_service.wire.telemetry.hooks import Telemetry

MAX_DEPTH: Final = 8
"""Sessions inside sessions, at most."""
MAX_LABELS: Final = 32
"""Of one session, at most."""
_MAX_LABEL_CHARACTERS: Final = 256
_ADMISSION_CLASSES: Final = frozenset(AdmissionClass.values())


class Parent(NamedTuple):
    """The session whose step another is."""

    session_id: str
    depth: int
    deadline_us: int
    durability: Durability


class CellOrigin(NamedTuple):
    """The batch that a session is a cell of."""

    tenant: str
    batch_id: str
    batch_number: int
    cell: int
    item_id: str
    model_pin: str
    """Version and digest of its model, `version@digest`; empty if it has none."""
    durability: Durability


class Beginning(NamedTuple):
    """A session that may begin."""

    start: SessionStart
    context: SessionContext
    plan: Plan

    def pinned(self) -> Beginning:
        """The same with the model that its context was given since."""
        return self._replace(start=self.start._replace(model_pin=self.context.model_pin))


class SessionManager:
    """Guards the rules of a session's beginning and end.

    Args:
        ids: makes session ids.
        now_us: microseconds since the Unix epoch.
        telemetry: names the span of a session.
    """

    def __init__(
        self,
        workflows: WorkflowManager,
        settings: SessionSettings,
        ids: Callable[[], str],
        now_us: Callable[[], int],
        telemetry: Telemetry,
    ) -> None:
        self._workflows, self._settings, self._ids, self._now_us = workflows, settings, ids, now_us
        self._telemetry = telemetry

    def begin(
        self,
        request: PostWorkflowExecuteRequest,
        definition: Definition,
        parameters: Mapping[str, Any],
        *,
        digest: bytes,
        tenant: str,
        traceparent: str,
        parent: Parent | None = None,
    ) -> Beginning:
        """The session that a request asks for.

        Args:
            parameters: by name, as the definition reads them from the request.
            digest: SHA-256 of the request as it came.
            parent: the session whose step it is.

        Raises:
            CoordinatorError: FIELD_INVALID, SESSION_TOO_DEEP.
        """
        durability = _durability(request, parent)
        depth = parent.depth + 1 if parent else 0
        if depth > MAX_DEPTH:
            raise _too_deep(depth)
        session_id = check_id("session_id", request.session_id) if request.session_id else self._ids()
        now_us = self._now_us()
        start = SessionStart(
            session_id=session_id,
            tenant=tenant,
            workflow_id=definition.workflow.workflow_id,
            definition_digest=bytes.fromhex(definition.digest),
            definition=definition.source,
            request=request.SerializeToString(),
            created_us=now_us,
            budget_us=self._budget_us(request, definition.workflow, parent, now_us),
            request_id=request.request_id
            if parent or not request.request_id
            else check_id("request_id", request.request_id),
            request_digest=digest if request.request_id else b"",
            model_id=request.model_id,
            priority=priority_of(request.priority),
            admission_class=_admission_class(request.admission_class),
            durability=durability,
            labels=labels_text(request.labels),
            parent_session_id=parent.session_id if parent else "",
            depth=depth,
            traceparent=traceparent,
        )
        context = self._context(start, definition, request, parameters)
        return Beginning(start, context, definition.plan)

    def begin_cell(
        self, request: PostWorkflowExecuteRequest, definition: Definition, digest: bytes, origin: CellOrigin
    ) -> Beginning:
        """The session of a cell, whose batch was checked when it was created.

        Args:
            digest: of the definition, 32 bytes.
        """
        now_us = self._now_us()
        start = SessionStart(
            request.session_id,
            origin.tenant,
            request.workflow_id,
            digest,
            definition.source,
            request.SerializeToString(),
            now_us,
            self._budget_us(request, definition.workflow, None, now_us),
            "",
            b"",
            request.model_id,
            request.priority,
            request.admission_class,
            origin.durability,
            "",
            "",
            origin.batch_id,
            origin.item_id,
            0,
            "",
            origin.model_pin,
            origin.batch_number,
            origin.cell,
        )
        parameters = definition.parameter_values(request).values
        return Beginning(start, self._context(start, definition, request, parameters), definition.plan)

    def _budget_us(
        self, request: PostWorkflowExecuteRequest, workflow: Workflow, parent: Parent | None, now_us: int
    ) -> int:
        if request.HasField("timeout"):
            asked = self.asked_budget_us(request.timeout)
        elif workflow.HasField("timeout"):
            asked = min(workflow.timeout.ToMicroseconds(), round(self._settings.max_timeout * 1e6))
        else:
            asked = round(self._settings.default_timeout * 1e6)
        return min(asked, parent.deadline_us - now_us) if parent else asked

    def asked_budget_us(self, timeout: Duration, field_path: str = "timeout") -> int:
        """The budget that a caller asks for, in microseconds. Raises CoordinatorError: FIELD_INVALID."""
        asked = timeout.ToMicroseconds()
        if not 0 < asked <= round(self._settings.max_timeout * 1e6):
            text = f"must be more than 0 s and at most {self._settings.max_timeout:g} s"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, field_path, text)
        return asked

    def revive(self, row: SessionRow) -> tuple[SessionContext, Plan]:
        """Context and plan of a stored session. Raises CoordinatorError: WORKFLOW_INVALID if an operation is gone."""
        start = row.start
        definition = self.definition_of(row)
        request = PostWorkflowExecuteRequest.FromString(start.request)
        parameters = definition.parameter_values(request).values
        return self._context(start, definition, request, parameters), definition.plan

    def _context(
        self,
        start: SessionStart,
        definition: Definition,
        request: PostWorkflowExecuteRequest,
        parameters: Mapping[str, Any],
    ) -> SessionContext:
        traceparent = self._telemetry.child(start.traceparent, start.session_id)
        return SessionContext(
            start.session_id,
            start.tenant,
            definition,
            request,
            parameters,
            start.parent_session_id,
            start.depth,
            traceparent,
            start.traceparent,
            start.model_pin,
            start.batch_id,
            CellKey(start.batch_number, start.cell) if start.batch_number else None,
        )

    def definition_of(self, row: SessionRow) -> Definition:
        """The definition that a stored session started with. Raises as `revive`."""
        workflow = Workflow.FromString(row.start.definition)
        workflow.digest = row.start.definition_digest.hex()
        return self._workflows.compiled(workflow)


def request_digest(request: bytes) -> bytes:
    """SHA-256 by which two requests with one request_id are compared."""
    return hashlib.sha256(request).digest()


def _durability(request: PostWorkflowExecuteRequest, parent: Parent | None) -> Durability:
    if parent is not None and parent.durability is Durability.NONE:
        return Durability.NONE
    try:
        asked = Durability(request.durability or Durability.FULL)
    except ValueError:
        text = f"{request.durability} is none; take FULL, RESULT or NONE"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "durability", text) from None
    if asked is Durability.FULL:
        return asked
    if request.background:
        text = f"{asked.name} is for the foreground: a background session is known by its record"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "durability", text)
    if asked is Durability.NONE:
        if request.request_id:
            text = "NONE stores nothing, so a request_id cannot be kept"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "durability", text)
        return asked
    # The start is not waited for only where it cannot clash with another.
    return Durability.FULL if request.request_id or request.session_id else asked


def _too_deep(depth: int) -> CoordinatorError:
    return CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_SESSION_TOO_DEEP,
        f"sessions may be nested {MAX_DEPTH} deep, this one would be {depth}; does a workflow call itself?",
        metadata={"depth": str(depth), "max_depth": str(MAX_DEPTH)},
    )


def _admission_class(asked: AdmissionClass.ValueType) -> int:
    if asked not in _ADMISSION_CLASSES:
        text = f"{asked} is none; take INTERACTIVE, BACKGROUND or BATCH"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "admission_class", text)
    return asked


def labels_text(asked: Mapping[str, str]) -> str:
    """Labels as a JSON object; empty = none. Raises CoordinatorError: FIELD_INVALID."""
    if not asked:
        return ""
    labels = dict(asked)
    if len(labels) > MAX_LABELS or any(len(key) + len(value) > _MAX_LABEL_CHARACTERS for key, value in labels.items()):
        text = f"at most {MAX_LABELS} labels of {_MAX_LABEL_CHARACTERS} characters each"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "labels", text)
    return json.dumps(labels, sort_keys=True, ensure_ascii=False)
