"""What `decide` says of given events stays the same: histories that are stored were decided so, and go on so.

GOLDEN=write pytest tests/unit/engine/test_golden.py writes the file anew, for a new version of the rules.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from processing_service.engine.decide import CANCEL_GRACE_US, decide
from processing_service.engine.events import (
    Command,
    Concluded,
    Ended,
    Event,
    Failed,
    Recovered,
    Resolved,
    Started,
    Succeeded,
    Wake,
)
from processing_service.engine.records import RULES, Action, Fault, Outcome, Output, Plan, Record, RetryPlan, StepPlan
from processing_service.engine.state import initial

BUDGET = 600_000_000
OUTPUT = Output("test.Result", b"1")
GONE, WRONG = Fault(14, 80, "gone"), Fault(3, 21, "wrong")
TWICE = RetryPlan(max_attempts=2)
SCENARIOS: dict[str, tuple[list[StepPlan], list[Event]]] = {
    "a chain": (
        [StepPlan("a"), StepPlan("b", (0,))],
        [Started(1), Succeeded(2, 0, -1, 1, OUTPUT), Succeeded(3, 1, -1, 1, OUTPUT), Concluded(4)],
    ),
    "branches, a late and a repeated result": (
        [StepPlan("a"), StepPlan("b"), StepPlan("c", (0, 1))],
        [
            Started(1),
            Succeeded(2, 1, -1, 1, OUTPUT),
            Succeeded(2, 1, -1, 1, OUTPUT),
            Failed(3, 0, -1, 1, WRONG),
            Succeeded(4, 0, -1, 1, OUTPUT),
        ],
    ),
    "a condition and a foreach": (
        [StepPlan("a", conditional=True), StepPlan("b", (0,), foreach=True, max_parallel=2)],
        [
            Started(1),
            Resolved(2, 0, True, 0),
            Resolved(3, 1, False, 3),
            Succeeded(4, 1, 1, 1, OUTPUT),
            Failed(5, 1, 0, 1, GONE),
            Wake(10_000_000),
            Succeeded(10_000_001, 1, 2, 1, OUTPUT),
            Succeeded(10_000_002, 1, 0, 2, OUTPUT),
            Concluded(10_000_003),
        ],
    ),
    "a retry that succeeds, one that does not, an optional step": (
        [StepPlan("a", retry=TWICE), StepPlan("b", (0,), retry=TWICE, optional=True)],
        [
            Started(1),
            Failed(2, 0, -1, 1, GONE),
            Wake(10_000_000),
            Succeeded(10_000_001, 0, -1, 2, OUTPUT),
            Failed(10_000_002, 1, -1, 1, GONE),
            Wake(20_000_000),
            Failed(20_000_001, 1, -1, 2, GONE),
            Concluded(20_000_002),
        ],
    ),
    "a timeout of a step, then of the session": (
        [StepPlan("a", timeout_us=1_000_000, retry=TWICE)],
        [Started(1), Wake(1_000_001), Ended(1_000_002, 0, -1, 1, Outcome.ACKNOWLEDGED), Wake(BUDGET)],
    ),
    "paused, resumed, recovered": (
        [StepPlan("a"), StepPlan("b", (0,))],
        [
            Started(1),
            Command(5, Action.PAUSE, 4, "r-1", "me", "lunch"),
            Succeeded(6, 0, -1, 1, OUTPUT),
            Recovered(7),
            Command(1_000_000, Action.RESUME, 1_000_000, "r-2", "me"),
            Recovered(2_000_000),
            Succeeded(2_000_001, 1, -1, 1, OUTPUT),
            Concluded(2_000_002),
        ],
    ),
    "cancelled: one call ends, one is ignored": (
        [StepPlan("a"), StepPlan("b")],
        [
            Started(1),
            Command(2, Action.CANCEL, 2, "r", "me"),
            Ended(3, 0, -1, 1, Outcome.ACKNOWLEDGED),
            Wake(2 + CANCEL_GRACE_US),
            Succeeded(9_000_000, 1, -1, 1, OUTPUT),
        ],
    ),
    "failed, retried in place, terminated": (
        [StepPlan("a"), StepPlan("b", (0,))],
        [
            Started(1),
            Succeeded(2, 0, -1, 1, OUTPUT),
            Failed(3, 1, -1, 1, WRONG),
            Command(4, Action.RETRY, 4, "r-1", "me", "", 7_000_000),
            Command(5, Action.PAUSE, 5, "r-2", "me"),
            Command(6, Action.RETRY, 6, "r-3", "me"),
            Command(7, Action.TERMINATE, 7, "r-4", "me"),
        ],
    ),
    "outputs that are taken over, of a step and of an item": (
        [StepPlan("a"), StepPlan("b", (0,), foreach=True)],
        [
            Started(1),
            Succeeded(2, 0, -1, 1, OUTPUT, "f/a#1"),
            Resolved(3, 1, False, 2),
            Succeeded(4, 1, 1, 1, OUTPUT, "f/b[0]#3"),
            Succeeded(5, 1, 0, 1, OUTPUT),
            Concluded(6),
        ],
    ),
    "a retry that runs again what depends on an optional step, and what has another model": (
        [
            StepPlan("a", optional=True),
            StepPlan("b", (0,)),
            StepPlan("c"),
            StepPlan("d", (2,), conditional=True),
            StepPlan("e"),
            StepPlan("f"),
        ],
        [
            Started(1),
            Failed(2, 0, -1, 1, WRONG),
            Succeeded(3, 1, -1, 1, OUTPUT),
            Succeeded(4, 2, -1, 1, OUTPUT),
            Resolved(5, 3, True, 0),
            Succeeded(6, 4, -1, 1, OUTPUT),
            Failed(7, 5, -1, 1, WRONG),
            Command(8, Action.RETRY, 8, "r-1", "me", rerun=(2,)),
        ],
    ),
}
_LATER = (", reused_from=''", ", rerun=()")
"""Fields of events that came after the first were written down, where they say nothing."""


def told() -> str:
    """Each event with what came of it: `>` what is to be done, `=` what is written."""
    lines = []
    for name, (steps, events) in SCENARIOS.items():
        plan = Plan.of(steps)
        state = initial("s", plan, 0, BUDGET)
        lines.append(f"# {name}")
        for event in events:
            state, actions, records = decide(plan, state, event)
            lines += [
                _event(event),
                *(f"  > {action!r}" for action in actions),
                *(f"  = {_shown(one)}" for one in records),
            ]
        lines.append("")
    return "\n".join(lines)


def _event(event: Event) -> str:
    text = repr(event)
    for field in _LATER:
        text = text.replace(field, "")
    return text


def _shown(record: Record) -> str:
    """What is not as in every record."""
    return " ".join(
        f"{name}={value!r}" for name, value in record._asdict().items() if value != Record._field_defaults.get(name)
    )


def test_decisions_stay_as_they_were() -> None:
    """Those of this version of the rules, as they were written down with it."""
    file = Path(__file__).parent / "golden" / f"rules-{RULES}.txt"
    now = told()
    if os.environ.get("GOLDEN") == "write":
        file.write_text(now, encoding="utf-8")
        pytest.fail("written anew: look at the difference, then run without GOLDEN")
    assert now.splitlines() == file.read_text(encoding="utf-8").splitlines()
