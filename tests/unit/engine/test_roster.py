"""Who runs, by name, request, parent and batch; tenants do not see each other's."""

from __future__ import annotations

from dataclasses import replace

from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest

from processing_service.engine.live import Live
from processing_service.engine.records import Durability, Plan
from processing_service.engine.roster import Roster
from processing_service.engine.state import initial
from processing_service.engine.store.base import CellKey
from tests.engines import context, now_us


def live_of(session_id: str, **changes: object) -> Live:
    plan = Plan.of(())
    state = initial(session_id, plan, now_us(), 1_000_000)
    return Live(replace(context(session_id), **changes), plan, state, Durability.FULL)  # type: ignore[arg-type]


def roster_of(*lives: Live) -> Roster:
    roster = Roster()
    for live in lives:
        roster.add(live)
    return roster


def test_a_name_is_that_of_its_tenant() -> None:
    one, other = live_of("s", tenant="a"), live_of("s", tenant="b")
    roster = roster_of(one, other)

    assert (roster.live("s", "a"), roster.live("s", "b"), roster.live("s", "")) == (one, other, None)
    assert (len(roster), list(roster)) == (2, [one, other])


def test_who_comes_later_takes_the_place_of_another_of_its_name() -> None:
    """And what becomes of the other does not touch it."""
    first, second = live_of("s"), live_of("s")
    roster = roster_of(first, second)
    roster.remove(first)

    assert (first in roster, second in roster, len(roster)) == (False, True, 1)
    roster.remove(second)
    assert len(roster) == 0


def test_sessions_may_end_while_all_are_looked_at() -> None:
    roster = roster_of(live_of("a"), live_of("b"))
    for live in roster:
        roster.remove(live)

    assert len(roster) == 0


def test_a_session_is_found_by_the_request_that_began_it() -> None:
    asked = PostWorkflowExecuteRequest(request_id="r")
    live = live_of("s", tenant="a", request=asked)
    roster = roster_of(live_of("other"), live)

    assert (roster.begun_by("r", "a"), roster.begun_by("r", ""), roster.begun_by("q", "a")) == (live, None, None)


def test_children_are_those_of_the_parent_in_its_tenant() -> None:
    child, stranger = live_of("c", parent_session_id="p"), live_of("d", parent_session_id="p", tenant="a")

    assert roster_of(live_of("p"), child, stranger).children("p", "") == [child]


def test_cells_are_those_of_the_batch() -> None:
    cells = [live_of("b.0", cell=CellKey(1, 0)), live_of("b.1", cell=CellKey(1, 1))]
    roster = roster_of(live_of("s"), live_of("c.0", cell=CellKey(2, 0)), *cells)

    assert (roster.cells(1), roster.cells(3)) == (cells, [])
