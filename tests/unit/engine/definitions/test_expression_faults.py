"""Faults of expressions are told in words, not in the parser's lists of tokens."""

import pytest

from processing_service.engine.definitions.expressions import compile_expression
from processing_service.engine.definitions.paths import Names, Unfit


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 +", "the expression ends too early (at character 4 of the expression)"),
        ("1 2", "'2' cannot stand here (at character 3 of the expression)"),
        ("(1", "')' is missing (at character 3 of the expression)"),
        ("true ? 2", "the expression ends too early; ':' is missing (at character 9 of the expression)"),
        ("'abc", "the text that begins here has no end (at character 1 of the expression)"),
        ("1 = 2", "'=' is no part of the language; write == for equal (at character 3 of the expression)"),
        ("1 $ 2", "'$' is no part of the language (at character 3 of the expression)"),
    ],
)
def test_syntax(text, told):
    """Each with what is wrong and where."""
    with pytest.raises(Unfit) as raised:
        compile_expression(text, Names({}, {}))

    assert raised.value.description == told
