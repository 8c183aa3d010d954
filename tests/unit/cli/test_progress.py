"""A session as it runs, on a terminal and elsewhere."""

import io

from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.cli.progress import Bars, Lines, follow


class Terminal(io.StringIO):
    """A stream that says that somebody looks at it."""

    def isatty(self):
        return True


def event(kind, **fields):
    made = pb.SessionEvent(kind=kind, session_state=fields.pop("session_state", pb.SESSION_STATE_RUNNING), **fields)
    made.occurred_at.FromMilliseconds(1_790_000_000_000 + made.sequence)
    return pb.WatchProcessingSessionResponse(event=made)


def progress(fraction):
    return pb.WatchProcessingSessionResponse(session_progress=pb.SessionProgress(fraction=fraction, step_id="read"))


UPDATES = [
    pb.WatchProcessingSessionResponse(
        snapshot=pb.Session(session_id="s-1", workflow_id="read-text", state=pb.SESSION_STATE_RUNNING)
    ),
    event(pb.EVENT_KIND_STEP_STARTED, sequence=2, step_id="read", attempt=1),
    event(pb.EVENT_KIND_STEP_EXPANDED, sequence=3, step_id="read", items_total=2),
    progress(0.31),
    progress(0.39),
    event(pb.EVENT_KIND_STEP_SUCCEEDED, sequence=4, step_id="read", item_index=0, attempt=1),
    event(pb.EVENT_KIND_STEP_CANCELLED, sequence=5, step_id="read", item_index=1, attempt=2),
    event(pb.EVENT_KIND_STEP_SUCCEEDED, sequence=1002, step_id="read", attempt=1),
    event(pb.EVENT_KIND_COMMAND_APPLIED, sequence=1003, message="PAUSE by an operator"),
    event(pb.EVENT_KIND_SESSION_ENDED, sequence=1004, session_state=pb.SESSION_STATE_SUCCEEDED),
]


async def updates():
    for update in UPDATES:
        yield update


async def test_plain_lines():
    """Where nobody looks there is a line for each event but the good ones of items, and for each tenth."""
    stream = io.StringIO()

    await follow(updates(), stream)

    assert stream.getvalue().splitlines() == [
        "session s-1 of read-text is RUNNING, 0%",
        "2026-09-21T14:13:20.002Z read started",
        "2026-09-21T14:13:20.003Z read has 2 items",
        "31% done",
        "2026-09-21T14:13:20.005Z read[1] cancelled, attempt 2",
        "2026-09-21T14:13:21.002Z read succeeded",
        "2026-09-21T14:13:21.003Z command applied PAUSE by an operator",
        "2026-09-21T14:13:21.004Z session ended SUCCEEDED",
    ]


async def test_bars(monkeypatch):
    """On a terminal there are bars, and a line for each step that is done with the time that it took."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()

    await follow(updates(), stream)

    text = stream.getvalue()
    assert "\x1b[" in text
    assert "read 1.0 s" in text
    assert "command applied PAUSE by an operator" in text
    assert "100%" in text


def test_a_dumb_terminal_gets_lines(monkeypatch):
    """TERM=dumb has plain lines, also if somebody looks."""
    from processing_service.cli.output import is_terminal

    monkeypatch.setenv("TERM", "dumb")
    assert not is_terminal(Terminal())


def test_bars_start_where_the_session_stands():
    """A session that is under way is drawn with the items that are done."""
    stream = Terminal()
    step = pb.StepStatus(step_id="read", items_done=3, items_total=4)
    snapshot = pb.Session(session_id="s-1", workflow_id="read-text", progress=0.5, steps=[step])

    with Bars(stream) as bars:
        bars.show(pb.WatchProcessingSessionResponse(snapshot=snapshot))

    assert "75%" in stream.getvalue()


def test_lines_tell_each_tenth_once():
    """Progress that goes back or stays is not told again."""
    stream = io.StringIO()

    with Lines(stream) as lines:
        for fraction in (0.1, 0.15, 0.05, 1 / 3, 2 / 3, 0.69):
            lines.show(progress(fraction))

    assert stream.getvalue() == "10% done\n33% done\n67% done\n"


def test_a_session_that_waits_has_no_number():
    """Its snapshot tells the stored state; the work may have gone on since."""
    stream = io.StringIO()
    snapshot = pb.Session(session_id="s-1", workflow_id="read-text", state=pb.SESSION_STATE_PENDING, progress=1.0)

    with Lines(stream) as lines:
        lines.show(pb.WatchProcessingSessionResponse(snapshot=snapshot))

    assert stream.getvalue() == "session s-1 of read-text is PENDING\n"
