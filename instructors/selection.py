"""Which sessions a selector of the contract means."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import SessionSelector

from processing_service.engine.managers.sessions import MAX_LABELS
from processing_service.engine.records import SessionState
from processing_service.engine.store.base import SessionFilter
from processing_service.wire.errors import invalid


def selected(selector: SessionSelector, tenant: str) -> SessionFilter:
    """The sessions of a tenant that a selector matches. Raises CoordinatorError: FIELD_INVALID."""
    return SessionFilter(
        tenant=tenant,
        workflow_id=selector.workflow_id,
        model_id=selector.model_id,
        batch_id=selector.batch_id,
        states=tuple(_state(state) for state in sorted(set(selector.states)) if state),
        labels=tuple(sorted(_few(selector.labels).items())),
    )


def _few(labels: Mapping[str, str]) -> Mapping[str, str]:
    if len(labels) > MAX_LABELS:
        text = f"{len(labels)} labels, a session has at most {MAX_LABELS}"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "selector.labels", text)
    return labels


def _state(number: int) -> SessionState:
    try:
        return SessionState(number)
    except ValueError:
        text = f"{number} is no state of a session"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "selector.states", text) from None
