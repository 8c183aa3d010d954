"""Workflows as lines of text and as mermaid."""

from coordinator.processing.v1 import processing_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from processing_service.cli.graph import Link, links_of, to_ascii, to_mermaid


def step(step_id, needs=(), **fields):
    made = pb.WorkflowStep(step_id=step_id, operation="model.get_model", **fields)
    made.parameters.update({f"field{index}": f"${{steps.{need}.model}}" for index, need in enumerate(needs)})
    return made


def drawn(*steps):
    return list(to_ascii(links_of(pb.Workflow(steps=steps))))


def test_needs_come_from_everywhere():
    """A step waits for those in its bindings at any depth, its condition, its items and its depends_on."""
    last = step("last", condition="steps.a.done && has(steps.b)", depends_on=["c"])
    last.foreach.items = "${steps.d.items}"
    last.parameters.update({"inputs": {"x": ["text", "${ steps.e.value + 1 }"]}, "note": "see steps.f"})

    links = {link.step_id: link for link in links_of(pb.Workflow(steps=[last, *map(step, "abcdef")]))}

    assert links["last"].needs == tuple("abcde")
    assert links["last"].notes == ("for each of steps.d.items", "if steps.a.done && has(steps.b)")


def test_sequence():
    """Steps in a row stand below each other."""
    assert drawn(step("a"), step("b", "a"), step("c", "b")) == [
        "*  a  model.get_model",
        "*  b  model.get_model",
        "*  c  model.get_model",
    ]


def test_fork_and_join():
    """A fork opens a lane for each follower, a join closes them."""
    assert drawn(step("a"), step("b", "a"), step("c", "a"), step("d", "bc")) == [
        "*  a  model.get_model",
        "+-+",
        "* |  b  model.get_model",
        "| *  c  model.get_model",
        "+-+",
        "*  d  model.get_model",
    ]


def test_lanes_cross():
    """A lane that a join passes stays a lane."""
    assert drawn(step("a"), step("b", "a"), step("c", "a"), step("d", "ab"), step("e", "c")) == [
        "*  a  model.get_model",
        "+-+-+",
        "* | |  b  model.get_model",
        "| * |  c  model.get_model",
        "+-|-+",
        "* |  d  model.get_model",
        "*  e  model.get_model",
    ]


def test_order_of_the_definition_does_not_matter():
    """A step that is written before those that it waits for is drawn behind them."""
    assert [link.step_id for link in links_of(pb.Workflow(steps=[step("b", "a"), step("a")]))] == ["a", "b"]


def test_cycle_is_drawn_too():
    """A definition that was not checked may have a cycle; every step is drawn once."""
    assert len(links_of(pb.Workflow(steps=[step("a", "b"), step("b", "a")]))) == 2


def test_mermaid():
    """Each step is a node with its operation and notes, each need an arrow; quotes are escaped."""
    links = links_of(pb.Workflow(steps=[step("a"), step("end", "a", condition='steps.a.x == "y"')]))

    assert list(to_mermaid(links)) == [
        "flowchart TD",
        '  step_a["a<br/>model.get_model"]',
        '  step_end["end<br/>model.get_model<br/>if steps.a.x == #quot;y#quot;"]',
        "  step_a --> step_end",
    ]


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 12))
    needs = [draw(st.sets(st.integers(0, max(0, n - 1)), max_size=n)) for n in range(count)]
    return [Link(f"s{n}", "model.get_model", tuple(f"s{m}" for m in sorted(needs[n])), ()) for n in range(count)]


@given(graphs())
def test_every_step_is_drawn_once(links):
    """Whatever the graph, there is one star a step, in order, and lanes never run past the longest row's steps."""
    stars = [line for line in to_ascii(links) if "*" in line]

    assert [line.split("*")[1].split("model.")[0].strip(" |") for line in stars] == [link.step_id for link in links]
