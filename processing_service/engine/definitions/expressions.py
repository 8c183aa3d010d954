"""CEL expressions: compiled once, checked against the kinds of what they read.

Each field path of an expression is one variable of its own, so an evaluation hands over a width and not the message
with the picture that it stands in. The library's budgets (100,000 code points, 32 levels, iterations) stay on.
Language: https://github.com/google/cel-spec.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from google.protobuf import descriptor_pool
from google.protobuf.message import Message

from processing_service.engine.definitions.kinds import ANY, BOOL, BYTES, INT, NUMBER, STRING, Base, Kind, message_kind
from processing_service.engine.definitions.paths import Lookup, Names, Unfit, json_value, look_up
from processing_service.engine.definitions.references import find_references

_FAULT: Final = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_COMPARISON: Final = re.compile(r"'(?:_[<>=!]=?_|@in)'")
MAX_LENGTH: Final = 4096
"""Longest expression, in characters."""
_MAX_SHOWN: Final = 200


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
    """From values by variable name, as `to_cel` gives them, to a value of Python. Raises Unfit."""


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
            raise Unfit(_described(fault)) from None
        # The checker compares numbers of one type only, the evaluator those of any.
        try:
            program = _program(written, variables, exact=False)
        except RuntimeError:
            raise Unfit(_described(fault)) from None
    return Expression(text, variables, _kind_of(program.return_type()), _evaluator(program, variables))


def to_cel(value: Any) -> Any:
    """The value as the evaluator takes it."""
    value = json_value(value)
    if isinstance(value, Message):
        return value if _is_known(value.DESCRIPTOR.full_name) else _fields(value)
    if isinstance(value, str | bytes | int | float | None):
        return value
    if isinstance(value, Mapping) or hasattr(value, "keys"):
        return {key: to_cel(value[key]) for key in value}
    return [to_cel(item) for item in value]


def _fields(message: Message) -> dict[str, Any]:
    """A message that CEL does not know, as a map."""
    return {field.name: to_cel(getattr(message, field.name)) for field in message.DESCRIPTOR.fields}


def _program(text: str, variables: tuple[Variable, ...], *, exact: bool) -> Any:
    cel = _library()
    types = {name: cel.Type.BOOL if tested else _type(lookup.kind, exact) for name, lookup, tested in variables}
    return cel.NewEnv(descriptor_pool.Default(), variables=types).compile(text)


def _evaluator(program: Any, variables: tuple[Variable, ...]) -> Callable[[Mapping[str, Any]], Any]:
    error = _library().Type.ERROR

    def evaluate(values: Mapping[str, Any]) -> Any:
        try:
            result = program.eval(data=values)
            plain = result.plain_value()
        except RuntimeError as fault:
            raise Unfit(_described(fault)) from None
        if isinstance(plain, str) and result.type() == error:
            missing = [name for name, _, _ in variables if name not in values]
            raise Unfit(f"{missing[0]} has no value here; guard it with has(...)" if missing else _reason(plain))
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
        return types(kind.type_name) if _is_known(kind.type_name) else types.DYN
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
    if name not in _KINDS and _is_known(name):
        return message_kind(descriptor_pool.Default().FindMessageTypeByName(name)).listed(layers)
    return _KINDS.get(name, ANY).listed(layers)


@lru_cache(maxsize=1024)
def _is_known(type_name: str) -> bool:
    try:
        descriptor_pool.Default().FindMessageTypeByName(type_name)
    except KeyError:
        return False
    return True


@lru_cache(maxsize=1)
def _library() -> Any:
    from cel_expr_python import cel

    return cel


def _described(fault: RuntimeError) -> str:
    found = _FAULT.search(str(fault))
    if found is None:
        return _reason(str(fault))
    _, column, what = found.groups()
    what = what.replace(" (in container '')", "").removeprefix("Syntax error: ")
    advice = "; write double(...) around the integer" if "int" in what and "double" in what else ""
    place = f" (at character {column} of the expression)" if int(column) > 0 else ""
    return f"{what[:_MAX_SHOWN]}{place}{advice}"


def _reason(text: str) -> str:
    """What the evaluator said, without its status."""
    return re.sub(r"^[A-Z_]+: |\s*\[[A-Z_]+\]$", "", text.strip().split("\n")[0])[:_MAX_SHOWN]
