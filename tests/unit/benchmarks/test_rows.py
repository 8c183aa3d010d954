import json

import pytest

from benchmarks.rows import Row, Spread, Target, save, table

ROW = Row("embedded", "sessions by calls", Spread.of([1.4, 1.6, 1.9]), Target(">=", 1.5, "x"), "3/s", "2/s", 0.12)


@pytest.mark.parametrize(
    ("relation", "bound", "value", "met"),
    [(">=", 1.5, 1.5, True), (">=", 1.5, 1.49, False), ("<=", 2, 2, True), ("<", 20, 20, False), ("<", 20, 19.9, True)],
)
def test_a_target_is_met_as_its_relation_says(relation, bound, value, met):
    """The bound itself counts for >= and <= and not for <."""
    assert Target(relation, bound).met(value) is met


def test_a_row_is_judged_by_its_median():
    """One bad round does not miss a target that the median reaches."""
    assert ROW.figure == Spread(1.6, 1.4, 1.9)
    assert ROW.reached


def test_the_table_says_plainly_what_was_missed():
    """A missed target is NO; a figure taken once has no extremes."""
    missed = Row("lag", "lag p99", Spread.one(25.0), Target("<", 20, "ms"))

    lines = table([ROW, missed]).splitlines()

    assert " ".join(lines[2].split()) == "embedded sessions by calls 3/s 2/s 1.6 (1.4 - 1.9)x >= 1.5x yes 0.12"
    assert " ".join(lines[3].split()) == "lag lag p99 25 ms < 20 ms NO -"


def test_results_are_kept_with_the_machine_they_come_from(tmp_path):
    """The file holds every row with its verdict, the options and the machine."""
    save([ROW], {"rounds": 3}, tmp_path / "results.json")

    kept = json.loads((tmp_path / "results.json").read_text("utf-8"))

    assert kept["options"] == {"rounds": 3}
    assert kept["machine"]["cpus"] > 0
    assert [(row["name"], row["reached"], row["figure"]["median"]) for row in kept["rows"]] == [("embedded", True, 1.6)]
