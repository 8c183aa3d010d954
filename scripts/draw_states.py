"""Draws docs/design/states-of-a-*.svg: the states of a session, a step and a batch.

Run it as `python scripts/draw_states.py`.
What a client may ask for comes from the tables of the engine (`LEGAL`), the rest from those below; a test holds the
pictures to both. As in a statechart, an arrow from a box holds for each state in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

from processing_service.engine.batches.records import BatchAction, BatchState
from processing_service.engine.batches.rules import LEGAL as LEGAL_OF_BATCH
from processing_service.engine.commands import LEGAL as LEGAL_OF_SESSION
from processing_service.engine.projection import kept
from processing_service.engine.records import Action, SessionState, StepState
from processing_service.engine.state import Step

FOLDER: Final = Path(__file__).parents[1] / "docs" / "design"
_HALF: Final = 19
"""Half the height of a state, in pixels, as all lengths here."""
_ROUND: Final = 7
_COLOURS: Final = {
    "SUCCEEDED": "#d6f0dc",
    "SKIPPED": "#d6f0dc",
    "PARTIALLY_SUCCEEDED": "#f5efc8",
    "FAILED": "#f9d9d6",
    "TIMED_OUT": "#f9d9d6",
    "TERMINATED": "#e6e6e6",
    "CANCELLED": "#e6e6e6",
}
_LIVE: Final = "#dbe8fb"


class Box(NamedTuple):
    """Some states that have an arrow in common: its left, top, right and bottom."""

    states: frozenset[IntEnum]
    left: int
    top: int
    right: int
    bottom: int


class Route(NamedTuple):
    """An arrow: the points that it goes through, its label, and where that stands."""

    points: tuple[tuple[int, int], ...]
    label: str = ""
    at: tuple[int, int] = (0, 0)
    anchor: str = "middle"


class Machine(NamedTuple):
    """A picture of states."""

    title: str
    width: int
    height: int
    begin: tuple[tuple[int, int], tuple[int, int]]
    """The arrow into the first state."""
    places: Mapping[IntEnum, tuple[int, int]]
    boxes: Mapping[str, Box]
    wishes: Mapping[Any, Iterable[Any]]
    """In which states what may be asked for that leads to another one."""
    asked: Mapping[tuple[str, str], Route]
    """How the arrow of a wish goes, from a state or a box."""
    happens: Iterable[Route]
    """What else happens."""


def sources(states: Iterable[IntEnum], boxes: Mapping[str, Box]) -> list[str]:
    """The names of the boxes that these states fill, the largest first, and of the states that are left."""
    left, found = set(states), []
    for name, box in sorted(boxes.items(), key=lambda each: -len(each[1].states)):
        if box.states <= left:
            left -= box.states
            found.append(name)
    return found + [state.name for state in sorted(left)]


def drawn(machine: Machine) -> str:
    """The picture as SVG. Raises KeyError for a wish whose arrow has no way yet."""
    routes = [Route(machine.begin), *machine.happens]
    for wish, states in machine.wishes.items():
        routes += [machine.asked[wish.name, source] for source in sources(states, machine.boxes)]
    parts = [_HEAD.format(title=escape(machine.title), width=machine.width, height=machine.height)]
    parts += [_box(box) for box in machine.boxes.values()]
    parts += [_arrow(route) for route in routes]
    parts.append('<circle cx="{}" cy="{}" r="6" fill="#333"/>'.format(*machine.begin[0]))
    parts += [_state(state.name, *place) for state, place in machine.places.items()]
    parts += [_label(route) for route in routes if route.label]
    parts.append(_CAPTION.format(x=machine.width - 20, y=machine.height - 12))
    return "\n".join([*parts, "</svg>", ""])


_HEAD: Final = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" font-family="Helvetica, Arial, sans-serif" role="img">
<title>{title}</title>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">\
<path d="M0 0 10 5 0 10z" fill="#333"/></marker></defs>
<rect width="{width}" height="{height}" rx="8" fill="#fff"/>"""
_CAPTION: Final = """<text x="{x}" y="{y}" text-anchor="end" font-size="12" font-style="italic" fill="#555">\
An arrow from a dashed box holds for each state in it.</text>"""


def _box(box: Box) -> str:
    width, height = box.right - box.left, box.bottom - box.top
    place = f'x="{box.left}" y="{box.top}" width="{width}" height="{height}"'
    return f'<rect {place} rx="10" fill="none" stroke="#888" stroke-dasharray="5 4"/>'


def _state(name: str, x: int, y: int) -> str:
    half = width_of(name) // 2
    place = f'x="{x - half}" y="{y - _HALF}" width="{2 * half}" height="{2 * _HALF}"'
    rectangle = f'<rect {place} rx="9" fill="{_COLOURS.get(name, _LIVE)}" stroke="#333"/>'
    text = f'<text x="{x}" y="{y + 5}" text-anchor="middle" font-size="14" font-weight="bold" fill="#111">{name}</text>'
    return rectangle + "\n" + text


def width_of(name: str) -> int:
    """Width of a state with that name."""
    return max(126, 11 * len(name) + 8)


def _arrow(route: Route) -> str:
    points, path = route.points, []
    for index, (x, y) in enumerate(points[1:-1], 1):
        before, after = _towards((x, y), points[index - 1]), _towards((x, y), points[index + 1])
        path.append(f"L{before[0]} {before[1]} Q{x} {y} {after[0]} {after[1]}")
    (x, y), (end_x, end_y) = points[0], points[-1]
    line = " ".join([f"M{x} {y}", *path, f"L{end_x} {end_y}"])
    return f'<path d="{line}" fill="none" stroke="#333" stroke-width="1.4" marker-end="url(#tip)"/>'


def _towards(corner: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """A point a little way from a corner on the line to another one."""
    moved = [here + max(-_ROUND, min(_ROUND, there - here)) for here, there in zip(corner, other, strict=True)]
    return moved[0], moved[1]


def _label(route: Route) -> str:
    x, y = route.at
    place, text = f'<text x="{x}" y="{y}" text-anchor="{route.anchor}" font-size="13"', escape(route.label)
    return f'{place} fill="#fff" stroke="#fff" stroke-width="3">{text}</text>\n{place} fill="#222">{text}</text>'


_PENDING, _RUNNING, _PAUSING, _PAUSED = (SessionState(number) for number in range(1, 5))
_SESSION: Final = Machine(
    "The states of a session",
    1030,
    500,
    ((35, 125), (127, 125)),
    {
        SessionState.PENDING: (190, 125),
        SessionState.RUNNING: (460, 125),
        SessionState.PAUSING: (190, 265),
        SessionState.PAUSED: (460, 265),
        SessionState.CANCELLING: (460, 435),
        SessionState.SUCCEEDED: (900, 115),
        SessionState.TIMED_OUT: (900, 195),
        SessionState.FAILED: (900, 265),
        SessionState.TERMINATED: (900, 375),
        SessionState.CANCELLED: (900, 435),
    },
    {
        "open": Box(frozenset(state for state in SessionState if not state.terminal), 75, 55, 605, 475),
        "before the cancel": Box(frozenset({_PENDING, _RUNNING, _PAUSING, _PAUSED}), 90, 70, 590, 365),
        "before the pause": Box(frozenset({_PENDING, _RUNNING}), 105, 85, 575, 165),
        "paused": Box(frozenset({_PAUSING, _PAUSED}), 105, 225, 575, 305),
        "ended badly": Box(
            frozenset(state for state in SessionState if state > SessionState.SUCCEEDED), 820, 160, 980, 470
        ),
    },
    LEGAL_OF_SESSION,
    {
        ("PAUSE", "before the pause"): Route(((190, 165), (190, 246)), "PAUSE", (198, 200), "start"),
        ("RESUME", "paused"): Route(((460, 225), (460, 144)), "RESUME", (468, 200), "start"),
        ("CANCEL", "before the cancel"): Route(((460, 365), (460, 416)), "CANCEL", (468, 396), "start"),
        ("TERMINATE", "open"): Route(((605, 375), (837, 375)), "TERMINATE", (712, 368)),
        ("RETRY", "ended badly"): Route(
            ((980, 300), (1005, 300), (1005, 30), (460, 30), (460, 106)), "RETRY: the next attempt", (712, 24)
        ),
    },
    (
        Route(((253, 125), (397, 125)), "its start is stored", (325, 117)),
        Route(((253, 265), (397, 265)), "no call is out", (325, 257)),
        Route(((523, 115), (837, 115)), "outputs evaluated", (712, 108)),
        Route(((523, 135), (630, 135), (630, 195), (837, 195)), "its budget is used up", (722, 188)),
        Route(((523, 135), (630, 135), (630, 257), (837, 257)), "a step failed for good", (722, 250)),
        Route(((190, 284), (190, 335), (650, 335), (650, 273), (837, 273)), "a step failed for good", (738, 290)),
        Route(((523, 435), (837, 435)), "every call has a receipt", (712, 428)),
    ),
)
_STEP: Final = Machine(
    "The states of a step",
    1030,
    425,
    ((35, 165), (117, 165)),
    {
        StepState.WAITING: (180, 165),
        StepState.RUNNING: (500, 165),
        StepState.SKIPPED: (900, 90),
        StepState.SUCCEEDED: (900, 165),
        StepState.FAILED: (900, 250),
        StepState.CANCELLED: (900, 315),
    },
    {
        "open": Box(frozenset({StepState.WAITING, StepState.RUNNING}), 95, 115, 585, 220),
        "kept": Box(frozenset(state for state in StepState if kept(Step(state))), 820, 60, 980, 195),
        "again": Box(
            frozenset(state for state in StepState if state > StepState.SUCCEEDED and not kept(Step(state))),
            820,
            220,
            980,
            345,
        ),
    },
    {Action.RETRY: frozenset(state for state in StepState if Step(state).ended)},
    {
        ("RETRY", "kept"): Route(
            ((900, 60), (900, 32), (160, 32), (160, 146)), "RETRY, if what it was made from runs again", (530, 25)
        ),
        ("RETRY", "again"): Route(((900, 345), (900, 375), (180, 375), (180, 184)), "RETRY", (530, 368)),
    },
    (
        Route(((243, 155), (437, 155)), "its call goes out", (340, 147)),
        Route(((437, 175), (243, 175)), "another try, or taken back", (340, 195)),
        Route(((200, 146), (200, 90), (837, 90)), "its condition is false", (700, 83)),
        Route(((563, 165), (837, 165)), "a result, new or reused", (700, 158)),
        Route(((585, 205), (615, 205), (615, 250), (837, 250)), "no other try", (720, 243)),
        Route(((340, 220), (340, 315), (837, 315)), "its session ends, or cancels the call", (590, 308)),
    ),
)
_BATCH: Final = Machine(
    "The states of a batch",
    1135,
    500,
    ((20, 125), (57, 125)),
    {
        BatchState.CREATED: (120, 125),
        BatchState.RUNNING: (420, 125),
        BatchState.PAUSING: (390, 265),
        BatchState.PAUSED: (620, 265),
        BatchState.CANCELLING: (420, 400),
        BatchState.SUCCEEDED: (990, 115),
        BatchState.PARTIALLY_SUCCEEDED: (990, 195),
        BatchState.FAILED: (990, 280),
        BatchState.CANCELLED: (990, 400),
    },
    {
        "begun": Box(frozenset({BatchState.RUNNING, BatchState.PAUSING, BatchState.PAUSED}), 200, 70, 715, 330),
        "paused": Box(frozenset({BatchState.PAUSING, BatchState.PAUSED}), 315, 225, 700, 315),
        "ended badly": Box(
            frozenset(state for state in BatchState if state > BatchState.SUCCEEDED), 865, 160, 1110, 435
        ),
    },
    {wish: states for wish, states in LEGAL_OF_BATCH.items() if wish is not BatchAction.REPRIORITIZE},
    {
        ("PAUSE", "RUNNING"): Route(((375, 144), (375, 246)), "PAUSE, canary, breaker", (367, 200), "end"),
        ("RESUME", "paused"): Route(((445, 225), (445, 144)), "RESUME", (453, 200), "start"),
        ("CANCEL", "begun"): Route(((420, 330), (420, 381)), "CANCEL", (428, 361), "start"),
        ("CANCEL", "CREATED"): Route(((120, 144), (120, 460), (990, 460), (990, 419)), "CANCEL", (420, 453)),
        ("RETRY_FAILED", "PAUSED"): Route(((620, 246), (620, 135), (483, 135)), "RETRY_FAILED", (612, 175), "end"),
        ("RETRY_FAILED", "ended badly"): Route(
            ((1090, 160), (1090, 30), (420, 30), (420, 106)), "RETRY_FAILED", (745, 24)
        ),
    },
    (
        Route(((183, 125), (357, 125)), "PostBatchExecute", (285, 117)),
        Route(((453, 265), (557, 265)), "no call is out", (505, 257)),
        Route(((483, 115), (927, 115)), "every cell succeeded", (805, 108)),
        Route(((483, 115), (735, 115), (735, 195), (882, 195)), "some have failed", (805, 188)),
        Route(((483, 115), (735, 115), (735, 270), (927, 270)), "none succeeded", (805, 263)),
        Route(((715, 290), (927, 290)), "more failed than may", (789, 308)),
        Route(((483, 400), (927, 400)), "no cell runs any more", (680, 393)),
    ),
)
DRAWINGS: Final = {"session": _SESSION, "step": _STEP, "batch": _BATCH}
"""By what has the states."""


def path_of(name: str) -> Path:
    """Where the picture of that name is kept."""
    return FOLDER / f"states-of-a-{name}.svg"


def main() -> None:
    """Draws all of them."""
    for name, machine in DRAWINGS.items():
        path_of(name).write_text(drawn(machine), encoding="utf-8")


if __name__ == "__main__":
    main()
