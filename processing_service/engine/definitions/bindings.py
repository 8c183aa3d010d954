"""Bindings: `${...}` in a definition, and the values of a session that they are read from.

A string that is entirely `${...}` is a binding; `$${` at its start stands for a literal `${`. Inside is a field path,
which carries bytes, tensors, messages and lists as they are, or else a CEL expression.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from coordinator.payload.v1.payload_pb2 import Artifact

from processing_service.engine.definitions.expression_values import Intake
from processing_service.engine.definitions.expressions import Variable, compile_expression
from processing_service.engine.definitions.kinds import TENSOR, Base, Kind
from processing_service.engine.definitions.paths import ABSENT, Lookup, Names, Path, Reader, Unfit, look_up, parse_path
from processing_service.engine.definitions.values import as_datum, content, is_sequence

_OPEN: Final = "${"
_CLOSE: Final = "}"
_ESCAPED: Final = "$${"


@dataclass(slots=True)
class Scope:
    """What the bindings of one session read.

    Values are scalars, lists, dicts, protobuf messages and bytes. What is not there is left out.
    """

    parameters: Mapping[str, Any]
    """Parameters by name; bytes as Datum or bytes."""
    steps: Mapping[str, Any]
    """The response of each step that succeeded, of a foreach the list of them, by step_id."""
    item: Any = ABSENT
    """The item of a foreach."""
    item_index: int = -1
    """Its index, from 0."""
    contents: dict[str, bytes] = field(default_factory=dict)
    """Content of artifacts that a binding needs as bytes (see `wanted`), by digest."""


Read = Callable[[Scope], Any]


class Binding(NamedTuple):
    """A compiled binding."""

    text: str
    """What stands inside `${...}`."""
    kind: Kind
    """What it comes to, as far as that can be told."""
    read: Read
    """Its value, or ABSENT. Raises Unfit."""
    steps: frozenset[str]
    """Steps that it names."""
    parameters: frozenset[str]
    """Parameters that it names."""
    data: tuple[Read, ...]
    """What of it may be a Datum whose content an expression reads."""
    is_path: bool
    """True if it carries its value as it is."""


def binding_text(value: object) -> str | None:
    """What stands inside `${...}`, trimmed; None if the value is no binding."""
    if isinstance(value, str) and value.startswith(_OPEN) and value.endswith(_CLOSE):
        return value[len(_OPEN) : -len(_CLOSE)].strip()
    return None


def literal_text(value: str) -> str:
    """The string that a literal stands for. Raises Unfit for a binding that is not closed."""
    if value.startswith(_ESCAPED):
        return value[1:]
    if value.startswith(_OPEN):
        raise Unfit("a binding ends with '}'", f"${value}")
    return value


def written(text: str) -> str:
    """A binding as it is written in a definition."""
    return f"{_OPEN}{text}{_CLOSE}"


def compile_binding(text: str, names: Names) -> Binding:
    """Compiles what stands inside `${...}`. Raises Unfit."""
    if not text:
        raise Unfit("a binding is empty")
    if _OPEN in text:
        raise Unfit("a binding is one expression; join text inside of it, as ${'page ' + parameters.name}")
    path = parse_path(text)
    if path is not None:
        lookup = look_up(path, names)
        return Binding(text, lookup.kind, _reader(lookup), *_named([path]), (), True)
    expression = compile_expression(text, names)
    variables = [(variable.name, _variable(variable)) for variable in expression.variables]
    data = tuple(_reader(v.lookup) for v in expression.variables if not v.tested and _is_payload(v.lookup))

    def read(scope: Scope) -> Any:
        values, intake = {}, Intake()
        for name, reader in variables:
            value = reader(scope, intake)
            if value is not ABSENT:
                values[name] = value
        return expression.evaluate(values)

    return Binding(text, expression.kind, read, *_named(v.lookup.path for v in expression.variables), data, False)


def _named(named: Iterable[Path]) -> tuple[frozenset[str], frozenset[str]]:
    """Steps and parameters that the paths begin with."""
    paths = list(named)
    found = {root: frozenset(str(p.segments[0]) for p in paths if p.root == root) for root in ("steps", "parameters")}
    return found["steps"], found["parameters"]


def _reader(lookup: Lookup) -> Read:
    root, readers = _root(lookup.path, lookup.readers), lookup.readers
    if not readers:
        return root

    def read(scope: Scope) -> Any:
        value = root(scope)
        for reader in readers:
            if value is ABSENT:
                return ABSENT
            value = reader(value)
        return value

    return read


def _root(path: Path, readers: tuple[Reader, ...]) -> Read:
    if path.root == "item":
        return lambda scope: scope.item
    if path.root == "item_index":
        return lambda scope: scope.item_index
    name = str(path.segments[0])
    if path.root == "steps":
        return lambda scope: scope.steps.get(name, ABSENT)
    if readers:
        return lambda scope: _opened(scope.parameters.get(name, ABSENT), scope)
    return lambda scope: scope.parameters.get(name, ABSENT)


def _variable(variable: Variable) -> Callable[[Scope, Intake], Any]:
    """The value of a variable of an expression, as CEL takes it; ABSENT if it has none. Raises Unfit."""
    if variable.tested:
        test = _test(variable.lookup)
        return lambda scope, intake: test(scope)
    reader, is_payload = _reader(variable.lookup), _is_payload(variable.lookup)

    def read(scope: Scope, intake: Intake) -> Any:
        try:
            value = reader(scope)
        except Unfit:
            # An expression may guard what is not there with has(), so only using it is a fault.
            return ABSENT
        return value if value is ABSENT else intake.to_cel(_opened(value, scope) if is_payload else value)

    return read


def _test(lookup: Lookup) -> Read:
    """Whether a path leads to a value, as CEL's `has` says it."""
    reader, by_value = _reader(lookup), lookup.by_value

    def read(scope: Scope) -> bool:
        try:
            value = reader(scope)
        except Unfit:
            return False
        return value is not ABSENT and (not by_value or bool(value))

    return read


def _opened(value: Any, scope: Scope) -> Any:
    datum = as_datum(value)
    return value if datum is None else content(datum, scope.contents)


def _is_payload(lookup: Lookup) -> bool:
    """True for what a caller gave as a Datum."""
    kind = lookup.kind
    return lookup.path.root == "parameters" and (kind.base is Base.BYTES or kind.type_name == TENSOR)


def artifacts(value: Any, scope: Scope) -> Iterator[Artifact]:
    """The artifact whose content has to be in the scope before the value can be used as bytes or tensor."""
    datum = as_datum(value)
    if datum is not None:
        if datum.WhichOneof("content") == "artifact" and datum.artifact.digest not in scope.contents:
            yield datum.artifact
    elif is_sequence(value):
        for item in value:
            yield from artifacts(item, scope)
    elif hasattr(value, "keys"):
        for key in value:
            yield from artifacts(value[key], scope)
