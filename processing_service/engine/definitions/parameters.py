"""Parameters of a session: what a caller gave, checked against what the workflow declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest, ValueType, WorkflowParameter
from google.protobuf.descriptor import Descriptor

from processing_service.engine.definitions import literals
from processing_service.engine.definitions.faults import join
from processing_service.engine.definitions.kinds import (
    BOOL,
    BYTES,
    INT,
    LOOSE,
    NUMBER,
    STRING,
    TENSOR,
    Base,
    Kind,
    message_kind,
)
from processing_service.engine.definitions.paths import ABSENT, Unfit, json_value
from processing_service.engine.definitions.template_reader import fill_fields
from processing_service.engine.definitions.values import to_message
from processing_service.wire.errors import CoordinatorError, Violation, invalid_all, nearest
from processing_service.wire.naming import Spellings

MODEL_ID: Final = "model_id"
"""The parameter that the request's field of that name fills."""

_SCALARS: Final[dict[ValueType.ValueType, tuple[Kind, Callable[[Any], Any]]]] = {
    ValueType.VALUE_TYPE_STRING: (STRING, literals.text),
    ValueType.VALUE_TYPE_INTEGER: (INT, literals.integer()),
    ValueType.VALUE_TYPE_NUMBER: (NUMBER, literals.number),
    ValueType.VALUE_TYPE_BOOLEAN: (BOOL, literals.boolean),
}
PAYLOADS: Final[dict[ValueType.ValueType, Kind]] = {
    ValueType.VALUE_TYPE_BYTES: BYTES,
    ValueType.VALUE_TYPE_TENSOR: Kind(Base.MESSAGE, TENSOR, Datum.DESCRIPTOR.fields_by_name["tensor"].message_type),
}
"""Types that come as payloads."""

_PLAIN: Final = frozenset({"string_value", "number_value", "bool_value"})
"""Kinds of a Value that are one value in Python."""
_MAX_PROBLEMS: Final = 64

_Problem = tuple[ErrorReason.ValueType, Violation]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that was checked."""

    name: str
    kind: Kind
    is_payload: bool
    is_required: bool
    convert: Callable[[Any], Any]
    """From a JSON value. Raises Unfit."""
    default: Any = ABSENT


class ParameterValues(NamedTuple):
    """Values by name, of those that are there, and what callers should rewrite."""

    values: dict[str, Any]
    """Scalars, lists, messages; a Datum for bytes, and for a tensor that is an artifact; a Tensor for others."""
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a workflow."""

    by_name: Mapping[str, Parameter]
    spellings: Spellings = field(default_factory=lambda: Spellings.of(()))

    @classmethod
    def of(cls, parameters: Mapping[str, Parameter]) -> Parameters:
        """These parameters."""
        return cls(parameters, Spellings.of(parameters))

    @property
    def required(self) -> set[str]:
        """Names of those that a caller has to give."""
        return {name for name, parameter in self.by_name.items() if parameter.is_required}

    def values(self, request: PostWorkflowExecuteRequest) -> ParameterValues:
        """What a request gives, with defaults.

        Raises:
            CoordinatorError: INVALID_ARGUMENT with a violation for every fault: FIELD_UNKNOWN with the nearest name,
                FIELD_REQUIRED, FIELD_INVALID, FIELD_CONFLICT for a name in both `parameters` and `payloads`.
        """
        plain = self._plain(request)
        if plain is not None:
            return ParameterValues(plain, [])
        reading = _Reading(self, request)
        reading.read()
        if reading.problems:
            raise _error(reading.problems)
        return ParameterValues(reading.values, reading.warnings)

    def _plain(self, request: PostWorkflowExecuteRequest) -> dict[str, Any] | None:
        """The values of a request in which nothing is unusual, as of most; None if it has to be read with care."""
        if request.payloads or request.model_id:
            return None
        fields, values = request.parameters.fields, {}
        for key in fields:
            parameter, value = self.by_name.get(key), fields[key]
            kind = value.WhichOneof("kind")
            if parameter is None or kind is None or kind == "null_value":
                return None
            try:
                values[key] = parameter.convert(getattr(value, kind) if kind in _PLAIN else json_value(value))
            except Unfit:
                return None
        for name, parameter in self.by_name.items():
            if name in values:
                continue
            if parameter.default is not ABSENT:
                values[name] = parameter.default
            elif parameter.is_required:
                return None
        return values


def parameter_of(name: str, declared: WorkflowParameter, message: Descriptor | None) -> Parameter:
    """A declared parameter, its default converted. Raises Unfit if the default does not fit.

    Args:
        message: the type of VALUE_TYPE_MESSAGE.
    """
    kind, convert = _kind(declared, message)
    if declared.is_list:
        kind, convert = kind.listed(), _listed(convert)
    default: Any = ABSENT
    if declared.HasField("default_value") and declared.default_value.WhichOneof("kind") != "null_value":
        default = convert(json_value(declared.default_value))
    required = default is ABSENT and not declared.optional
    return Parameter(name, kind, declared.value_type in PAYLOADS, required, convert, default)


def _kind(declared: WorkflowParameter, message: Descriptor | None) -> tuple[Kind, Callable[[Any], Any]]:
    if declared.value_type in _SCALARS:
        return _SCALARS[declared.value_type]
    if declared.value_type in PAYLOADS:
        return PAYLOADS[declared.value_type], _refuse
    if message is None:
        return Kind(Base.ANY), lambda value: value
    if message.full_name in LOOSE:
        return Kind(Base.ANY), lambda value: value
    make = to_message(message, fill_fields)
    return message_kind(message), lambda value: make(value, {})


def _refuse(value: Any) -> Any:
    raise Unfit("bytes and tensors go into payloads, not into parameters; on the command line KEY=@FILE does that")


def _listed(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert_all(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Unfit(f"must be a list, not {literals.shown(value)}")
        return [convert(item) for item in value]

    return convert_all


class _Reading:
    """One request on its way to values."""

    def __init__(self, parameters: Parameters, request: PostWorkflowExecuteRequest) -> None:
        self._parameters, self._request = parameters, request
        self.values: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.problems: list[_Problem] = []
        self._given: dict[str, str] = {}

    def read(self) -> None:
        request = self._request
        for key, value in request.parameters.fields.items():
            if len(self.problems) >= _MAX_PROBLEMS:
                return
            parameter = self._find(key, "parameters")
            if parameter is None:
                continue
            if value.WhichOneof("kind") == "null_value":
                del self._given[parameter.name]
            else:
                self._convert(parameter, json_value(value), join("parameters", key))
        for key, datum in request.payloads.items():
            if len(self.problems) >= _MAX_PROBLEMS:
                return
            parameter = self._find(key, "payloads")
            if parameter is not None:
                self._take(parameter, datum, join("payloads", key))
        if request.model_id and MODEL_ID in self._parameters.by_name:
            self._fill_model_id(request.model_id)
        for name, parameter in self._parameters.by_name.items():
            if name not in self.values and name not in self._given:
                self._leave_out(parameter)

    def _find(self, key: str, section: str) -> Parameter | None:
        path = join(section, key)
        name = self._parameters.spellings.find(key)
        if not name:
            known = self._parameters.by_name
            text = "the workflow has no such parameter" + ("" if known else "; it has none")
            self._problem(ErrorReason.ERROR_REASON_FIELD_UNKNOWN, path, text, nearest(key[:64], known))
            return None
        if name in self._given:
            text = f"given twice, as {self._given[name]} and as {path}"
            self._problem(ErrorReason.ERROR_REASON_FIELD_CONFLICT, path, text)
            return None
        self._given[name] = path
        if self._parameters.spellings.is_legacy(key):
            self.warnings.append(f"{path}: a legacy spelling, write {name}")
        return self._parameters.by_name[name]

    def _convert(self, parameter: Parameter, value: Any, path: str) -> None:
        try:
            self.values[parameter.name] = parameter.convert(value)
        except Unfit as fault:
            self._problem(ErrorReason.ERROR_REASON_FIELD_INVALID, path, fault.description, fault.suggestion)

    def _take(self, parameter: Parameter, datum: Datum, path: str) -> None:
        which = datum.WhichOneof("content")
        wanted = ("tensor", "artifact") if parameter.kind.type_name == TENSOR else ("inline_bytes", "artifact")
        if not parameter.is_payload:
            text = f"takes {parameter.kind}, which goes into parameters, not into payloads"
            self._problem(ErrorReason.ERROR_REASON_FIELD_INVALID, path, text)
        elif which not in wanted:
            text = f"takes {parameter.kind}: set {' or '.join(wanted)}" + (f", not {which}" if which else "")
            self._problem(ErrorReason.ERROR_REASON_FIELD_INVALID, path, text)
        else:
            self.values[parameter.name] = datum.tensor if which == "tensor" else datum

    def _fill_model_id(self, model_id: str) -> None:
        if self.values.get(MODEL_ID, model_id) != model_id:
            text = "given twice, as model_id and as parameters.model_id, with different values"
            self._problem(ErrorReason.ERROR_REASON_FIELD_CONFLICT, MODEL_ID, text)
        elif MODEL_ID not in self._given:
            self._given[MODEL_ID] = MODEL_ID
            self._convert(self._parameters.by_name[MODEL_ID], model_id, MODEL_ID)

    def _leave_out(self, parameter: Parameter) -> None:
        if parameter.default is not ABSENT:
            self.values[parameter.name] = parameter.default
        elif parameter.is_required:
            section = "payloads" if parameter.is_payload else "parameters"
            text = f"is required: {parameter.kind}"
            self._problem(ErrorReason.ERROR_REASON_FIELD_REQUIRED, join(section, parameter.name), text)

    def _problem(self, reason: ErrorReason.ValueType, path: str, text: str, suggestion: str = "") -> None:
        self.problems.append((reason, Violation(path, text, suggestion)))


def _error(problems: list[_Problem]) -> CoordinatorError:
    # that a name came twice says more than that one of its values does not fit
    problems.sort(key=lambda problem: problem[0] != ErrorReason.ERROR_REASON_FIELD_CONFLICT)
    return invalid_all(problems[0][0], [violation for _, violation in problems])
