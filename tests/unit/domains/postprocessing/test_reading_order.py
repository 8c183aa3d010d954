import json
from pathlib import Path

import numpy as np
import pytest

from processing_service.domains.postprocessing.reading_order import reading_order

PAGES = sorted((Path(__file__).parents[4] / "examples" / "pages").glob("*.json"))


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def lines(left: float, width: float, count: int, top: float = 100) -> list[np.ndarray]:
    """Lines of text below each other, the last one short."""
    widths = [width] * (count - 1) + [width / 3]
    return [box(left, top + 30 * row, left + widths[row], top + 30 * row + 20) for row in range(count)]


def test_rows_are_read_left_to_right():
    """Boxes of one row go by x even if the right one lies a little higher; rows go down."""
    quads = [box(100, 42, 150, 60), box(0, 0, 50, 20), box(60, -3, 90, 17), box(0, 40, 80, 60)]

    assert reading_order(quads) == [1, 2, 3, 0]
    assert reading_order([]) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_shipped_pages_have_their_order(path):
    """Letters, columns, receipts, forms and photographs are read in the order that they were written in."""
    known = json.loads(path.read_text("utf-8"))["lines"]
    shuffled = np.random.default_rng(1).permutation(len(known))

    order = reading_order([np.array(known[index]["corners"], np.float32) for index in shuffled])

    assert [shuffled[index] for index in order] == list(range(len(known)))


def test_a_heading_across_columns_comes_first():
    """Heading, columns one after the other, a paragraph below them, columns again."""
    quads = [box(150, 40, 550, 70), *lines(0, 300, 8), *lines(350, 300, 7)]
    quads += [box(0, 400, 640, 420), box(0, 430, 630, 450), *lines(0, 300, 5, 500), *lines(350, 300, 5, 500)]

    assert reading_order(quads) == list(range(len(quads)))


@pytest.mark.parametrize("degrees", [-4, 3])
def test_columns_of_a_page_that_is_askew(degrees):
    """The gap between columns is found although no upright line passes it."""
    angle = np.radians(degrees)
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    quads = [(quad @ turn).astype(np.float32) for quad in [*lines(0, 300, 30), *lines(330, 300, 29)]]

    assert reading_order(quads) == list(range(len(quads)))


def test_rows_of_a_table_stay_together():
    """Short cells, however many, are no columns of text."""
    quads = [quad for row in range(20) for quad in (box(0, 30 * row, 90, 30 * row + 20), *price(row))]

    assert reading_order(quads) == list(range(len(quads)))


def price(row: int) -> list[np.ndarray]:
    return [box(400, 30 * row + 2, 460, 30 * row + 22)]


def test_a_thousand_regions_anywhere_are_ordered():
    """Whatever lies where, each region is there once."""
    corners = np.random.default_rng(2).uniform(0, 2000, (1000, 2))
    quads = [box(x, y, x + 200, y + 20) for x, y in corners]

    assert sorted(reading_order(quads)) == list(range(1000))
