"""Results that need no call, over random workflows; tests/integration/test_reuse.py has the cases one by one."""

from __future__ import annotations

import pytest

from benchmarks.reuse import count
from instructors.reuse import runs_before
from processing_service.engine.records import Output, Plan, StepPlan, StepState
from processing_service.engine.state import Items, Step

RAN = Step(StepState.SUCCEEDED, output=Output("a.B", b""))
TAKEN = Step(StepState.SUCCEEDED, output=Output("a.B", b""), reused_from="f/a#1")


@pytest.mark.slow
async def test_a_change_makes_the_calls_that_it_reaches_and_no_stale_result_comes_out(tmp_path):
    """1,000 random graphs with planted stale results: calls made = size of the downstream closure, as planned."""
    came = await count(tmp_path, graphs=1_000, seed=5)
    assert came.wrong == []
    assert came.calls == came.closure > 1_500


@pytest.mark.parametrize(
    ("first", "second", "runs"),
    [
        pytest.param(RAN, TAKEN, True, id="far before"),
        pytest.param(TAKEN, RAN, True, id="just before"),
        pytest.param(TAKEN, TAKEN, False, id="all taken"),
        pytest.param(RAN, Step(StepState.SKIPPED), True, id="skipped, for what ran"),
        pytest.param(TAKEN, Step(StepState.SKIPPED), False, id="skipped, for what was taken"),
        pytest.param(TAKEN, Step(StepState.FAILED), True, id="optional and failed"),
        pytest.param(TAKEN, Step(StepState.SUCCEEDED, items=Items(2, 1, 2, reused=2)), False, id="all items taken"),
        pytest.param(TAKEN, Step(StepState.SUCCEEDED, items=Items(2, 1, 2, reused=1)), True, id="an item ran"),
        pytest.param(TAKEN, Step(StepState.SUCCEEDED, items=Items(0, 1)), False, id="no items"),
    ],
)
def test_a_step_is_behind_a_call_if_any_before_it_made_one(first, second, runs):
    """However far; a step that was skipped passes on what is before it."""
    plan = Plan.of((StepPlan("a"), StepPlan("b", (0,)), StepPlan("c", (1,))))
    assert runs_before(plan, [first, second, Step()], 2) is runs
