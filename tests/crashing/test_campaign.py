"""Servers that die at each crash point, three times, keep every promise; those that are broken on purpose are found."""

from __future__ import annotations

import pytest

from tests.crashing.campaign import Campaign
from tests.crashing.points import POINTS
from tests.crashing.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="package")
SEED = 7
QUICK = "call-recorded"


@pytest.mark.parametrize(
    "point", [name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in POINTS]
)
async def test_every_promise_survives_kills_at(point: str, where: Site) -> None:
    """G1 to G7, by the client's log, the domain's count and the histories."""
    report = await Campaign(where, point, SEED).run()

    assert report.faults == []
    assert report.kills >= 3
    assert report.void < report.kills
    assert report.sessions > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "point", "promise"),
    [
        ("acknowledge-before-commit", "before-commit", "G1"),
        ("name-results-before-they-are-stored", "result-recorded", "G1"),
        ("watch-leaves-one-out", "call-recorded", "G5"),
        ("take-up-nothing", "call-recorded", "G1"),
        ("keep-quiet-of-cells", "cell-ended", "G4"),
    ],
)
async def test_a_server_that_is_broken_on_purpose_is_found(fault: str, point: str, promise: str, where: Site) -> None:
    """The harness would see what it looks for."""
    report = await Campaign(where, point, SEED, fault=fault, patience=10.0).run()

    assert any(f": {promise}: " in found for found in report.faults), report.faults
