"""Outputs of a workflow: what a session leaves when its steps have ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from coordinator.payload.v1.payload_pb2 import Artifact, Datum
from google.protobuf.message import Message

from processing_service.engine.definitions.bindings import Read, Scope, written
from processing_service.engine.definitions.faults import Faults, failed
from processing_service.engine.definitions.json_template import JsonReader
from processing_service.engine.definitions.kinds import ANY, ARTIFACT, DATUM, TENSOR, Base, Kind, readable
from processing_service.engine.definitions.paths import ABSENT, Names, Unfit
from processing_service.engine.definitions.template_context import TemplateContext
from processing_service.engine.definitions.templates import wanted
from processing_service.engine.definitions.values import datum_of, plain

_PAYLOADS = (DATUM, TENSOR, ARTIFACT)


class Output(NamedTuple):
    """One output."""

    name: str
    text: str
    """What stands inside `${...}`; empty for JSON with bindings in it."""
    read: Read
    kind: Kind


@dataclass(frozen=True, slots=True)
class Outputs:
    """The outputs of a workflow."""

    outputs: tuple[Output, ...]
    openings: tuple[Read, ...]
    steps: frozenset[str]
    """Steps that they name."""
    parameters: frozenset[str]
    """Parameters that they name."""

    def conclude(self, scope: Scope) -> tuple[dict[str, Any], dict[str, Datum]]:
        """What is readable, fit for a Struct, and what is bytes, tensor or artifact; what is ABSENT is left out.

        Raises:
            CoordinatorError: EXPRESSION_FAILED.
        """
        values: dict[str, Any] = {}
        payloads: dict[str, Datum] = {}
        for name, text, read, kind in self.outputs:
            try:
                value = read(scope)
                if value is ABSENT:
                    continue
                if _is_payload(value):
                    payloads[name] = datum_of(value)
                else:
                    values[name] = plain(value, kind)
            except Unfit as fault:
                raise failed(f"output {name!r}", f"outputs.{name}.value", text, fault) from None
        return values, payloads

    def wanted(self, scope: Scope) -> list[Artifact]:
        """Artifacts whose content `conclude` needs and the scope does not have."""
        return wanted(self.openings, scope) if self.openings else []


def compile_outputs(values: Mapping[str, Any], names: Names, faults: Faults) -> tuple[Outputs, dict[str, Any]]:
    """The outputs of those JSON values by name, and the values in canonical form."""
    outputs: list[Output] = []
    forms: dict[str, Any] = {}
    shared: list[TemplateContext] = []
    for name, value in values.items():
        context = TemplateContext(faults, names, f"output {name!r}")
        shared.append(context)
        forms[name], output = _compiled(name, value, context)
        outputs.append(output)
    compiled = Outputs(
        tuple(outputs),
        tuple(opening for context in shared for opening in context.openings),
        frozenset().union(*(context.steps for context in shared)),
        frozenset().union(*(context.parameters for context in shared)),
    )
    return compiled, forms


def _compiled(name: str, value: Any, context: TemplateContext) -> tuple[Any, Output]:
    path, text = f"outputs.{name}.value", context.binding_text(value)
    if text is None:
        form, read = JsonReader(context).value(value, path)
        return form, Output(name, "", read, ANY)
    binding = context.compile(text, path)
    if binding is None:
        return written(text), Output(name, text, _nothing, ANY)
    kind = binding.kind
    alone = not kind.lists and (kind.base is Base.BYTES or kind.type_name in _PAYLOADS)
    if not alone and not readable(kind):
        context.faults.add(path, f"{written(text)} is {kind}, with bytes inside; bind each field that is wanted")
    return written(text), Output(name, text, binding.read, kind)


def _nothing(scope: Scope) -> Any:
    return ABSENT


def _is_payload(value: Any) -> bool:
    if isinstance(value, Message):
        return value.DESCRIPTOR.full_name in _PAYLOADS
    return isinstance(value, bytes)
