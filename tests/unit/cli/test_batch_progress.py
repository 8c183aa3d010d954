"""A batch as it runs, on a terminal and elsewhere."""

import io
import re

import pytest
from coordinator.error.v1.error_pb2 import Failure
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.cli.batch_events import left, rate
from processing_service.cli.batch_progress import BatchLines, follow


class Terminal(io.StringIO):
    """A stream that says that somebody looks at it."""

    def isatty(self):
        return True


def counts(succeeded, failed=0, running=0, total=10):
    pending = total - succeeded - failed - running
    return pb.BatchCounts(
        items=total, total=total, pending=pending, running=running, succeeded=succeeded, failed=failed
    )


def event(kind, sequence, counted, state=pb.BATCH_STATE_RUNNING, **fields):
    made = pb.BatchEvent(kind=kind, sequence=sequence, batch_state=state, counts=counted, **fields)
    made.occurred_at.FromMilliseconds(1_790_000_000_000 + sequence)
    return pb.WatchProcessingBatchResponse(event=made)


def failed(sequence, counted):
    cause = Failure(message="not an image", reason_name="IMAGE_INVALID")
    cell = pb.BatchCell(item_id=f"page-{sequence}", workflow_id="read-text", state=pb.SESSION_STATE_FAILED)
    cell.failure.CopyFrom(Failure(message="step 'page' failed", cause=cause))
    return event(pb.BATCH_EVENT_KIND_CELL_ENDED, sequence, counted, cell=cell)


def succeeded(sequence, counted):
    cell = pb.BatchCell(item_id=f"page-{sequence}", workflow_id="read-text", state=pb.SESSION_STATE_SUCCEEDED)
    return event(pb.BATCH_EVENT_KIND_CELL_ENDED, sequence, counted, cell=cell)


def progress(counted, per_second=2.0, seconds=3):
    made = pb.BatchProgress(counts=counted, cells_per_second=per_second)
    made.time_left.FromSeconds(seconds)
    return pb.WatchProcessingBatchResponse(batch_progress=made)


CHANGED, ENDED = pb.BATCH_EVENT_KIND_BATCH_STATE_CHANGED, pb.BATCH_EVENT_KIND_BATCH_ENDED
CANARY = "the canary of 2 cells did not pass"
UPDATES = [
    pb.WatchProcessingBatchResponse(snapshot=pb.Batch(batch_id="b", state=pb.BATCH_STATE_RUNNING, counts=counts(1))),
    succeeded(3, counts(2)),
    progress(counts(2, running=2)),
    progress(counts(2, running=3)),
    failed(4, counts(2, 1)),
    event(pb.BATCH_EVENT_KIND_CANARY_FAILED, 5, counts(2, 1), message=CANARY),
    event(CHANGED, 6, counts(2, 1), pb.BATCH_STATE_PAUSING, message=CANARY),
    event(CHANGED, 7, counts(2, 1), pb.BATCH_STATE_PAUSED),
    event(CHANGED, 8, counts(2, 1), message="looked at it"),
    event(pb.BATCH_EVENT_KIND_PRIORITY_CHANGED, 9, counts(2, 1)),
    progress(counts(5, 1, running=2), 0.5, 8),
    event(ENDED, 1010, counts(9, 1), pb.BATCH_STATE_PARTIALLY_SUCCEEDED),
]


async def updates():
    for update in UPDATES:
        yield update


async def test_plain_lines():
    """Where nobody looks there is a line for what is news and for each tenth; a reason is told once."""
    stream = io.StringIO()

    await follow(updates(), stream)

    assert stream.getvalue().splitlines() == [
        "batch b is RUNNING, 1 of 10 cells done",
        "2 of 10 cells done, 2.0 cells/s, 3 s left",
        "2026-09-21T14:13:20.004Z page-4 x read-text failed: not an image",
        "2026-09-21T14:13:20.005Z the canary of 2 cells did not pass",
        "2026-09-21T14:13:20.006Z batch is PAUSING",
        "2026-09-21T14:13:20.007Z batch is PAUSED",
        "2026-09-21T14:13:20.008Z batch is RUNNING: looked at it",
        "2026-09-21T14:13:20.009Z priority changed",
        "6 of 10 cells done, 1 failed, 30 cells/min, 8 s left",
        "2026-09-21T14:13:21.010Z batch ended PARTIALLY_SUCCEEDED: 9 of 10 cells succeeded, 1 failed",
    ]


@pytest.mark.parametrize("columns", [50, 100])
async def test_a_bar(monkeypatch, columns):
    """On a terminal there are a bar with the time left and the counts; whatever its width, no line is longer."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()

    await follow(updates(), stream)

    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "\x1b[" in stream.getvalue()
    lines = [line.strip() for line in re.split(r"[\r\n]+", text)]
    drawn = [line for line in lines if "━" in line]
    assert max(map(len, drawn)) <= columns
    assert drawn[-1].startswith("PARTIALLY_SUCCEEDED ━")
    assert drawn[-1].endswith("10/10 100%")
    assert "9 succeeded, 1 failed" in lines
    assert "page-4 x read-text failed: not an image" in lines


def test_cells_without_success_are_told_up_to_a_number():
    """Thousands of them would hide the rest; `batch items` has them all."""
    stream = io.StringIO()

    with BatchLines(stream) as lines:
        for number in range(1, 101):
            lines.show(failed(number, counts(0, number, total=1000)))

    told = stream.getvalue().splitlines()
    assert len(told) == 21
    assert told[-1].endswith("further cells without success are counted only")


def test_a_retry_begins_again():
    """Fewer cells are done than before, and each tenth is told again."""
    stream = io.StringIO()

    with BatchLines(stream) as lines:
        for done in (5, 2, 3):
            lines.show(progress(counts(done)))

    assert [line.partition(" ")[0] for line in stream.getvalue().splitlines()] == ["5", "3"]


@pytest.mark.parametrize(
    ("per_second", "seconds", "texts"),
    [
        pytest.param(0.0, 0, ("", ""), id="nothing known"),
        pytest.param(0.1, 90, ("6 cells/min", "1 min 30 s left"), id="slow"),
        pytest.param(12345.6, 7, ("12,345.6 cells/s", "7 s left"), id="fast"),
    ],
)
def test_rate_and_time_left(per_second, seconds, texts):
    """In the unit that people would use."""
    made = progress(counts(1), per_second, seconds).batch_progress

    assert (rate(made), left(made)) == texts
