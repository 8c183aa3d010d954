"""How well a page was read: the character error rate against known text.

A prediction belongs to the known line that its centre lies on; the predictions of one line are joined by spaces, by
their place along it. The error rate is the sum of edits (Levenshtein 1966) over the sum of known characters;
predictions on no line count as insertions. So reading order does not matter, and splitting a line costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

Corners = Sequence[Sequence[float]]
"""Four points (x, y), clockwise from the top left one as one reads, in pixels."""


@dataclass(frozen=True, slots=True)
class Line:
    """A text and where it stands."""

    text: str
    corners: Corners


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of a page."""

    kind: str
    """`rendered` or `photo`."""
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Sums over lines; scores of pages add up."""

    edits: int = 0
    """Characters to insert, delete or replace."""
    characters: int = 0
    """Known characters."""
    bare_edits: int = 0
    """As edits, but with all spaces left out on both sides."""
    missed: int = 0
    """Known lines that nothing was read on."""
    strays: int = 0
    """Predictions on no line."""

    def __add__(self, other: Score) -> Score:
        return Score(
            self.edits + other.edits,
            self.characters + other.characters,
            self.bare_edits + other.bare_edits,
            self.missed + other.missed,
            self.strays + other.strays,
        )

    @property
    def error_rate(self) -> float:
        """Edits by known character; 0 is perfect, above 1 is possible."""
        return self.edits / max(1, self.characters)


def read_truth(path: Path) -> Truth:
    """The known text of a page, from the JSON beside its image."""
    document = json.loads(path.read_text("utf-8"))
    return Truth(document["kind"], tuple(Line(line["text"], line["corners"]) for line in document["lines"]))


def score_page(truth: Truth, predictions: Iterable[Line]) -> Score:
    """The score of one page."""
    found: dict[int, list[Line]] = {}
    for prediction in predictions:
        found.setdefault(_line_under(truth, prediction), []).append(prediction)
    score = sum((_score_stray(stray) for stray in found.pop(-1, [])), Score())
    for index, line in enumerate(truth.lines):
        score += _score_line(line, found.get(index, []))
    return score


def _line_under(truth: Truth, prediction: Line) -> int:
    centre = _centre(prediction)
    return next((index for index, line in enumerate(truth.lines) if _contains(line.corners, centre)), -1)


def _score_stray(stray: Line) -> Score:
    return Score(edits=len(stray.text), bare_edits=len(_bare(stray.text)), strays=1)


def _score_line(line: Line, predictions: list[Line]) -> Score:
    (x0, y0), (x1, y1) = line.corners[0], line.corners[1]
    along = sorted(predictions, key=lambda p: _centre(p)[0] * (x1 - x0) + _centre(p)[1] * (y1 - y0))
    text = " ".join(prediction.text for prediction in along)
    return Score(
        edits=edit_distance(text, line.text),
        characters=len(line.text),
        bare_edits=edit_distance(_bare(text), _bare(line.text)),
        missed=int(not predictions),
    )


def edit_distance(one: str, other: str) -> int:
    """Fewest insertions, deletions and replacements of one character that make one text of the other."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            diagonal, row[j] = row[j], min(diagonal + (left != right), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def _bare(text: str) -> str:
    return text.replace(" ", "")


def _centre(line: Line) -> tuple[float, float]:
    return sum(x for x, _ in line.corners) / 4, sum(y for _, y in line.corners) / 4


def _contains(corners: Corners, point: tuple[float, float]) -> bool:
    """True if the point lies on the same side of all four edges."""
    sides = []
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        sides.append((x1 - x0) * (point[1] - y0) - (y1 - y0) * (point[0] - x0))
    return all(side >= 0 for side in sides) or all(side <= 0 for side in sides)
