"""What the tree of an expression says of its cost."""

from __future__ import annotations

from typing import Any

import pytest
from cel_expr_python import cel
from hypothesis import given
from hypothesis import strategies as st

from processing_service.engine.definitions.expression_costs import Cost, cost_of
from processing_service.engine.definitions.expression_trees import read_tree
from processing_service.engine.definitions.extents import measure

TYPES = {"xs": cel.Type.List(cel.Type.INT), "s": cel.Type.STRING, "d": cel.Type.DYN}


def cost(expression: str) -> Cost:
    """The cost of an expression over a list `xs`, a text `s` and anything `d`."""
    return cost_of(read_tree(cel.NewEnv(variables=TYPES).compile(expression).serialize()))


def units(expression: str, **values: Any) -> int:
    """What it costs on those values."""
    return cost(expression)({name: measure(value) for name, value in values.items()})


def growth(expression: str) -> float:
    """By how much more it costs on ten times as much."""
    less, more = ({"xs": [1] * n, "s": "a" * 16 * n, "d": {"a": [1] * n}} for n in (500, 5000))
    return units(expression, **more) / units(expression, **less)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("size(xs) > 0", 1),
        ("xs[3] > 0", 1),
        ("has(d.a) && d.a[0] == 1", 1),
        ("xs == []", 1),
        ("s.startsWith('a')", 1),
        ("xs.all(x, x > 0)", 10),
        ("3 in xs", 10),
        ("s.contains('b')", 10),
        ("s.matches('a+b')", 10),
        ("s + s", 10),
        ("xs == xs", 10),
        ("d.a.exists(x, x == 3)", 10),
        ("xs.exists_one(x, x == 3) ? 1 : 2", 10),
        ("xs.map(x, x)", 100),
        ("xs.filter(x, x > 0)", 100),
        ("xs.filter(x, x > 0).map(x, x * 2)", 100),
        ("d.a.map(x, x > 0, x)", 100),
        ("xs.all(x, x in xs)", 100),
        ("xs.all(x, size(s + s) > 0)", 100),
        ("xs.map(x, xs)", 100),
        ("xs.all(x, xs.all(y, x + y > 0))", 100),
        ("[xs].all(l, l.all(x, x > 0))", 10),
        ("{'a': xs}.a.all(x, x > 0)", 10),
        ("xs.map(x, xs).all(l, l == xs)", 100),
        ("xs.all(x, xs.all(y, x in xs))", 1000),
    ],
)
def test_cost_grows_as_the_work_does(expression: str, expected: int) -> None:
    """Not at all, as the values, as their square, as their cube."""
    assert 0.8 * expected <= growth(expression) <= 1.2 * expected


def test_a_repetition_costs_more_than_a_plain_pattern() -> None:
    """A pattern with {n}, or one that a caller gives, may have as many states as the library takes."""
    text = "ab" * 1000

    plain, repeated, given_one = (units(f"s.matches({p})", s=text) for p in ("'(a|b)+c'", "'[ab]{900}c'", "d.a"))

    assert repeated == given_one - 1
    assert repeated > 20 * plain


values = st.fixed_dictionaries(
    {
        "xs": st.lists(st.integers(), max_size=20),
        "s": st.text(max_size=50),
        "d": st.fixed_dictionaries({"a": st.lists(st.one_of(st.integers(), st.text(max_size=20)), max_size=20)}),
    }
)
EXPRESSIONS = [
    "xs.all(x, x in xs)",
    "xs.map(x, [x, x])",
    "d.a.map(x, [x]).filter(y, size(y) > 0)",
    "[s, s].map(t, t + s)",
    "d.a.exists(x, x == s) ? xs : [1]",
]


@given(values, st.sampled_from(EXPRESSIONS))
def test_nothing_is_free_and_less_never_costs_more(given_values: dict[str, Any], expression: str) -> None:
    """One item less, or a text that is shorter, costs no more."""
    shorter = {"xs": given_values["xs"][1:], "s": given_values["s"][1:], "d": {"a": given_values["d"]["a"][1:]}}

    assert 0 < units(expression, **shorter) <= units(expression, **given_values)
