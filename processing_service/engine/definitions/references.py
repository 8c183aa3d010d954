"""The field paths that an expression reads, found in its text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from processing_service.engine.definitions.paths import ROOTS, Path

_TOKEN: Final = re.compile(
    r"""(?P<skip>\s+|//[^\n]*)
    |(?P<text>[bBrR]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'))
    |(?P<name>[A-Za-z_]\w*)
    |(?P<number>[0-9][\w.]*)
    |(?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)


class Reference(NamedTuple):
    """A path in an expression."""

    name: str
    """The path as it is written, or, where it is tested, the name of the answer."""
    path: Path
    tested: bool
    """True for `has(path)`."""


class _Token(NamedTuple):
    sort: str
    text: str
    start: int
    end: int


def find_references(text: str) -> tuple[str, list[Reference]]:
    """The paths of an expression, and its text with each `has(path)` replaced by a name of the same length."""
    found: dict[str, Reference] = {}
    for words, start, end in list(_chains(text)):
        tested = start >= 0
        name = f"__has_{len(found)}" if tested else ".".join(words)
        if tested:
            text = text[:start] + name.ljust(end - start) + text[end:]
        found[name] = Reference(name, Path(words[0], tuple(words[1:])), tested)
    return text, list(found.values())


def _chains(text: str) -> Iterator[tuple[list[str], int, int]]:
    """The words of each path; where `has(path)` begins and ends, or -1."""
    tokens = [_Token(str(m.lastgroup), m.group(), *m.span()) for m in _TOKEN.finditer(text) if m.lastgroup != "skip"]
    tokens += [_Token("mark", "", len(text), len(text))] * 2
    index = 0
    while tokens[index].text:
        start, index = index, index + 1
        if tokens[start].text not in ROOTS or (start and tokens[start - 1].text == "."):
            continue
        words = [tokens[start].text]
        while tokens[index].text == "." and tokens[index + 1].sort == "name" and tokens[index + 2].text != "(":
            words.append(tokens[index + 1].text)
            index += 2
        opened = start > 1 and (tokens[start - 2].text, tokens[start - 1].text) == ("has", "(")
        tested = opened and tokens[index].text == ")" and len(words) > 1
        yield words, tokens[start - 2].start if tested else -1, tokens[index].end if tested else -1
