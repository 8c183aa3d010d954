"""The model of the semantics finds what may not stand in a history."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from coordinator.processing.v1 import processing_pb2 as pb

from tests.crashing.model import Model
from tests.crashing.workflows import SHAPES

RUNNING, ENDED = pb.SESSION_STATE_RUNNING, pb.SESSION_STATE_SUCCEEDED
Fact = tuple[str, str, pb.SessionState.ValueType]
"""Kind without its prefix, step, state after it."""
STARTED: Fact = ("SESSION_STARTED", "", RUNNING)
A_LIFE: Sequence[Fact] = (
    STARTED,
    *((kind, step, RUNNING) for step in "abc" for kind in ("STEP_STARTED", "STEP_SUCCEEDED")),
    ("SESSION_ENDED", "", ENDED),
)


def read(facts: Sequence[Fact], first: int = 1, action: pb.ControlAction.ValueType = 0) -> list[str]:
    """The promises that a history breaks, by the model."""
    model = Model("s", SHAPES["line"])
    for sequence, (kind, step_id, state) in enumerate(facts, first):
        event = pb.SessionEvent(
            sequence=sequence,
            kind=pb.EventKind.Value(f"EVENT_KIND_{kind}"),
            session_attempt=1,
            step_id=step_id,
            attempt=1 if step_id else 0,
            session_state=state,
            control_action=action,
            request_id="r" if kind.startswith("COMMAND") else "",
        )
        model.read(event)
    return [fault.partition(":")[0] for fault in model.faults]


def test_a_whole_life_is_no_fault() -> None:
    """Three steps, one after the other."""
    assert read(A_LIFE) == []


@pytest.mark.parametrize(
    ("facts", "promise"),
    [
        pytest.param([*A_LIFE, ("SESSION_ENDED", "", ENDED)], "G2", id="two ends"),
        pytest.param([*A_LIFE, ("SESSION_RECOVERED", "", ENDED)], "G2", id="taken up after its end"),
        pytest.param([*A_LIFE[:3], A_LIFE[2]], "G3", id="a result twice"),
        pytest.param([*A_LIFE[:3], A_LIFE[1]], "G3", id="a step again that has its result"),
        pytest.param([STARTED, ("STEP_STARTED", "b", RUNNING)], "G2", id="a step before what it needs"),
        pytest.param([STARTED, ("SESSION_ENDED", "", ENDED)], "G2", id="an end without its steps"),
        pytest.param([STARTED, STARTED], "G2", id="two starts"),
    ],
)
def test_a_fault_is_found(facts: Sequence[Fact], promise: str) -> None:
    """And by the name of the promise that it breaks."""
    assert set(read(facts)) == {promise}


def test_a_gap_is_found() -> None:
    """Numbers begin with 1."""
    assert read(A_LIFE, first=2) == ["G5"]


def test_a_command_that_is_applied_twice_is_found() -> None:
    """PAUSE once more, with the same request_id."""
    pause = ("COMMAND_APPLIED", "", pb.SESSION_STATE_PAUSING)

    assert read([STARTED, pause, pause], action=pb.CONTROL_ACTION_PAUSE) == ["G6"]
