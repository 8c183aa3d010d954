"""Checks of the parameters that a definition declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from coordinator.processing.v1.processing_pb2 import ValueType, WorkflowParameter
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.struct_pb2 import Value

from processing_service.engine.definitions.faults import Faults
from processing_service.engine.definitions.kinds import DATUM, TENSOR
from processing_service.engine.definitions.parameters import Parameter, parameter_of
from processing_service.engine.definitions.paths import ABSENT, Unfit
from processing_service.engine.definitions.values import plain
from processing_service.wire.errors import CoordinatorError

if TYPE_CHECKING:
    from processing_service.engine.base import OperationCatalog

_PAYLOAD_TYPES: Final = {TENSOR: "tensor", DATUM: "bytes"}


def check_parameter(name: str, declared: WorkflowParameter, catalog: OperationCatalog, faults: Faults) -> Parameter:
    """The parameter; its default is put into canonical form. Faults are noted."""
    path = f"parameters.{name}"
    message = _message_of(declared, path, catalog, faults)
    try:
        parameter = parameter_of(name, declared, message)
    except Unfit as fault:
        faults.add_unfit(f"{path}.default_value", fault)
        declared.ClearField("default_value")
        return parameter_of(name, declared, message)
    if declared.is_list and parameter.is_payload:
        faults.add(f"{path}.is_list", "a list of bytes or tensors cannot be a parameter")
    if parameter.default is ABSENT:
        declared.ClearField("default_value")
    elif declared.value_type != ValueType.VALUE_TYPE_MESSAGE:
        declared.default_value.CopyFrom(json_format.ParseDict(plain(parameter.default), Value()))
    return parameter


def _message_of(declared: WorkflowParameter, path: str, catalog: OperationCatalog, faults: Faults) -> Descriptor | None:
    """The message type that a parameter names; None if it names none."""
    if not declared.value_type:
        faults.add_missing(f"{path}.value_type", "is required, such as string or message")
    elif declared.value_type not in ValueType.values():
        faults.add(f"{path}.value_type", f"{declared.value_type} is no value type of this coordinator")
    elif declared.value_type != ValueType.VALUE_TYPE_MESSAGE:
        if declared.type_name:
            faults.add(f"{path}.type_name", "is for value_type message only")
    elif not declared.type_name:
        faults.add_missing(f"{path}.type_name", "is required for value_type message")
    elif declared.type_name in _PAYLOAD_TYPES:
        suggestion = _PAYLOAD_TYPES[declared.type_name]
        faults.add(f"{path}.type_name", f"write value_type {suggestion} and no type_name", suggestion)
    else:
        try:
            return catalog.message(declared.type_name)
        except CoordinatorError as error:
            faults.add_error(f"{path}.type_name", error)
    return None
