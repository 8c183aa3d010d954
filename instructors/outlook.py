"""A session before it runs: its steps, and the sessions that these would start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest

from instructors.forecast import order_of
from instructors.needs import ModelName, StepNeeds, needs_of
from instructors.plans import Plans
from processing_service.engine.definitions import Definition
from processing_service.engine.managers.sessions import MAX_DEPTH
from processing_service.engine.managers.workflows import WorkflowManager
from processing_service.wire.errors import CoordinatorError

_MOST_SESSIONS: Final = 64
"""Sessions that one look follows, at most."""


class Outlook(NamedTuple):
    """What is known of a session before it runs."""

    definition: Definition
    needs: Sequence[StepNeeds]
    order: Sequence[int]
    """The steps in an order in which they could run."""
    children: Mapping[int, Outlook]
    """By step, the session that it would start."""

    def uses(self) -> Iterator[tuple[ModelName, ...]]:
        """The models that each step of it and of its children needs, in that order."""
        for index in self.order:
            yield self.needs[index].models
            if index in self.children:
                yield from self.children[index].uses()


class Look:
    """One look ahead.

    Args:
        tenant: whose workflows its steps run.
    """

    def __init__(self, workflows: WorkflowManager, plans: Plans, tenant: str) -> None:
        self._workflows, self._plans, self._tenant = workflows, plans, tenant
        self.warnings: list[str] = []
        """What cannot be told, and what will fail, for people."""
        self.fails = False
        """True if a step will fail."""
        self._sessions = 0

    async def at(self, definition: Definition, parameters: Mapping[str, Any], depth: int = 0) -> Outlook:
        """The outlook of a session whose parameters were checked."""
        self._sessions += 1
        needs = needs_of(self._plans.of(definition), parameters)
        self.warnings += [f"step {need.step.step_id!r}: {text}" for need in needs for text in need.unknown]
        children: dict[int, Outlook] = {}
        for index, need in enumerate(needs):
            child = await self._child(need, depth + 1)
            if child is not None:
                children[index] = child
        return Outlook(definition, needs, order_of(definition.plan), children)

    async def _child(self, need: StepNeeds, depth: int) -> Outlook | None:
        if need.child is None:
            return None
        step_id, workflow_id = need.step.step_id, need.child.workflow_id
        if depth > MAX_DEPTH or self._sessions >= _MOST_SESSIONS:
            self.warnings.append(f"step {step_id!r}: the session of {workflow_id!r} is one too many to be looked at")
            return None
        try:
            return await self._below(need.child, depth)
        except CoordinatorError as error:
            self.warnings.append(f"step {step_id!r} will fail: {error.message}")
            self.fails = True
            return None

    async def _below(self, request: PostWorkflowExecuteRequest, depth: int) -> Outlook:
        definition = await self._workflows.definition(self._tenant, request.workflow_id)
        parameters, warnings = definition.parameter_values(request)
        self.warnings += warnings
        return await self.at(definition, parameters, depth)
