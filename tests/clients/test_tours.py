"""Generated clients of other languages do the same against one coordinator, each by its own generator and library."""

from __future__ import annotations

import json
from collections import Counter
from difflib import SequenceMatcher

import pytest

from processing_service.client import CoordinatorClient
from tests.clients.conftest import Ready
from tests.clients.languages import ROOT, Program, run
from tests.clients.told import Tour

pytestmark = [pytest.mark.clients, pytest.mark.timeout(1200)]
PAGE = ROOT / "examples" / "pages" / "04-photo.jpg"
READ_BY_HAND = [line["text"] for line in json.loads(PAGE.with_suffix(".json").read_text("utf-8"))["lines"]]
VIOLATION = (
    "steps[0].operation line 4:5: there is no operation 'postprocessing.post_postprocessing_exekute'; "
    "did you mean 'postprocessing.post_postprocessing_execute'?"
)


async def test_a_client_does_the_whole_tour(program: Program, ready: Ready, coordinator: str) -> None:
    """It lists, reads a page as the project's own client does, watches without a gap, controls, decodes a refusal."""
    await ready(program)

    ended = await run(program, coordinator, PAGE)
    async with CoordinatorClient(coordinator) as client:
        session = await client.execute_workflow("read-text", {"page": PAGE})

    assert (ended.code, ended.errors) == (0, ""), ended
    tour = Tour.of(ended.output)
    assert tour.workflows == ("read-text Text lines of a page", "three-echoes Says it three times")
    assert tour.sequences == tuple(range(1, len(tour.sequences) + 1))
    assert (tour.kinds[0], tour.kinds[-1]) == ("EVENT_KIND_SESSION_STARTED", "EVENT_KIND_SESSION_ENDED")
    assert Counter(tour.kinds)["EVENT_KIND_STEP_SUCCEEDED"] >= 15
    assert "\n".join(tour.lines) == client.outputs_of(session)["text"]
    assert SequenceMatcher(None, "\n".join(tour.lines), "\n".join(READ_BY_HAND)).ratio() > 0.98
    assert tour.controls == tuple(f"CONTROL_ACTION_{action}" for action in ("PAUSE", "RESUME", "CANCEL"))
    assert tour.states == ("SESSION_STATE_SUCCEEDED", "SESSION_STATE_CANCELLED")
    assert [refusal.split(" ")[:2] for refusal in tour.refusals] == [["3", "WORKFLOW_INVALID"]]
    assert tour.violations == (VIOLATION,)
    assert tour.delays == ()
