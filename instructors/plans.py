"""Definitions as the dispatch carries them out: each step with its operation and what its request may need."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from coordinator.processing.v1.processing_pb2 import WorkflowStep
from google.protobuf.descriptor import Descriptor

from instructors.domains import Domains, Operation
from instructors.model import PINNED
from instructors.payloads import carries_data
from processing_service.engine.definitions import CompiledStep, Definition
from processing_service.engine.definitions.compiler import EXECUTE

OWN: Final = "processing"
"""The domain that takes references as they are."""
_FOREVER: Final = float("inf")
_LOADING: Final = frozenset(
    f"/coordinator.inference.v1.InferenceService/{rpc}" for rpc in ("PostInferenceExecute", "PostInferenceLoad")
)
"""Paths of the calls that load a model if need be, of whatever domain."""
_KEPT: Final = 512
"""Definitions that are kept."""


class PlannedStep(NamedTuple):
    """A step and how it is called."""

    compiled: CompiledStep
    step_id: str
    operation: Operation
    max_queued: float
    """Seconds that a call may wait for its turn."""
    needs: tuple[int, ...]
    """Steps whose results its bindings read, by index."""
    request_needs: tuple[int, ...]
    """Those of them whose results its request reads, beside the item of a foreach."""
    pins: tuple[str, ...]
    """Fields of its request that a pinned model fills."""
    takes_data: bool
    """True if its request can hold references whose content has to be put in."""
    is_child: bool
    needs_model: bool
    """True if its call needs a model in memory, which its request names."""
    says_times: bool
    """True if its response says where the time went."""
    is_simple: bool
    """True if no content has to be read before its request is built."""
    kind: str
    """What its calls are told apart by, as to how long they take: the operation, and its variant if it has some."""
    subject: str
    """Field of its request that says what they work on; empty if there is none."""
    timeout: float
    """Seconds that an attempt may take."""
    is_reusable: bool
    """True if its definition lets other sessions take its result."""


class Planned(NamedTuple):
    """A definition and its steps."""

    definition: Definition
    steps: tuple[PlannedStep, ...]
    output_needs: tuple[int, ...]
    """Steps whose results the outputs read, by index."""
    has_references: bool
    """True if results may refer to artifacts: the coordinator's own replies do."""


class Plans:
    """Plans definitions, once each."""

    def __init__(self, domains: Domains) -> None:
        self._domains = domains
        self._planned: OrderedDict[int, Planned] = OrderedDict()

    def of(self, definition: Definition) -> Planned:
        """The plan. Raises CoordinatorError: OPERATION_NOT_FOUND."""
        planned = self._planned.get(id(definition))
        if planned is None:
            planned = self._planned[id(definition)] = self._plan(definition)
            if len(self._planned) > _KEPT:
                self._planned.popitem(last=False)
        return planned

    def _plan(self, definition: Definition) -> Planned:
        indices = {step.step_id: index for index, step in enumerate(definition.workflow.steps)}
        steps = tuple(
            self._step(compiled, index, definition, indices) for index, compiled in enumerate(definition.steps)
        )
        output_needs = tuple(indices[name] for name in sorted(definition.outputs.steps))
        return Planned(definition, steps, output_needs, any(step.operation.domain == OWN for step in steps))

    def _step(self, compiled: CompiledStep, index: int, definition: Definition, indices: dict[str, int]) -> PlannedStep:
        written = definition.workflow.steps[index]
        operation = self._domains.operation(written.operation)
        is_child = operation.name == EXECUTE
        return PlannedStep(
            compiled=compiled,
            step_id=written.step_id,
            operation=operation,
            max_queued=written.max_queued.ToMicroseconds() / 1e6 if written.HasField("max_queued") else _FOREVER,
            needs=tuple(indices[name] for name in sorted(compiled.needs)),
            request_needs=tuple(indices[name] for name in sorted(compiled.request_needs)),
            pins=_pins(operation.kind.request),
            takes_data=carries_data(operation.kind.request) and operation.domain != OWN,
            is_child=is_child,
            needs_model=operation.path in _LOADING,
            says_times=not is_child and "loading" in operation.kind.response.fields_by_name,
            is_simple=not compiled.template.openings,
            kind=_kind(operation, written),
            subject=_subject(operation),
            timeout=written.timeout.ToMicroseconds() / 1e6 if written.HasField("timeout") else _FOREVER,
            is_reusable=definition.workflow.reuse_enabled and written.pure and not is_child,
        )


def _pins(request: Descriptor) -> tuple[str, ...]:
    fields = request.fields_by_name
    return tuple(name for name in PINNED if name in fields) if "model_id" in fields else ()


def _kind(operation: Operation, written: WorkflowStep) -> str:
    """The operation with the alternative of a oneof that the step chooses, such as one of postprocessing's."""
    fields = operation.kind.request.fields_by_name
    chosen = (fields[name] for name in sorted(written.parameters.fields) if name in fields)
    variants = [field.name for field in chosen if field.containing_oneof and len(field.containing_oneof.fields) > 1]
    return ".".join((operation.name, *variants))


def _subject(operation: Operation) -> str:
    name = "workflow_id" if operation.name == EXECUTE else "model_id"
    return name if name in operation.kind.request.fields_by_name else ""
