from __future__ import annotations

from enum import IntEnum

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.engine import records
from processing_service.engine.reasons import Code, Reason
from processing_service.wire import errors


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
    """What `decide` names by number is what it says."""
    assert {reason.name: reason.value for reason in Reason} == {
        reason.name: ErrorReason.Value(f"ERROR_REASON_{reason.name}") for reason in Reason
    }
    assert {code.name: code.value for code in Code} == {code.name: errors.Code[code.name].value for code in Code}
