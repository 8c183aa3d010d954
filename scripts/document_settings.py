"""Writes the tables of docs/reference/configuration.md from the settings classes.

Run it as `python scripts/document_settings.py`.
Everything between its two marks is made here; a test compares it.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from processing_service.config import Settings
from processing_service.config.keys import section_of, typed_fields

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "reference" / "configuration.md"
BEGIN: Final = "<!-- made by scripts/document_settings.py: begin -->\n"
END: Final = "<!-- made by scripts/document_settings.py: end -->\n"


def tables() -> str:
    """One table a section, sections of sections behind what holds them."""
    return "\n".join(_section(Settings, "", "The process", Settings.__doc__ or ""))


def rewritten(text: str) -> str:
    """The document with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + tables() + "\n" + END + rest.partition(END)[2]


def _section(settings: type, prefix: str, title: str, about: str) -> Iterator[str]:
    texts, inner = docstrings(settings), []
    yield f"## {title}\n\n{_one_line(about)}\n"
    yield "| key | type | default | meaning |\n| --- | --- | --- | --- |"
    for declared, kind in typed_fields(settings):
        name, text = prefix + declared.name, texts.get(declared.name, "")
        held = section_of(kind) or _element(kind)
        if held is None:
            yield _row(name, kind, declared, text)
        elif _element(kind) is not None:
            inner.append((held, f"{name}[].", f"`[[{name}]]`", text))
        else:
            inner.append((held, f"{name}.", f"`[{name}]`", text))
    yield ""
    for held, inner_prefix, inner_title, text in inner:
        yield from _section(held, inner_prefix, inner_title, _about(held, text))


def _about(settings: type, text: str) -> str:
    own = inspect.getdoc(settings) or ""
    return own if text in own else f"{text} {own}"


def _row(name: str, kind: Any, declared: Field[Any], text: str) -> str:
    return f"| `{name}` | {_kind(kind)} | {_default(declared)} | {_one_line(text)} |"


def _element(kind: Any) -> type | None:
    """The settings class of which the value is a list."""
    inner = get_args(kind)[0] if get_origin(kind) is tuple else None
    return inner if isinstance(inner, type) and is_dataclass(inner) else None


def _kind(kind: Any) -> str:
    if get_origin(kind) in (Union, UnionType):
        return _kind(next(one for one in get_args(kind) if one is not NoneType))
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    return {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}[kind]


def _default(declared: Field[Any]) -> str:
    value = declared.default if declared.default_factory is MISSING else declared.default_factory()
    if value is MISSING:
        return "required"
    if value is None or value in ("", ()):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _one_line(text: str) -> str:
    plain = re.sub(r"\bNone\b", "no value", " ".join(text.split())).replace("|", "\\|")
    return plain[:1].upper() + plain[1:]


def docstrings(settings: type) -> dict[str, str]:
    """The text under each field of a settings class."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(settings))).body
    assert isinstance(definition, ast.ClassDef)
    found, name = {}, ""
    for statement in definition.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
        elif name and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            found[name], name = str(statement.value.value), ""
    return {field.name: found[field.name] for field in fields(settings) if field.name in found}


if __name__ == "__main__":
    DOCUMENT.write_text(rewritten(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
