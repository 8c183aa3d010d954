"""Workflow definitions: from a message or text to what sessions run.

Every fault is gathered before anything is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from coordinator.processing.v1.processing_pb2 import (
    RetryPolicy,
    Workflow,
    WorkflowStep,
)
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct, Value

from processing_service.engine.definitions.bindings import Binding, binding_text, written
from processing_service.engine.definitions.checks import check_bounds, check_dependencies, check_order, check_shape
from processing_service.engine.definitions.compiled import CompiledStep, Definition
from processing_service.engine.definitions.faults import Faults
from processing_service.engine.definitions.json_template import check_bindings
from processing_service.engine.definitions.kinds import ANY, BOOL, Base, Kind, fits, message_kind
from processing_service.engine.definitions.outputs import Outputs, compile_outputs
from processing_service.engine.definitions.parameter_checks import check_parameter
from processing_service.engine.definitions.parameters import Parameter, Parameters
from processing_service.engine.definitions.paths import Names, json_value
from processing_service.engine.definitions.reuse_checks import reuse_warnings
from processing_service.engine.definitions.source import read_source
from processing_service.engine.definitions.step_plans import plan_step
from processing_service.engine.definitions.template_context import OnLegacy, TemplateContext, ignore_legacy
from processing_service.engine.definitions.template_reader import TemplateReader
from processing_service.engine.definitions.templates import Template
from processing_service.engine.definitions.text import SERVER_FIELDS, digest
from processing_service.engine.records import Plan, StepPlan
from processing_service.wire.errors import CoordinatorError

if TYPE_CHECKING:
    from processing_service.engine.base import OperationCatalog, OperationType


EXECUTE: Final = "processing.post_workflow_execute"
"""The operation that is a session of its own."""


def compile_definition(
    workflow: Workflow, catalog: OperationCatalog, *, on_legacy: OnLegacy = ignore_legacy
) -> Definition:
    """Checks a workflow and compiles it.

    Args:
        on_legacy: called for each legacy spelling, with the full name of the field and the spelling.

    Raises:
        CoordinatorError: WORKFLOW_INVALID, with every fault as a violation; DOMAIN_UNAVAILABLE.
    """
    return _Compiler(workflow, catalog, Faults(), on_legacy).definition()


def parse_definition(
    source: str, catalog: OperationCatalog, *, on_legacy: OnLegacy = ignore_legacy
) -> tuple[Definition, list[str]]:
    """Reads a workflow from YAML or JSON of at most 1 MiB; the definition, and what its writer should mend.

    Raises:
        CoordinatorError: WORKFLOW_INVALID, with every fault as a violation that has its line; DOMAIN_UNAVAILABLE.
    """
    text = read_source(source)
    faults = Faults(text.where)
    workflow = Workflow()
    context = TemplateContext(faults, on_legacy=on_legacy)
    TemplateReader(context).fill(workflow, text.values, "")
    compiler = _Compiler(workflow, catalog, faults, on_legacy, context.warnings)
    definition = compiler.definition()
    return definition, list(definition.warnings)


class _Compiler:
    """One workflow on its way."""

    def __init__(
        self,
        workflow: Workflow,
        catalog: OperationCatalog,
        faults: Faults,
        on_legacy: OnLegacy,
        warnings: Iterable[str] = (),
    ) -> None:
        self._workflow, self._catalog, self._faults, self._on_legacy = Workflow(), catalog, faults, on_legacy
        self._workflow.CopyFrom(workflow)
        self._warnings: dict[str, None] = dict.fromkeys(warnings)
        self._needs: dict[str, frozenset[str]] = {}
        self._named: set[str] = set()

    def definition(self) -> Definition:
        workflow, faults = self._workflow, self._faults
        if not check_bounds(workflow, faults):
            faults.check(workflow.workflow_id)
        for name in SERVER_FIELDS:
            workflow.ClearField(name)
        check_shape(workflow, faults)
        check_dependencies(workflow, faults)
        parameters = {
            name: check_parameter(name, workflow.parameters[name], self._catalog, faults)
            for name in sorted(workflow.parameters)
        }
        operations = [self._operation(f"steps[{i}]", step) for i, step in enumerate(workflow.steps)]
        names = Names(
            {name: parameter.kind for name, parameter in parameters.items()},
            {
                step.step_id: _result(step, operation)
                for step, operation in zip(workflow.steps, operations, strict=True)
            },
        )
        steps = [
            self._step(f"steps[{i}]", step, operation, names)
            for i, (step, operation) in enumerate(zip(workflow.steps, operations, strict=True))
        ]
        outputs = self._outputs(names)
        self._check_order()
        faults.check(workflow.workflow_id)
        self._warn_of_unused(parameters)
        self._warnings |= dict.fromkeys(reuse_warnings(workflow, EXECUTE))
        return self._finished(parameters, [step for step in steps if step is not None], outputs)

    def _finished(self, parameters: Mapping[str, Parameter], steps: list[CompiledStep], outputs: Outputs) -> Definition:
        workflow = self._workflow
        source = workflow.SerializeToString(deterministic=True)
        workflow.digest = digest(workflow)
        indexes = {step.step_id: index for index, step in enumerate(workflow.steps)}
        pairs = zip(workflow.steps, steps, strict=True)
        plan = Plan.of(tuple(self._plan(step, compiled, indexes) for step, compiled in pairs))
        return Definition(
            workflow=workflow,
            digest=workflow.digest,
            source=source,
            plan=plan,
            parameters=Parameters.of(parameters),
            steps=tuple(steps),
            outputs=outputs,
            warnings=tuple(self._warnings),
        )

    def _operation(self, path: str, step: WorkflowStep) -> OperationType | None:
        if not step.operation:
            self._faults.add_missing(f"{path}.operation", "is required, such as model.get_model")
            return None
        try:
            operation = self._catalog.find(step.operation)
        except CoordinatorError as error:
            self._faults.add_error(f"{path}.operation", error)
            return None
        if not operation.callable:
            self._faults.add(
                f"{path}.operation", f"{step.operation} cannot be a step: it is a stream, or made for callers"
            )
        return operation

    def _step(
        self, path: str, step: WorkflowStep, operation: OperationType | None, names: Names
    ) -> CompiledStep | None:
        owner = f"step {step.step_id!r}"
        first = TemplateContext(self._faults, names, owner)
        condition = self._condition(path, step, first)
        each = self._items(path, step, first)
        if step.HasField("foreach"):
            names = names._replace(item=each.kind.element if each and each.kind.lists else ANY)
        context = TemplateContext(self._faults, names, owner, self._on_legacy)
        template = self._template(path, step, operation, context)
        needs = frozenset(first.steps | context.steps)
        parameters = frozenset(first.parameters | context.parameters)
        self._named |= parameters
        self._warnings |= context.warnings
        self._needs[step.step_id] = needs | set(step.depends_on)
        _normalise_step(step)
        if operation is None or template is None:
            return None
        return CompiledStep(
            path, step.step_id, operation, template, needs, frozenset(context.steps), parameters, condition, each
        )

    def _template(
        self, path: str, step: WorkflowStep, operation: OperationType | None, context: TemplateContext
    ) -> Template | None:
        """The template of a step's request; its parameters are put into canonical form."""
        values = json_value(step.parameters)
        if operation is None:  # whose fields nobody knows; what the bindings name can be checked all the same
            check_bindings(values, f"{path}.parameters", context)
            return None
        template, form = TemplateReader(context).template(operation.request, values, f"{path}.parameters")
        if step.operation == EXECUTE and form.get("workflow_id") == self._workflow.workflow_id:
            self._faults.add(f"{path}.parameters.workflow_id", "the workflow calls itself, and would never end")
        if not self._faults.violations:
            step.ClearField("parameters")
            if form:
                step.parameters.CopyFrom(json_format.ParseDict(form, Struct()))
        return template

    def _condition(self, path: str, step: WorkflowStep, context: TemplateContext) -> Binding | None:
        if not step.condition.strip():
            step.condition = ""
            return None
        step.condition = binding_text(step.condition) or step.condition.strip()
        binding = context.compile(step.condition, f"{path}.condition")
        if binding is not None and not fits(binding.kind, BOOL):
            self._faults.add(f"{path}.condition", f"must come to true or false, and is {binding.kind}")
        return binding

    def _items(self, path: str, step: WorkflowStep, context: TemplateContext) -> Binding | None:
        if not step.foreach.items:
            return None
        text = binding_text(step.foreach.items) or step.foreach.items.strip()
        step.foreach.items = written(text)
        binding = context.compile(text, f"{path}.foreach.items")
        if binding is not None and not binding.kind.lists and binding.kind.base is not Base.ANY:
            self._faults.add(f"{path}.foreach.items", f"must be a list, and {written(text)} is {binding.kind}")
        return binding

    def _outputs(self, names: Names) -> Outputs:
        declared = self._workflow.outputs
        values = {name: json_value(declared[name].value) for name in sorted(declared)}
        for name in values:
            if not declared[name].HasField("value"):
                self._faults.add_missing(f"outputs.{name}.value", "is required: a binding such as ${steps.lines.text}")
        outputs, forms = compile_outputs(values, names, self._faults)
        if not self._faults.violations:
            for name, form in forms.items():
                declared[name].value.CopyFrom(json_format.ParseDict(form, Value()))
        self._named |= outputs.parameters
        return outputs

    def _plan(self, step: WorkflowStep, compiled: CompiledStep, indexes: Mapping[str, int]) -> StepPlan:
        needs = tuple(sorted(indexes[name] for name in self._needs[step.step_id]))
        return plan_step(step, needs, idempotent=compiled.operation.idempotent)

    def _check_order(self) -> None:
        check_order([step.step_id for step in self._workflow.steps], self._needs, self._faults)

    def _warn_of_unused(self, parameters: Iterable[str]) -> None:
        for name in parameters:
            if name not in self._named and name != "model_id":
                self._warnings[f"parameters.{name}: no binding reads it"] = None


def _result(step: WorkflowStep, operation: OperationType | None) -> Kind:
    kind = message_kind(operation.response) if operation else ANY
    return kind.listed() if step.HasField("foreach") else kind


def _normalise_step(step: WorkflowStep) -> None:
    depends_on = sorted(set(step.depends_on))
    del step.depends_on[:]
    step.depends_on.extend(depends_on)
    if step.HasField("retry") and step.retry == RetryPolicy():
        step.ClearField("retry")
