"""What is said of each step before anything runs, where no former session is named; with one, see tests/integration."""

from __future__ import annotations

from random import Random

import pytest

from benchmarks.graphs import Graph, Node
from benchmarks.reuse import Rig
from instructors.reuse_plans import RERUN, REUSE

CHAIN = (
    Node(1, "first", frozenset(), frozenset({0})),
    Node(1, "second", frozenset({0}), frozenset()),
    Node(2, "beside", frozenset(), frozenset({1})),
)


def graph(*values: bytes) -> Graph:
    """Two steps of one model behind each other, one of another beside them."""
    return Graph("g", CHAIN, values, ("a" * 64, "b" * 64, "c" * 64), pins=False)


@pytest.fixture
async def rig(tmp_path):
    """An engine whose models count their runs."""
    rig = Rig(tmp_path)
    yield rig
    await rig.close()


async def test_a_plan_says_what_stored_results_serve(rig):
    """As far as inputs are known before the run; behind a step that runs they are not."""
    steps = graph(b"1", b"2").steps(True, Random(1))
    nothing = await rig.plan(graph(b"1", b"2"), steps, enabled=True)
    assert {one.reuse for one in nothing.values()} == {RERUN}
    assert nothing["s0"].reason == "no session has computed it from these inputs"
    assert nothing["s1"].reason == "step 's0' before it runs, so that its inputs are not known yet"

    await rig.run(graph(b"1", b"2"), "a", steps, enabled=True)
    whole = await rig.plan(graph(b"1", b"2"), steps, enabled=True)
    assert {one.reuse for one in whole.values()} == {REUSE}
    assert whole["s1"].reason == "operation, inputs and model are those of a/s1#1"
    part = await rig.plan(graph(b"1", b"3"), steps, enabled=True)
    assert {name: one.reuse for name, one in part.items()} == {"s0": REUSE, "s1": REUSE, "s2": RERUN}


async def test_a_plan_says_who_does_not_ask_for_it(rig):
    """The workflow, or the step."""
    await rig.run(graph(b"1", b"2"), "a", graph(b"1", b"2").steps(True, Random(1)), enabled=True)
    off = await rig.plan(graph(b"1", b"2"), graph(b"1", b"2").steps(True, Random(1)), enabled=False)
    assert off["s0"].reason == "its workflow does not set reuse_enabled"
    impure = await rig.plan(graph(b"1", b"2"), graph(b"1", b"2").steps(False, Random(1)), enabled=True)
    assert impure["s0"].reason == "it is not marked pure"


async def test_a_former_session_that_is_gone_leaves_everything_to_be_run(rig):
    """As after a restart: nothing fails, and the plan says why."""
    steps = graph(b"1", b"2").steps(False, Random(1))
    await rig.run(graph(b"1", b"2"), "a", steps, enabled=False)
    assert await rig.store.delete_session("a", "t")
    came = await rig.run(graph(b"1", b"2"), "b", steps, enabled=False, former="a")
    assert came.called == came.planned == {"s0", "s1", "s2"}
    plan = await rig.plan(graph(b"1", b"2"), steps, enabled=False, former="a")
    assert plan["s0"].reason == "session 'a' cannot be read any more"
