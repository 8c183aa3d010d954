"""Cells are numbered by item, model and workflow; a spread of them meets all of these."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processing_service.engine.batches.matrix import Matrix, Place

MATRICES = st.builds(Matrix, st.integers(1, 2000), st.integers(1, 12), st.integers(1, 12))


def test_cells_are_in_the_order_of_items() -> None:
    """Then of models, then of workflows."""
    matrix = Matrix(2, 2, 3)

    assert matrix.total == 12
    assert [matrix.place(cell) for cell in range(12)] == [
        Place(item, model, workflow) for item in range(2) for model in range(2) for workflow in range(3)
    ]


@given(MATRICES, st.integers(0, 300))
def test_a_spread_has_each_cell_once(matrix: Matrix, count: int) -> None:
    """As many as are asked for, or all."""
    cells = matrix.spread(count)

    assert len(set(cells)) == len(cells) == min(count, matrix.total)
    assert all(0 <= cell < matrix.total for cell in cells)


@given(MATRICES)
def test_a_spread_meets_every_pair_of_model_and_workflow(matrix: Matrix) -> None:
    """With as many cells as there are pairs; in any such run of it."""
    cells = [matrix.place(cell) for cell in matrix.spread(3 * matrix.per_item)]
    for first in range(0, len(cells) - matrix.per_item + 1, matrix.per_item):
        pairs = {(place.model, place.workflow) for place in cells[first : first + matrix.per_item]}
        assert len(pairs) == matrix.per_item


@given(st.integers(20, 100_000), st.integers(5, 20))
def test_a_spread_reaches_all_parts_of_the_items(items: int, count: int) -> None:
    """No third of them is left out."""
    parts = {cell * 3 // items for cell in Matrix(items, 1, 1).spread(count)}

    assert parts == {0, 1, 2}


def test_a_batch_without_items_has_no_spread() -> None:
    assert Matrix(0, 2, 2).spread(5) == []
