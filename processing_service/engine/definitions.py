"""Workflow definitions: from a message or text to what sessions run.

Every fault is gathered before anything is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from coordinator.processing.v1.processing_pb2 import (
    RetryPolicy,
    ValueType,
    Workflow,
    WorkflowParameter,
    WorkflowStep,
)
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.struct_pb2 import Struct, Value

from processing_service.engine.bindings import Binding, binding_text, compile_binding, written
from processing_service.engine.compiled import CompiledStep, Definition
from processing_service.engine.definition_checks import check_dependencies, check_order, check_shape
from processing_service.engine.definition_faults import Faults
from processing_service.engine.definition_source import MAX_BYTES, read_source
from processing_service.engine.definition_text import SERVER_FIELDS, digest, to_source
from processing_service.engine.kinds import BOOL, Base, Kind, fits, message_kind
from processing_service.engine.outputs import Outputs, compile_outputs
from processing_service.engine.parameters import PAYLOADS, Parameter, Parameters, parameter_of
from processing_service.engine.paths import ABSENT, Names, Unfit, json_value
from processing_service.engine.records import Plan, RetryPlan, StepPlan
from processing_service.engine.template_reader import OnLegacy, TemplateReader, ignore_legacy
from processing_service.engine.templates import Template
from processing_service.engine.values import plain
from processing_service.wire.errors import CoordinatorError

if TYPE_CHECKING:
    from processing_service.engine.base import OperationCatalog, OperationType

__all__ = ["CompiledStep", "Definition", "compile_definition", "digest", "parse_definition", "to_source"]

EXECUTE: Final = "processing.post_workflow_execute"
_MAX_PARALLEL: Final = 4
_MAX_MESSAGE_BYTES: Final = 2 * MAX_BYTES
_MAX_BINDINGS: Final = 2000


def compile_definition(
    workflow: Workflow, catalog: OperationCatalog, *, on_legacy: OnLegacy = ignore_legacy
) -> Definition:
    """Checks a workflow and compiles it.

    Args:
        on_legacy: called for each legacy spelling, with the full name of the field and the spelling.

    Raises:
        CoordinatorError: WORKFLOW_INVALID, with every fault as a violation.
    """
    return _Compiler(workflow, catalog, Faults(), on_legacy).definition()


def parse_definition(
    source: str, catalog: OperationCatalog, *, on_legacy: OnLegacy = ignore_legacy
) -> tuple[Definition, list[str]]:
    """Reads a workflow from YAML or JSON of at most 1 MiB; the definition, and what its writer should mend.

    Raises:
        CoordinatorError: WORKFLOW_INVALID, with every fault as a violation that has its line.
    """
    text = read_source(source)
    faults = Faults(text.where)
    workflow = Workflow()
    reader = TemplateReader(faults, on_legacy=on_legacy)
    reader.fill(workflow, text.values, "")
    compiler = _Compiler(workflow, catalog, faults, on_legacy, reader.warnings)
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
        self._check_size()
        for name in SERVER_FIELDS:
            workflow.ClearField(name)
        check_shape(workflow, faults)
        check_dependencies(workflow, faults)
        parameters = {name: self._parameter(name) for name in sorted(workflow.parameters)}
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
        return self._finished(parameters, [step for step in steps if step is not None], outputs)

    def _check_size(self) -> None:
        workflow = self._workflow
        if workflow.ByteSize() > _MAX_MESSAGE_BYTES:
            self._faults.add("workflow", f"longer than {_MAX_MESSAGE_BYTES} bytes")
        elif workflow.SerializeToString().count(b"${") > _MAX_BINDINGS:
            self._faults.add("workflow", f"has more than {_MAX_BINDINGS} bindings")
        else:
            return
        self._faults.check(workflow.workflow_id)

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

    def _parameter(self, name: str) -> Parameter:
        declared, path = self._workflow.parameters[name], f"parameters.{name}"
        message = self._message_of(declared, path)
        try:
            parameter = parameter_of(name, declared, message)
        except Unfit as fault:
            self._faults.add_unfit(f"{path}.default_value", fault)
            without = WorkflowParameter()
            without.CopyFrom(declared)
            without.ClearField("default_value")
            return parameter_of(name, without, message)
        if declared.is_list and parameter.is_payload:
            self._faults.add(f"{path}.is_list", "a list of bytes or tensors cannot be a parameter")
        _normalise_default(declared, parameter)
        return parameter

    def _message_of(self, declared: WorkflowParameter, path: str) -> Descriptor | None:
        if not declared.value_type:
            self._missing(f"{path}.value_type", "is required, such as string or message")
        elif declared.value_type != ValueType.VALUE_TYPE_MESSAGE:
            if declared.type_name:
                self._faults.add(f"{path}.type_name", "is for value_type message only")
        elif not declared.type_name:
            self._missing(f"{path}.type_name", "is required for value_type message")
        elif declared.type_name in _PAYLOAD_TYPES:
            self._faults.add(
                f"{path}.type_name", "write value_type bytes or tensor", _PAYLOAD_TYPES[declared.type_name]
            )
        else:
            try:
                return self._catalog.message(declared.type_name)
            except CoordinatorError as error:
                self._add_error(f"{path}.type_name", error)
        return None

    def _operation(self, path: str, step: WorkflowStep) -> OperationType | None:
        if not step.operation:
            self._missing(f"{path}.operation", "is required, such as model.get_model")
            return None
        try:
            operation = self._catalog.find(step.operation)
        except CoordinatorError as error:
            self._add_error(f"{path}.operation", error)
            return None
        if not operation.callable:
            self._faults.add(
                f"{path}.operation", f"{step.operation} cannot be a step: it is a stream, or made for callers"
            )
        return operation

    def _step(
        self, path: str, step: WorkflowStep, operation: OperationType | None, names: Names
    ) -> CompiledStep | None:
        condition = self._condition(path, step, names)
        each = self._items(path, step, names)
        if each is not None or step.HasField("foreach"):
            names = names._replace(item=each.kind.element if each and each.kind.lists else Kind(Base.ANY))
        reader = TemplateReader(self._faults, names, f"step {step.step_id!r}", self._on_legacy)
        template: Template | None = None
        if operation is not None:
            values = json_value(step.parameters) if step.HasField("parameters") else {}
            template, form = reader.template(operation.request, values, f"{path}.parameters")
            self._check_self_call(path, step, form)
            _replace(step, form)
        self._warnings |= reader.warnings
        first = [binding for binding in (condition, each) if binding is not None]
        needs = frozenset(reader.steps).union(*(binding.steps for binding in first))
        named = frozenset(reader.parameters).union(*(binding.parameters for binding in first))
        self._named |= named
        self._needs[step.step_id] = needs | set(step.depends_on)
        _normalise_step(step)
        if operation is None or template is None:
            return None
        return CompiledStep(path, step.step_id, operation, template, needs, named, condition, each)

    def _condition(self, path: str, step: WorkflowStep, names: Names) -> Binding | None:
        if not step.condition.strip():
            step.condition = ""
            return None
        step.condition = binding_text(step.condition) or step.condition.strip()
        binding = self._binding(f"{path}.condition", step.condition, names)
        if binding is not None and not fits(binding.kind, BOOL):
            self._faults.add(f"{path}.condition", f"must come to true or false, and is {binding.kind}")
        return binding

    def _items(self, path: str, step: WorkflowStep, names: Names) -> Binding | None:
        if not step.foreach.items:
            return None
        text = binding_text(step.foreach.items) or step.foreach.items.strip()
        step.foreach.items = written(text)
        binding = self._binding(f"{path}.foreach.items", text, names)
        if binding is not None and not binding.kind.lists and binding.kind.base is not Base.ANY:
            self._faults.add(f"{path}.foreach.items", f"must be a list, and {written(text)} is {binding.kind}")
        return binding

    def _binding(self, path: str, text: str, names: Names) -> Binding | None:
        try:
            return compile_binding(text, names)
        except Unfit as fault:
            self._faults.add_unfit(path, fault)
            return None

    def _check_self_call(self, path: str, step: WorkflowStep, form: Mapping[str, Any]) -> None:
        if step.operation == EXECUTE and form.get("workflow_id") == self._workflow.workflow_id:
            self._faults.add(f"{path}.parameters.workflow_id", "the workflow calls itself, and would never end")

    def _outputs(self, names: Names) -> Outputs:
        declared = self._workflow.outputs
        values = {name: json_value(declared[name].value) for name in sorted(declared)}
        for name in values:
            if not declared[name].HasField("value"):
                self._missing(f"outputs.{name}.value", "is required: a binding such as ${steps.lines.text}")
        outputs, forms = compile_outputs(values, names, self._faults)
        for name, form in forms.items():
            declared[name].value.CopyFrom(json_format.ParseDict(form, Value()))
        self._named |= outputs.parameters
        return outputs

    def _check_order(self) -> None:
        check_order([step.step_id for step in self._workflow.steps], self._needs, self._faults)

    def _warn_of_unused(self, parameters: Iterable[str]) -> None:
        for name in parameters:
            if name not in self._named and name != "model_id":
                self._warnings[f"parameters.{name}: no binding reads it"] = None

    def _plan(self, step: WorkflowStep, compiled: CompiledStep, indexes: Mapping[str, int]) -> StepPlan:
        return StepPlan(
            step_id=step.step_id,
            needs=tuple(sorted(indexes[name] for name in self._needs[step.step_id])),
            conditional=compiled.when is not None,
            foreach=compiled.each is not None,
            max_parallel=step.foreach.max_parallel or _MAX_PARALLEL,
            timeout_us=step.timeout.ToMicroseconds(),
            retry=_retry(step.retry),
            optional=step.optional,
            idempotent=compiled.operation.idempotent,
        )

    def _missing(self, path: str, description: str) -> None:
        """Notes what is not there, unless its object has a fault that explains it."""
        parent = path.rpartition(".")[0]
        if not any(f"{violation.field_path}.".startswith(f"{parent}.") for violation in self._faults.violations):
            self._faults.add(path, description)

    def _add_error(self, path: str, error: CoordinatorError) -> None:
        suggestion = error.metadata.get("nearest", "") or next((v.suggestion for v in error.violations), "")
        self._faults.add(path, error.message.partition("; did you mean")[0], suggestion)


_PAYLOAD_TYPES: Final = {kind.type_name: "tensor" for kind in PAYLOADS.values() if kind.type_name} | {
    "coordinator.payload.v1.Datum": "bytes"
}


def _result(step: WorkflowStep, operation: OperationType | None) -> Kind:
    kind = message_kind(operation.response) if operation else Kind(Base.ANY)
    return kind.listed() if step.HasField("foreach") else kind


def _normalise_step(step: WorkflowStep) -> None:
    depends_on = sorted(set(step.depends_on))
    del step.depends_on[:]
    step.depends_on.extend(depends_on)
    if step.HasField("retry") and step.retry == RetryPolicy():
        step.ClearField("retry")


def _replace(step: WorkflowStep, form: Mapping[str, Any]) -> None:
    step.ClearField("parameters")
    if form:
        step.parameters.CopyFrom(json_format.ParseDict(dict(form), Struct()))


def _normalise_default(declared: WorkflowParameter, parameter: Parameter) -> None:
    if parameter.default is ABSENT:
        declared.ClearField("default_value")
    elif declared.value_type != ValueType.VALUE_TYPE_MESSAGE:
        declared.default_value.CopyFrom(json_format.ParseDict(plain(parameter.default), Value()))


def _retry(retry: RetryPolicy) -> RetryPlan:
    usual = RetryPlan()
    return RetryPlan(
        max_attempts=retry.max_attempts or usual.max_attempts,
        initial_us=retry.initial_delay.ToMicroseconds() or usual.initial_us,
        max_us=retry.max_delay.ToMicroseconds() or usual.max_us,
        multiplier_milli=round(retry.multiplier * 1000) or usual.multiplier_milli,
    )
