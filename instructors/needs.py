"""What each step of a session will need, as far as the parameters tell before it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest

from instructors.plans import Planned, PlannedStep
from processing_service.engine.definitions import CompiledStep
from processing_service.engine.definitions.bindings import Scope
from processing_service.engine.definitions.paths import ABSENT, Unfit
from processing_service.wire.errors import CoordinatorError

_LOADING: Final = frozenset(
    {"inference.post_inference_execute", "inference.post_inference_load", "model.post_model_load"}
)
"""Operations that have a model in memory."""
_LATER: Final = re.compile(r"\b(steps|item|item_index)\b")
"""What bindings name that is not there before the run."""
_STEPS: Final = re.compile(r"\bsteps\b")
_MOST_ITEMS: Final = 200
"""Items of a foreach whose models are looked at."""


class ModelName(NamedTuple):
    """A model as a step asks for it."""

    model_id: str
    model_version: str
    """Empty = the newest."""


class StepNeeds(NamedTuple):
    """What is known of a step."""

    step: PlannedStep
    idle: str = ""
    """Why it calls nothing, whatever comes; empty if it may."""
    calls: int = 1
    """Of a foreach, one an item; 1 where that is not known."""
    models: tuple[ModelName, ...] = ()
    """Models that it has in memory."""
    subjects: tuple[str, ...] = ()
    """What its calls work on, as `PlannedStep.subject` says; none if that is not known."""
    child: PostWorkflowExecuteRequest | None = None
    """The session that it starts."""
    unknown: tuple[str, ...] = ()
    """What cannot be told before the run, for people."""


def needs_of(planned: Planned, parameters: Mapping[str, Any]) -> list[StepNeeds]:
    """By step, what is known; of a definition whose parameters were checked."""
    return [_Reading(step, parameters).read() for step in planned.steps]


class _Reading:
    """One step on its way to its needs."""

    def __init__(self, step: PlannedStep, parameters: Mapping[str, Any]) -> None:
        self._step, self._compiled = step, step.compiled
        self._scope = Scope(parameters, {})
        self._items: Sequence[Any] | None = (ABSENT,) if step.compiled.each is None else None
        self._unknown: list[str] = []

    def read(self) -> StepNeeds:
        if self._condition() is False:
            return StepNeeds(self._step, "its condition is false")
        self._read_items()
        if self._items is not None and not self._items:
            return StepNeeds(self._step, "its foreach has no items")
        names = self._names()
        models = names if self._step.operation.name in _LOADING else ()
        child = self._child() if self._step.is_child else None
        calls = 1 if self._items is None else len(self._items)
        subjects = tuple(dict.fromkeys(name.model_id for name in names))
        return StepNeeds(self._step, "", calls, models, subjects, child, tuple(self._unknown))

    def _condition(self) -> bool | None:
        """None if it cannot be told."""
        when = self._compiled.when
        if when is None:
            return True
        if not when.steps and not self._compiled.wanted_first(self._scope):
            try:
                return self._compiled.condition(self._scope)
            except CoordinatorError as error:
                self._unknown.append(error.message)
                return None
        self._unknown.append("whether it runs is known only then; it is counted")
        return None

    def _read_items(self) -> None:
        each = self._compiled.each
        if each is None:
            return
        if not each.steps and not self._compiled.wanted_first(self._scope):
            try:
                self._items = self._compiled.items(self._scope)
            except CoordinatorError as error:
                self._unknown.append(error.message)
        else:
            self._unknown.append("how many calls it makes is known only then; one is counted")

    def _names(self) -> tuple[ModelName, ...]:
        """What its calls work on; of an operation that has no such field, one without a name."""
        if not self._step.subject:
            return (ModelName("", ""),)
        items = self._items if self._items is not None else (ABSENT,)
        found = dict.fromkeys(self._name(index, item) for index, item in enumerate(items[:_MOST_ITEMS]))
        if (None in found or len(items) > _MOST_ITEMS) and self._step.operation.name in _LOADING:
            self._unknown.append("which model it needs is known only then")
        return tuple(name for name in found if name is not None)

    def _name(self, index: int, item: Any) -> ModelName | None:
        scope = Scope(self._scope.parameters, {}, item, index)
        name, version = (told(self._compiled, field, scope) for field in (self._step.subject, "model_version"))
        return ModelName(name, version or "") if name else None

    def _child(self) -> PostWorkflowExecuteRequest | None:
        """The request that starts the session; its models and times are looked at, too."""
        if self._compiled.each is None and not self._compiled.request_needs:
            try:
                request = self._compiled.build(self._scope)
            except CoordinatorError as error:
                self._unknown.append(error.message)
                return None
            assert isinstance(request, PostWorkflowExecuteRequest)
            return request
        workflow_id = told(self._compiled, "workflow_id", self._scope)
        of = f"the session of {workflow_id!r}" if workflow_id else "its session"
        self._unknown.append(f"what {of} needs is known only then")
        return None


def told(step: CompiledStep, field: str, scope: Scope) -> str | None:
    """A text field of a step's request as far as the scope tells it; None if it does not."""
    slot = next((slot for slot in step.template.slots if slot.path == f"{step.path}.parameters.{field}"), None)
    if slot is None:
        return str(getattr(step.template.literals, field, ""))
    if (_LATER if scope.item is ABSENT else _STEPS).search(slot.text):
        return None
    try:
        value = slot.read(scope)
    except Unfit:
        return None
    return "" if value is ABSENT or value is None else str(value)
