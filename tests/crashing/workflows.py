"""The workflows of the load, and what a model of the semantics has to know of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_HEAD: Final = """
parameters:
  text: {value_type: STRING, default_value: x}
  titles: {value_type: STRING, is_list: true, default_value: []}
  names: {value_type: STRING, is_list: true, default_value: [p, q, r, s]}
  go: {value_type: BOOLEAN, default_value: true}
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """A workflow: its text, and the steps that each step needs."""

    workflow_id: str
    needs: Mapping[str, tuple[str, ...]]
    steps: str
    output: str
    foreach: str = ""
    """The step that makes one call an item; at most two at the same time."""
    child: str = ""
    """The step that is a session of its own."""

    @property
    def source(self) -> str:
        """The definition as text."""
        outputs = f"outputs:\n  text: {{value: '{self.output}'}}"
        return f"workflow_id: {self.workflow_id}{_HEAD}steps:\n{self.steps}\n{outputs}"


def _greet(step_id: str, name: str, more: str = "", titles: bool = False, extra: str = "") -> str:
    fields = f'person_name: "{name}"' + (', titles: "${parameters.titles}"' if titles else "") + extra
    retry = "retry: {initial_delay: 0.02s}"
    return f"  - {{step_id: {step_id}, operation: greetings.greet, {retry}, parameters: {{{fields}}}{more}}}"


def _shapes() -> tuple[Shape, ...]:
    first, chain = _greet("a", "${parameters.text}"), {"a": (), "b": ("a",), "c": ("b",)}
    last = _greet("c", "${steps.b.greeting}")
    picture = ', picture: "${steps.a.picture}"'
    both = "${steps.a.greeting + '|' + steps.b.greeting}"
    child = "{workflow_id: line, parameters: {text: '${steps.a.greeting}', titles: '${parameters.titles}'}}"
    line = "\n".join([first, _greet("b", "${steps.a.greeting}", titles=True), last])
    parallel = [first, _greet("b", "${parameters.text}", titles=True), _greet("c", both)]
    each = _greet("b", "${item}", ', foreach: {items: "${parameters.names}", max_parallel: 2}', titles=True)
    maybe = _greet("b", "${steps.a.greeting}", ', condition: "${parameters.go}"', titles=True)
    below = f"  - {{step_id: b, operation: processing.post_workflow_execute, parameters: {child}}}"
    large = [_greet("a", "${parameters.text}", titles=True), _greet("b", "${steps.a.greeting}", extra=picture), last]
    impatient = _greet("b", "${steps.a.greeting}", ", timeout: 0.15s", titles=True).replace(
        "{initial_delay: 0.02s}", "{max_attempts: 1}"
    )
    return (
        Shape("line", chain, line, "${steps.c.greeting}"),
        Shape("parallel", {"a": (), "b": (), "c": ("a", "b")}, "\n".join(parallel), "${steps.c.greeting}"),
        Shape("each", {"a": (), "b": ()}, "\n".join([first, each]), "${steps.b.greeting}", foreach="b"),
        Shape(
            "maybe",
            {"a": (), "b": ("a",), "c": ("a", "b")},
            "\n".join([first, maybe, _greet("c", "${steps.a.greeting}", ", depends_on: [b]")]),
            "${steps.c.greeting}",
        ),
        Shape(
            "above",
            chain,
            "\n".join([first, below, _greet("c", "${steps.b.session.outputs.text}")]),
            "${steps.c.greeting}",
            child="b",
        ),
        Shape("large", chain, "\n".join(large), "${steps.c.greeting}"),
        Shape("impatient", chain, "\n".join([first, impatient, last]), "${steps.c.greeting}"),
    )


SHAPES: Final = {shape.workflow_id: shape for shape in _shapes()}
"""By workflow_id; `line` stands before the workflow that has it as a step."""
IMPATIENCE_S: Final = 0.15
"""Timeout of the step `b` of `impatient`, in seconds."""
