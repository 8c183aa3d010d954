"""What a batch is to be, from words and options."""

from pathlib import Path

import pytest
import typer

from processing_service.cli.batch_creation import canary_of, divide, failure_limit


def test_words_are_workflows_or_parameters():
    """What has a `=` is a parameter that all items share."""
    workflow_ids, shared = divide(["read-text", "size=3", "draw", "frame=@a/frame.png"])

    assert workflow_ids == ["read-text", "draw"]
    assert shared == {"size": 3, "frame": Path("a/frame.png")}


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        pytest.param(["w", "pages/a"], "put a pattern of --files into quotes", id="path"),
        pytest.param(["w", "a.png"], "put a pattern of --files into quotes", id="file"),
        pytest.param(["text=hello"], "name at least one workflow", id="no workflow"),
    ],
)
def test_words_that_are_neither(words, fault):
    """A pattern that the shell has replaced is the usual cause."""
    with pytest.raises(typer.BadParameter, match=fault):
        divide(words)


@pytest.mark.parametrize(
    ("text", "field"),
    [("0", {"max_failures": 0}), ("12", {"max_failures": 12}), ("2.5%", {"max_failure_ratio": 0.025})],
)
def test_failures_are_counted_or_a_share(text, field):
    """The one or the other field of the request."""
    assert failure_limit(text) == field


@pytest.mark.parametrize("text", ["many", "%", "0.5"])
def test_failures_that_are_neither(text):
    """A half of a cell cannot fail."""
    with pytest.raises(typer.BadParameter, match="neither a number of cells nor a share such as 10%"):
        failure_limit(text)


def test_a_canary():
    """Without limits none of its cells may fail, and they may take any time."""
    strict, timed = canary_of(3, None, None), canary_of(3, 1, 0.5)

    assert (strict.cell_count, strict.max_failures, strict.HasField("max_cell_duration")) == (3, 0, False)
    assert (timed.max_failures, timed.max_cell_duration.ToMilliseconds()) == (1, 500)
    assert canary_of(0, None, None) is None
    with pytest.raises(typer.BadParameter, match="--canary"):
        canary_of(0, 1, None)
