"""What the library of CEL says of an expression that it refuses, in words for the writer of a workflow."""

from __future__ import annotations

import re
from typing import Final

_FAULT: Final = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_SYNTAX: Final = "Syntax error: "
_UNEXPECTED: Final = re.compile(r"(?:mismatched|extraneous) input '(.*?)' expecting (.*)")
_MISSING: Final = re.compile(r"missing ('.*?') at .*")
_UNKNOWN: Final = re.compile(r"token recognition error at: '(.*)'")
_STUCK: Final = re.compile(r"no viable alternative at input (.*)")
_BUDGET: Final = "Iteration budget exceeded"
_MAX_SHOWN: Final = 200


def described(fault: RuntimeError) -> str:
    """The first fault of syntax, name or type, with its place."""
    found = _FAULT.search(str(fault))
    if found is None:
        return reason(str(fault))
    _, column, what = found.groups()
    what = what.replace(" (in container '')", "")
    if what.startswith(_SYNTAX):
        what = _syntax(what.removeprefix(_SYNTAX))
    advice = "; write double(...) around the integer" if "int" in what and "double" in what else ""
    place = f" (at character {column} of the expression)" if int(column) > 0 else ""
    return f"{what[:_MAX_SHOWN]}{place}{advice}"


def reason(text: str) -> str:
    """What the evaluator said, without its status."""
    if _BUDGET in text:
        return "takes more than 10000 iterations; shorten the lists, or let a step do it"
    return re.sub(r"^[A-Z_]+: |\s*\[[A-Z_]+\]$", "", text.strip().split("\n")[0])[:_MAX_SHOWN]


def _syntax(what: str) -> str:
    """The words of the parser (ANTLR) without its lists of tokens."""
    if found := _UNEXPECTED.fullmatch(what):
        given, wanted = found.groups()
        wanted = f"; {wanted} is missing" if wanted.startswith("'") else ""
        return ("the expression ends too early" if given == "<EOF>" else f"{given!r} cannot stand here") + wanted
    if found := _MISSING.fullmatch(what):
        return f"{found[1]} is missing"
    if found := _STUCK.fullmatch(what):
        return f"the expression cannot go on so after {found[1]}"
    return _token(found[1].strip()) if (found := _UNKNOWN.fullmatch(what)) else what


def _token(text: str) -> str:
    if text[:1] in ("'", '"'):
        return "the text that begins here has no end"
    return f"{text!r} is no part of the language" + ("; write == for equal" if text == "=" else "")
