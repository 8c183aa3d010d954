"""Blocks of documents that can be run, and whether a run of them did what the document shows.

Those are the blocks in `sh` and `python`, each a whole script or program. Behind one may stand what comes of it:
`json`, of which everything has to be in the output, or `text`, of which every line has to be. A comment
`# exits with N` in a block says its exit code. Every other block names a language, too, so that none goes unrun only
because somebody forgot to write one: `console` for lines that are not to be run, `text` for what is to be looked at.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OPENING = re.compile(r"\s*(`{3,}|~{3,})(.*)")
_EXIT = re.compile(r"# exits with (\d+)")


@dataclass(frozen=True)
class Block:
    """One block of a document."""

    place: str
    """`path:line`."""
    language: str
    """`sh` or `python`."""
    script: str
    shown: str = ""
    """What the document shows behind it; empty if nothing."""
    shown_as: str = "text"
    """`json` or `text`."""

    @property
    def command(self) -> tuple[str, ...]:
        """What runs it."""
        if self.language == "python":
            return (sys.executable, "-c", self.script)
        return ("bash", "-c", f"set -euo pipefail\n{self.script}")

    @property
    def exit_code(self) -> int:
        """What the document says that it exits with."""
        found = _EXIT.search(self.script)
        return int(found[1]) if found else 0

    def faults(self, code: int, output: str) -> Iterator[str]:
        """What is not as the document shows it."""
        if code != self.exit_code:
            yield f"{self.place}: exit code {code}, not {self.exit_code}: {output[-2000:]}"
        elif self.shown_as == "json":
            yield from self._faults_of_json(output)
        else:
            came = " ".join(output.split())
            for line in filter(None, (" ".join(line.split()) for line in self.shown.splitlines())):
                if line not in came:
                    yield f"{self.place}: the output does not have {line!r}: {output[:2000]}"

    def _faults_of_json(self, output: str) -> Iterator[str]:
        try:
            came = list(_values(output))
        except json.JSONDecodeError:
            yield f"{self.place}: the output is not JSON: {output[:2000]}"
            return
        missing = _first_missing(list(_values(self.shown)), came)
        if missing is not None:
            yield f"{self.place}: the output does not have {json.dumps(missing)}: {output[:2000]}"


def blocks_of(path: Path) -> list[Block]:
    """The blocks of a document that can be run."""
    text = path.read_text(encoding="utf-8")
    fences = list(_FENCE.finditer(text))
    blocks = []
    for fence, following in zip_longest(fences, fences[1:]):
        place = f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, fence.start()) + 1}"
        shown = following is not None and following[1] in ("json", "text")
        if fence[1] in ("sh", "python"):
            blocks.append(Block(place, fence[1], fence[2], *(following.group(2, 1) if shown else ())))
    return blocks


def nameless_fences(path: Path) -> list[str]:
    """`path:line` of each block without a language, or fenced in a way that `blocks_of` does not read."""
    places, closing = [], ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _OPENING.fullmatch(line)
        if closing:
            closing = "" if line.strip() == closing else closing
        elif fence:
            closing = fence[1]
            if not re.fullmatch(r"```\w+", line):
                places.append(f"{path.name}:{number}")
    return places


def _values(text: str) -> Iterator[Any]:
    """The JSON values that stand one behind the other."""
    decoder, text = json.JSONDecoder(), text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].strip()


def _first_missing(shown: list[Any], actual: list[Any]) -> Any:
    """The first value shown that does not come, in this order; None if all do."""
    rest = iter(actual)
    return next((value for value in shown if not any(_is_in(value, other) for other in rest)), None)


def _is_in(shown: Any, actual: Any) -> bool:
    """Whether everything that is shown is there: fields of objects by name, elements of lists in their order."""
    if isinstance(shown, dict):
        return isinstance(actual, dict) and all(key in actual and _is_in(shown[key], actual[key]) for key in shown)
    if isinstance(shown, list):
        return isinstance(actual, list) and _first_missing(shown, actual) is None
    return bool(shown == actual)
