"""What an evaluation costs at most, told from the tree of an expression and the extents of what it reads.

The library stops after 10,000 iterations, but one iteration may compare two long lists, and `map` and `filter` copy
the list that they make at each item. It evaluates while it holds the interpreter, so nothing can stop it and no thread
can take it off the event loop: what costs too much must not begin. One unit is about 25 to 50 ns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from processing_service.engine.definitions.extents import SCALAR, Extent, text_extent, widest

Extents = Mapping[str, Extent]
"""By name of a variable; one that has no value is left out."""
Cost = Callable[[Extents], int]

_ITERATIONS: Final = 10_000
"""At which the library gives up."""
_FREE: Final = frozenset(
    {"_&&_", "_||_", "!_", "_?_:_", "_[_]", "size", "type", "dyn", "@not_strictly_false", "startsWith", "endsWith"}
)
_COMPARED: Final = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})
_PRIMITIVES: Final = frozenset({1, 2, 3, 4})
"""BOOL, INT64, UINT64, DOUBLE of cel.expr.Type.PrimitiveType."""
_TIMES: Final = frozenset({2, 3})
"""TIMESTAMP, DURATION of cel.expr.Type.WellKnownType."""
_LONGEST_SCALAR: Final = 40
"""Characters of a number or a time as text."""
_STATES: Final = 1000
"""States that the repetitions `{n}` of a pattern may make; RE2 takes no more."""
_PATTERN: Final = 20
"""Units that sixteen characters take with a pattern, beside those that its states take."""
_GIVEN: Final = 3
"""Units for each value of the result."""


class _Sized(NamedTuple):
    cost: int
    extent: Extent


_Node = Callable[[Extents], _Sized]


def cost_of(checked: Any) -> Cost:
    """From extents to the units that an evaluation takes at most, its result included.

    Args:
        checked: a CheckedExpr, as `read_tree` gives it.
    """
    node = _Reader(checked).node(checked.expr)

    def cost(extents: Extents) -> int:
        sized = node(extents)
        return sized.cost + _GIVEN * sized.extent.weight

    return cost


class _Reader:
    def __init__(self, checked: Any) -> None:
        self._variables = {
            entry.key: entry.value.name for entry in checked.reference_map if not entry.value.overload_id
        }
        self._scalars = {entry.key for entry in checked.type_map if _is_scalar(entry.value)}

    def node(self, expr: Any) -> _Node:
        """What a node costs, and what comes out of it."""
        if expr.id in self._variables:
            return _variable(self._variables[expr.id])
        node = self._by_kind(expr)
        if expr.id not in self._scalars:
            return node
        return lambda extents: _Sized(node(extents).cost, SCALAR)

    def _by_kind(self, expr: Any) -> _Node:
        kinds: dict[str, Callable[[Any], _Node]] = {
            "ident_expr": lambda ident: _variable(ident.name),
            "select_expr": lambda select: _selected(self.node(select.operand)),
            "call_expr": self._call,
            "list_expr": lambda made: _made([self.node(item) for item in made.elements], len(made.elements)),
            "struct_expr": self._map,
            "comprehension_expr": self._comprehension,
        }
        kind = next(filter(expr.HasField, kinds), "")
        return kinds[kind](getattr(expr, kind)) if kind else _constant(expr.const_expr)

    def _call(self, call: Any) -> _Node:
        written = [call.target, *call.args] if call.HasField("target") else list(call.args)
        function, arguments = call.function, [self.node(argument) for argument in written]
        units = _pattern_cost(written[-1]) if function == "matches" else 0

        def sized(extents: Extents) -> _Sized:
            parts = [argument(extents) for argument in arguments]
            given = [part.extent for part in parts]
            own = given[0].length * units if units else _own_cost(function, given)
            return _Sized(1 + own + sum(part.cost for part in parts), _result(function, given))

        return sized

    def _map(self, struct: Any) -> _Node:
        written = [part for entry in struct.entries for part in (entry.map_key, entry.value)]
        return _made([self.node(part) for part in written], len(struct.entries))

    def _comprehension(self, loop: Any) -> _Node:
        read, begin, test = self.node(loop.iter_range), self.node(loop.accu_init), self.node(loop.loop_condition)
        step, end = self.node(loop.loop_step), self.node(loop.result)

        def sized(extents: Extents) -> _Sized:
            items, first = read(extents), begin(extents)
            times, item = min(items.extent.length, _ITERATIONS), items.extent.inner
            inside = {**extents, loop.iter_var: item, loop.iter_var2: item, loop.accu_var: first.extent}
            once = step(inside)
            grown = _grown(first.extent, once.extent, times)
            result = end({**extents, loop.accu_var: grown})
            # each step copies the list so far: half of the last one, on average
            each = 1 + test(inside).cost + once.cost + (grown.length - first.extent.length) // 2
            return _Sized(items.cost + first.cost + times * each + result.cost, result.extent)

        return sized


def _constant(constant: Any) -> _Node:
    sized = _Sized(1, text_extent(len(constant.string_value) or len(constant.bytes_value)))
    return lambda extents: sized


def _variable(name: str) -> _Node:
    return lambda extents: _Sized(1, extents.get(name, SCALAR))


def _selected(operand: _Node) -> _Node:
    def sized(extents: Extents) -> _Sized:
        cost, extent = operand(extents)
        return _Sized(cost + 1, extent.inner)

    return sized


def _made(parts: list[_Node], count: int) -> _Node:
    def sized(extents: Extents) -> _Sized:
        made = [part(extents) for part in parts]
        weight = 1 + sum(part.extent.weight for part in made)
        extent = Extent(count, weight, widest(part.extent for part in made))
        return _Sized(1 + sum(part.cost for part in made), extent)

    return sized


def _own_cost(function: str, given: list[Extent]) -> int:
    """What a function touches of its arguments."""
    if function in _FREE:
        return 0
    if function in _COMPARED:
        return min(extent.weight for extent in given)
    if function == "_+_":
        return sum(extent.length for extent in given)
    return sum(extent.weight for extent in given)


def _result(function: str, given: list[Extent]) -> Extent:
    if function == "_[_]":
        return given[0].inner
    if function == "_?_:_":
        return widest(given[1:])
    if function == "dyn":
        return given[0]
    count, weight = sum(extent.length for extent in given), sum(extent.weight for extent in given)
    if function == "_+_":
        return Extent(count, weight, widest(given).element)
    return Extent(count + _LONGEST_SCALAR, weight + _LONGEST_SCALAR)


def _grown(first: Extent, once: Extent, times: int) -> Extent:
    """What becomes of an extent that grows by as much at each of so many steps as at the first."""
    count = first.length + times * max(0, once.length - first.length)
    return Extent(count, first.weight + times * max(0, once.weight - first.weight), once.element)


def _pattern_cost(pattern: Any) -> int:
    """Units that a pattern takes for sixteen characters; one that is not known may have as many states as any."""
    text = pattern.const_expr.string_value
    return _PATTERN + (len(text) if text and "{" not in text else _STATES) * 2


def _is_scalar(kind: Any) -> bool:
    return kind.primitive in _PRIMITIVES or kind.HasField("null") or kind.well_known in _TIMES
