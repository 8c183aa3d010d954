from __future__ import annotations

from enum import IntEnum

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.engine import decide, records, retry
from processing_service.wire.errors import Code


@pytest.mark.parametrize(
    ("ours", "contract", "prefix"),
    [
        (records.SessionState, pb.SessionState, "SESSION_STATE_"),
        (records.StepState, pb.StepState, "STEP_STATE_"),
        (records.Kind, pb.EventKind, "EVENT_KIND_"),
        (records.Action, pb.ControlAction, "CONTROL_ACTION_"),
        (records.Outcome, pb.CallOutcome, "CALL_OUTCOME_"),
        (records.Durability, pb.Durability, "DURABILITY_"),
    ],
)
def test_the_numbers_are_the_contracts(ours: type[IntEnum], contract: type, prefix: str) -> None:
    """The engine's own enums, which need no protobuf, have every value of the contract."""
    expected = {name.removeprefix(prefix): number for name, number in contract.items() if number}

    assert {value.name: value.value for value in ours} == expected


def test_the_reasons_are_the_contracts() -> None:
    """`decide` names reasons by number."""
    reasons = {
        "STEP_TIMED_OUT": decide._STEP_TIMED_OUT,
        "STEP_FAILED": decide._STEP_FAILED,
        "WORKER_LOST": decide._WORKER_LOST,
        "DEADLINE_EXCEEDED": decide._BUDGET_OVER,
        "CANCELLED": decide._WAS_CANCELLED,
        "TERMINATED": decide._WAS_TERMINATED,
    }

    assert reasons == {name: ErrorReason.Value(f"ERROR_REASON_{name}") for name in reasons}
    never = {
        "PAYLOAD_TOO_LARGE",
        "MODEL_BUDGET_EXCEEDED",
        "BUDGET_TOO_SHORT",
        "STEP_QUEUED_TOO_LONG",
        "STEP_FAILED",
    }
    assert {ErrorReason.Value(f"ERROR_REASON_{name}") for name in never} == retry._NEVER
    assert {Code.RESOURCE_EXHAUSTED, Code.ABORTED, Code.UNAVAILABLE} == retry._AGAIN
