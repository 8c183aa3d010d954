"""A definition that was checked, and its steps, ready to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coordinator.payload.v1.payload_pb2 import Artifact
from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest, Workflow
from google.protobuf.message import Message

from processing_service.engine.definitions.bindings import Binding, Scope
from processing_service.engine.definitions.faults import failed
from processing_service.engine.definitions.outputs import Outputs
from processing_service.engine.definitions.parameters import Parameters, ParameterValues
from processing_service.engine.definitions.paths import ABSENT, Unfit
from processing_service.engine.definitions.templates import Template, as_list, wanted
from processing_service.engine.records import Plan

if TYPE_CHECKING:
    from processing_service.engine.base import OperationType


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """A step that is ready to run."""

    path: str
    """Where it stands in the definition, such as `steps[1]`."""
    step_id: str
    operation: OperationType
    template: Template
    needs: frozenset[str]
    """Steps that its bindings read."""
    request_needs: frozenset[str]
    """Those of them that its request reads, beside the item of a foreach."""
    parameters: frozenset[str]
    """Parameters that its bindings read."""
    when: Binding | None
    """Its condition."""
    each: Binding | None
    """Items of its foreach."""

    def build(self, scope: Scope) -> Message:
        """The request of its call. Raises CoordinatorError: EXPRESSION_FAILED."""
        return self.template.build(scope)

    def condition(self, scope: Scope) -> bool:
        """False if it is skipped; a condition on what is ABSENT is false. Raises as `build`."""
        value = self._read(self.when, scope, "condition")
        if value is None or isinstance(value, bool):
            return value is not False
        if value is ABSENT:
            return False
        raise self._failed(self.when, "condition", Unfit("must come to true or false"))

    def items(self, scope: Scope) -> list[Any]:
        """The items of its foreach; none if the list is ABSENT. Raises as `build`."""
        value = self._read(self.each, scope, "foreach.items")
        if value is ABSENT:
            return []
        try:
            return list(as_list(value))
        except Unfit as fault:
            raise self._failed(self.each, "foreach.items", fault) from None

    def wanted(self, scope: Scope) -> list[Artifact]:
        """Artifacts whose content `build` needs, and `scope.contents` does not have."""
        return self.template.wanted(scope)

    def wanted_first(self, scope: Scope) -> list[Artifact]:
        """Artifacts whose content `condition` and `items` need, and `scope.contents` does not have."""
        openings = [opening for binding in (self.when, self.each) if binding for opening in binding.data]
        return wanted(openings, scope) if openings else []

    def _read(self, binding: Binding | None, scope: Scope, field: str) -> Any:
        if binding is None:
            return None
        try:
            return binding.read(scope)
        except Unfit as fault:
            raise self._failed(binding, field, fault) from None

    def _failed(self, binding: Binding | None, field: str, fault: Unfit) -> Exception:
        return failed(f"step {self.step_id!r}", f"{self.path}.{field}", binding.text if binding else "", fault)


@dataclass(frozen=True, slots=True)
class Definition:
    """A workflow that was checked, with all that a session of it needs."""

    workflow: Workflow
    """Normalised, with its digest; the rest of what the server sets is unset."""
    digest: str
    """SHA-256 of its meaning, 64 hexadecimal digits."""
    source: bytes
    """The workflow, serialised."""
    plan: Plan
    parameters: Parameters
    steps: tuple[CompiledStep, ...]
    """In the order of the plan."""
    outputs: Outputs
    warnings: tuple[str, ...] = ()
    """Legacy spellings and other things to mend."""

    def parameter_values(self, request: PostWorkflowExecuteRequest) -> ParameterValues:
        """The parameters of a session. Raises as `Parameters.values`."""
        return self.parameters.values(request)
