"""CEL expressions: compiled once, checked against the kinds of what they read.

Each field path of an expression is one variable of its own, so an evaluation hands over a width and not the message
with the picture that it stands in. The library's budgets (100,000 code points, 32 levels, 10,000 iterations) stay on;
they do not bound what one iteration takes, so what an evaluation costs is told beforehand, here when it is compiled and
again from the values that it reads.
Language: https://github.com/google/cel-spec.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pool

from processing_service.engine.definitions.expression_costs import Cost, cost_of
from processing_service.engine.definitions.expression_faults import described, reason
from processing_service.engine.definitions.expression_trees import read_tree
from processing_service.engine.definitions.expression_values import is_known
from processing_service.engine.definitions.extents import Extent, measure, text_extent
from processing_service.engine.definitions.kinds import ANY, BOOL, BYTES, INT, NUMBER, STRING, Base, Kind, message_kind
from processing_service.engine.definitions.paths import Lookup, Names, Unfit, look_up
from processing_service.engine.definitions.references import find_references

_COMPARISON: Final = re.compile(r"'(?:_[<>=!]=?_|@in)'")
MAX_LENGTH: Final = 4096
"""Longest expression, in characters."""
MAX_COST: Final = 4_000_000
"""Operations that an evaluation may take, as `cost_of` counts them: about 0.1 s, in which nothing else happens."""
_SHORT: Final = 4096
"""Characters up to which a text is not measured."""
_ANY_SIZE: Final = Extent(1 << 25, 1 << 25)
"""More than any value that an evaluation may read."""


class Variable(NamedTuple):
    """What an expression reads from a path."""

    name: str
    """The path as it is written, such as `steps.page.decode.width`."""
    lookup: Lookup
    tested: bool
    """True if it is whether there is a value, and not the value."""


class Expression(NamedTuple):
    """A compiled expression."""

    text: str
    variables: tuple[Variable, ...]
    kind: Kind
    """What it comes to, as far as that can be told."""
    evaluate: Callable[[Mapping[str, Any]], Any]
    """From values by variable name, as `Intake.to_cel` gives them, to a value of Python. Raises Unfit, also if it would
    take more than MAX_COST."""


def compile_expression(text: str, names: Names) -> Expression:
    """Compiles an expression. Raises Unfit for a fault of syntax, name or type."""
    if len(text) > MAX_LENGTH:
        raise Unfit(f"an expression of {len(text)} characters, at most {MAX_LENGTH} are taken")
    written, references = find_references(text)
    variables = tuple(Variable(name, look_up(path, names), tested) for name, path, tested in references)
    try:
        program = _program(written, variables, exact=True)
    except RuntimeError as fault:
        if not _COMPARISON.search(str(fault)):
            raise Unfit(described(fault)) from None
        # The checker compares numbers of one type only, the evaluator those of any.
        try:
            program = _program(written, variables, exact=False)
        except RuntimeError:
            raise Unfit(described(fault)) from None
    check = _cost_check(cost_of(read_tree(program.serialize())), [variable.name for variable in variables])
    return Expression(text, variables, _kind_of(program.return_type()), _evaluator(program, variables, check))


def _cost_check(cost: Cost, names: Sequence[str]) -> Callable[[Mapping[str, Any]], None] | None:
    """What raises Unfit for values with which an evaluation costs too much; None if there are none such."""
    if cost({}) > MAX_COST:
        raise _too_costly(cost({}), "whatever it reads; make it simpler")
    if cost(dict.fromkeys(names, _ANY_SIZE)) <= MAX_COST:
        return None
    fits_short = cost(dict.fromkeys(names, text_extent(_SHORT))) <= MAX_COST

    def check(values: Mapping[str, Any]) -> None:
        if fits_short and all(map(_is_short, values.values())):
            return
        for inside in (False, True):
            units = cost({name: measure(value, inside=inside) for name, value in values.items()})
            if units <= MAX_COST:
                return
        raise _too_costly(units, "on values of this size; read less, or let a step do it")

    return check


def _is_short(value: Any) -> bool:
    return isinstance(value, int | float | None) or (isinstance(value, str | bytes) and len(value) <= _SHORT)


def _too_costly(units: int, advice: str) -> Unfit:
    return Unfit(f"may take {units} operations, at most {MAX_COST} are made for one expression, {advice}")


def _program(text: str, variables: tuple[Variable, ...], *, exact: bool) -> Any:
    cel = _library()
    types = {name: cel.Type.BOOL if tested else _type(lookup.kind, exact) for name, lookup, tested in variables}
    return cel.NewEnv(descriptor_pool.Default(), variables=types).compile(text)


def _evaluator(
    program: Any, variables: tuple[Variable, ...], check: Callable[[Mapping[str, Any]], None] | None
) -> Callable[[Mapping[str, Any]], Any]:
    error = _library().Type.ERROR

    def evaluate(values: Mapping[str, Any]) -> Any:
        if check is not None:
            check(values)
        try:
            result = program.eval(data=values)
            plain = result.plain_value()
        except RuntimeError as fault:
            raise Unfit(described(fault)) from None
        if isinstance(plain, str) and result.type() == error:
            missing = [name for name, _, _ in variables if name not in values]
            raise Unfit(f"{missing[0]} has no value here; guard it with has(...)" if missing else reason(plain))
        return plain if isinstance(plain, bool | str | int | float) else _native(plain)

    return evaluate


def _native(value: Any) -> Any:
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, list):
        return [_native(item) for item in value]
    if isinstance(value, dict):
        return {key: _native(item) for key, item in value.items()}
    return value


def _type(kind: Kind, exact: bool) -> Any:
    types = _library().Type
    if kind.lists:
        return types.List(_type(kind.element, exact))
    if kind.base is Base.MAP:
        return types.Map(types.DYN, types.DYN if kind.values is None else _type(kind.values, exact))
    if kind.base is Base.MESSAGE:
        return types(kind.type_name) if is_known(kind.type_name) else types.DYN
    name = _CEL_TYPES.get(kind.base, "DYN") if exact or kind.base not in _NUMBERS else "DYN"
    return getattr(types, name)


_NUMBERS: Final = frozenset({Base.INT, Base.NUMBER, Base.ENUM})
_CEL_TYPES: Final = {
    Base.BOOL: "BOOL",
    Base.INT: "INT",
    Base.ENUM: "INT",
    Base.NUMBER: "DOUBLE",
    Base.STRING: "STRING",
    Base.BYTES: "BYTES",
}
_KINDS: Final = {
    "BOOL": BOOL,
    "INT": INT,
    "UINT": INT,
    "DOUBLE": NUMBER,
    "STRING": STRING,
    "BYTES": BYTES,
    "NULL": Kind(Base.NULL),
    "DURATION": Kind(Base.MESSAGE, "google.protobuf.Duration"),
    "TIMESTAMP": Kind(Base.MESSAGE, "google.protobuf.Timestamp"),
}


def _kind_of(kind: Any) -> Kind:
    """The kind of a CEL type."""
    name = kind.name()
    layers = 0
    while name.startswith("LIST<"):
        name, layers = name[5:-1], layers + 1
    if name.startswith("MAP<"):
        return Kind(Base.MAP, lists=layers)
    if name not in _KINDS and is_known(name):
        return message_kind(descriptor_pool.Default().FindMessageTypeByName(name)).listed(layers)
    return _KINDS.get(name, ANY).listed(layers)


@lru_cache(maxsize=1)
def _library() -> Any:
    from cel_expr_python import cel

    return cel
