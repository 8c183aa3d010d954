from hypothesis import given
from hypothesis import strategies as st

from benchmarks.score import Line, Score, Truth, edit_distance, read_truth, score_page

WORDS = st.text("abc ", max_size=12)


def box(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


TRUTH = Truth("rendered", (Line("hello world", box(0, 0, 100, 20)), Line("again", box(0, 30, 100, 50))))


def test_a_page_read_right_has_no_edits():
    """A perfect reading scores zero edits over all known characters."""
    score = score_page(TRUTH, [Line("again", box(5, 32, 60, 48)), Line("hello world", box(2, 1, 99, 19))])

    assert score == Score(characters=16)
    assert score.error_rate == 0


def test_split_lines_are_joined_by_their_place():
    """Two predictions on one line are one text, left to right, whatever their order."""
    score = score_page(TRUTH, [Line("world", box(52, 0, 99, 20)), Line("hello", box(0, 0, 48, 20))])

    assert (score.edits, score.missed) == (len("again"), 1)


def test_split_lines_of_a_page_upside_down_are_joined_as_one_reads():
    """On a line whose corners run from right to left the right prediction is the first."""
    truth = Truth("photo", (Line("hello world", [[100, 20], [0, 20], [0, 0], [100, 0]]),))

    score = score_page(truth, [Line("world", box(0, 0, 48, 20)), Line("hello", box(52, 0, 99, 20))])

    assert score.edits == 0


def test_predictions_on_no_line_are_insertions():
    """A stray prediction costs each of its characters."""
    known = [Line(line.text, line.corners) for line in TRUTH.lines]

    score = score_page(TRUTH, [*known, Line("dirt", box(300, 300, 340, 320))])

    assert (score.edits, score.strays) == (4, 1)
    assert score.error_rate == 4 / 16


def test_spaces_are_told_apart():
    """A lost space is an edit, but not one of the bare text."""
    score = score_page(TRUTH, [Line("helloworld", box(0, 0, 100, 20)), Line("again", box(0, 30, 100, 50))])

    assert (score.edits, score.bare_edits) == (1, 0)


def test_scores_add_up():
    """The rate of several pages is by character, not by page."""
    total = Score(edits=1, characters=10) + Score(edits=0, characters=90, strays=2)

    assert (total.error_rate, total.strays) == (0.01, 2)


def test_known_text_is_read_from_its_file(tmp_path):
    """The JSON of a page gives its kind and lines."""
    path = tmp_path / "page.json"
    path.write_text('{"kind": "photo", "lines": [{"text": "é", "corners": [[0, 0], [1, 0], [1, 1], [0, 1]]}]}', "utf-8")

    assert read_truth(path) == Truth("photo", (Line("é", [[0, 0], [1, 0], [1, 1], [0, 1]]),))


@given(WORDS, WORDS, WORDS)
def test_edit_distance_is_a_metric(one, other, third):
    """Zero only for equal texts, symmetric, and no detour is shorter."""
    distance = edit_distance(one, other)

    assert (distance == 0) == (one == other)
    assert distance == edit_distance(other, one)
    assert distance <= edit_distance(one, third) + edit_distance(third, other)
    assert abs(len(one) - len(other)) <= distance <= max(len(one), len(other))
