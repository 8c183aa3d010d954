"""The model of a batch finds what may not stand in its history."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from coordinator.processing.v1 import processing_pb2 as pb

from tests.crashing.batch_model import BatchModel

Fact = tuple[str, str, int]
"""Kind without its prefixes, state of the batch after it, cells that succeeded by then."""
CREATED: Fact = ("BATCH_CREATED", "CREATED", 0)
RUNS: Fact = ("BATCH_STATE_CHANGED", "RUNNING", 0)
ENDS: Sequence[Fact] = (("CELL_ENDED", "RUNNING", 1), ("CELL_ENDED", "RUNNING", 2))
OVER: Fact = ("BATCH_ENDED", "SUCCEEDED", 2)
PAUSES: Fact = ("BATCH_STATE_CHANGED", "PAUSING", 0)


def read(facts: Sequence[Fact], first: int = 1, cells: Sequence[int] = (1, 2), total: int = 2) -> set[str]:
    """The promises that a history breaks, by the model."""
    model, ended = BatchModel("b", 2), iter(cells)
    for sequence, (kind, state, succeeded) in enumerate(facts, first):
        event = pb.BatchEvent(
            sequence=sequence,
            kind=pb.BatchEventKind.Value(f"BATCH_EVENT_KIND_{kind}"),
            batch_state=pb.BatchState.Value(f"BATCH_STATE_{state}"),
            counts=pb.BatchCounts(total=total, succeeded=succeeded, pending=2 - succeeded),
        )
        if kind == "CELL_ENDED":
            event.cell.item_id, event.cell.attempt = f"i{next(ended)}", 1
            event.cell.state = pb.SESSION_STATE_SUCCEEDED
        model.read(event)
    return {fault.partition(":")[0] for fault in model.faults}


def test_a_whole_life_is_no_fault() -> None:
    """Two cells, one after the other."""
    assert read([CREATED, RUNS, *ENDS, OVER]) == set()


@pytest.mark.parametrize(
    ("facts", "promise"),
    [
        pytest.param([CREATED, RUNS, *ENDS, OVER, RUNS], "G2", id="more after a success"),
        pytest.param([CREATED, RUNS, ("CELL_ENDED", "RUNNING", 0)], "G4", id="an end that is not counted"),
        pytest.param([CREATED, RUNS, ("CELL_ENDED", "PAUSED", 1)], "G2", id="a state that no event led to"),
        pytest.param([CREATED, ENDS[0]], "G2", id="a cell before the start"),
        pytest.param([CREATED, PAUSES], "G2", id="a pause before the start"),
        pytest.param([CREATED, RUNS, CREATED], "G2", id="two creations"),
    ],
)
def test_a_fault_is_found(facts: Sequence[Fact], promise: str) -> None:
    """And by the name of the promise that it breaks."""
    assert promise in read(facts)


def test_a_cell_that_ends_twice_is_found() -> None:
    """In the same attempt."""
    assert read([CREATED, RUNS, *ENDS], cells=(1, 1)) == {"G2"}


def test_a_gap_and_counts_that_do_not_add_up_are_found() -> None:
    """Numbers begin with 1, and each event has all cells."""
    assert read([RUNS, *ENDS, OVER], first=2) == {"G5"}
    assert read([CREATED, RUNS], total=3) == {"G4"}
