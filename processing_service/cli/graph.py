"""The steps of a workflow and what each waits for, as lines of text and as mermaid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.json_format import MessageToDict

_STEP: Final = re.compile(r"\bsteps\.([a-z0-9_]+)")
_BINDING: Final = re.compile(r"\A\$\{(.*)\}\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Link:
    """One step with those it waits for."""

    step_id: str
    operation: str
    needs: tuple[str, ...]
    """Steps that have to end first, in the order of the definition."""
    notes: tuple[str, ...]
    """What is special: `for each ...`, `if ...`, `optional`."""

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def links_of(workflow: pb.Workflow) -> list[Link]:
    """The steps, each behind those that it waits for; else in the order of the definition."""
    names = [step.step_id for step in workflow.steps]
    links = {step.step_id: _link(step, names) for step in workflow.steps}
    ordered: dict[str, Link] = {}
    while len(ordered) < len(links):
        ready = [name for name in links if name not in ordered and all(need in ordered for need in links[name].needs)]
        # a definition that was not checked may have a cycle: break it at its first step
        name = ready[0] if ready else next(name for name in links if name not in ordered)
        ordered[name] = links[name]
    return list(ordered.values())


def to_mermaid(links: Sequence[Link]) -> Iterator[str]:
    """A flowchart, top down. Nodes are called `step_<step_id>`, because some words mean something to mermaid."""
    yield "flowchart TD"
    for link in links:
        text = "<br/>".join([link.step_id, link.operation, *link.notes]).replace('"', "#quot;")
        yield f'  step_{link.step_id}["{text}"]'
    for link in links:
        for need in link.needs:
            yield f"  step_{need} --> step_{link.step_id}"


def to_ascii(links: Sequence[Link]) -> Iterator[str]:
    """A line for each step; the lanes on its left lead from the steps it waits for, as in a graph of commits."""
    waiting = {link.step_id: [other.step_id for other in links if link.step_id in other.needs] for link in links}
    lanes: list[str] = []
    for link in links:
        arriving = [index for index, target in enumerate(lanes) if target == link.step_id]
        place = arriving[0] if arriving else len(lanes)
        if len(arriving) > 1:
            yield _joints(lanes, arriving, place)
        lanes = [target for index, target in enumerate(lanes) if index not in arriving[1:]]
        leaving = waiting[link.step_id]
        row = ["|"] * len(lanes) + ["*"] * (place == len(lanes))
        row[place] = "*"
        yield f"{' '.join(row)}  {_label(link)}"
        lanes[place : place + 1] = leaving
        if len(leaving) > 1:
            yield _joints(lanes, range(place, place + len(leaving)), place)


def _joints(lanes: Sequence[str], joined: Sequence[int], place: int) -> str:
    """A row in which the lanes from the first to the last of `joined` are tied together at `place`."""
    last = max(joined)
    cells = ["+" if index in joined else "|" for index in range(len(lanes))]
    return "".join(cell + ("-" if place <= index < last else " ") for index, cell in enumerate(cells)).rstrip()


def _label(link: Link) -> str:
    notes = f"  ({'; '.join(link.notes)})" if link.notes else ""
    return f"{link.step_id}  {link.operation}{notes}"


def _link(step: pb.WorkflowStep, names: Sequence[str]) -> Link:
    texts = [step.condition, *(found[1] for found in map(_BINDING.match, _texts(step)) if found)]
    needed = set(step.depends_on).union(*(_STEP.findall(text) for text in texts)) - {step.step_id}
    return Link(step.step_id, step.operation, tuple(name for name in names if name in needed), tuple(_notes(step)))


def _texts(step: pb.WorkflowStep) -> Iterator[str]:
    yield step.foreach.items
    yield from _strings(MessageToDict(step.parameters))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _notes(step: pb.WorkflowStep) -> Iterator[str]:
    if step.HasField("foreach"):
        binding = _BINDING.match(step.foreach.items)
        yield f"for each of {binding[1].strip() if binding else step.foreach.items}"
    if step.condition:
        yield f"if {step.condition}"
    if step.optional:
        yield "optional"
