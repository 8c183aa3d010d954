"""The retry policies of foreign clients wait as long as the coordinator asks, and give up with its words."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.clients.conftest import Ready
from tests.clients.languages import Program, run
from tests.clients.refusing import Refusing, listening
from tests.clients.test_tours import PAGE
from tests.clients.told import Tour

pytestmark = [pytest.mark.clients, pytest.mark.timeout(1200)]
DELAY_S = 0.4
LONGEST_BACKOFF_S = 0.24
"""Of all the programs: 0.2 s after the third attempt, and a fifth more."""


async def test_a_client_obeys_the_delay_that_it_is_told(program: Program, ready: Ready) -> None:
    """Each attempt comes no earlier than asked, which is later than the client's own backoff; then it is served."""
    await ready(program)
    servicer = Refusing(refusals=2, delay=DELAY_S)

    async with listening(servicer) as address:
        ended = await run(program, address, PAGE)

    tour = Tour.of(ended.output)
    assert tour.workflows == ("read-text Read",)
    assert [attempts for _, attempts in servicer.lists] == ["", "1", "2"]
    assert [attempts for _, attempts in servicer.starts] == ["", "1", "2", "3"]
    for arrivals in (servicer.lists, servicer.starts):
        assert min(later - earlier for (earlier, _), (later, _) in pairwise(arrivals)) >= DELAY_S > LONGEST_BACKOFF_S
    (refusal,) = tour.refusals
    assert (ended.code, refusal.split(" ")[:2]) == (1, ["14", "STORE_UNAVAILABLE"]), ended
    assert refusal.endswith("not yet")  # grpc-go has words of its own before it
    assert tour.delays == (f"{DELAY_S * 1000:.0f}",)
