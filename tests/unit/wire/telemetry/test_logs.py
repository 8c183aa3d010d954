"""What a log line says, for people and for machines."""

import io
import json
import logging

import pytest

from processing_service.wire.callcontext import CallContext, serving
from processing_service.wire.telemetry.hooks import CallEnded, LegacyName, SessionEnded, StepEnded, Telemetry
from processing_service.wire.telemetry.logs import LogSettings, LogSink, configure_logs


@pytest.fixture
def configured():
    """Configures logs into a text; puts the root logger back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []

    def configured(**settings):
        stream = io.StringIO()
        configure_logs(LogSettings(**settings), stream)
        return stream

    yield configured
    root.handlers = handlers
    root.setLevel(level)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_carry_the_call(configured):
    """A JSON line says session and step of the call in which it was written."""
    stream = configured(format="json")
    with serving(CallContext("s1", "detect", 2, tenant="acme")):
        logging.getLogger("some.module").warning("slow by %d s", 3, extra={"device": "cpu"})
    logging.getLogger("some.module").info("outside")
    inside, outside = lines(stream)

    assert inside.pop("timestamp").endswith("Z")
    assert inside == {
        "event": "slow by 3 s",
        "level": "warning",
        "logger": "some.module",
        "device": "cpu",
        "session_id": "s1",
        "step_id": "detect",
        "attempt": 2,
        "tenant": "acme",
    }
    assert "session_id" not in outside


@pytest.mark.parametrize("form", ["console", "json"])
def test_tracebacks_keep_local_variables_to_themselves(configured, form):
    """What a call carried is not for the log."""
    stream = configured(format=form)
    secret = "of".join(["part ", " a page"])
    try:
        int(secret)
    except ValueError:
        logging.getLogger("some.module").exception("failed")

    assert "ValueError" in stream.getvalue()
    assert "secret = " not in stream.getvalue()
    assert '"secret"' not in stream.getvalue()


def test_exceptions_are_in_the_line(configured):
    """A traceback is part of its JSON line."""
    stream = configured(format="json")
    try:
        int("broken")
    except ValueError:
        logging.getLogger("some.module").exception("it failed")
    (line,) = lines(stream)

    assert line["exception"][0]["exc_type"] == "ValueError"


def test_lines_for_people(configured):
    """A console line has message and facts, and no colours outside a terminal."""
    stream = configured()
    with serving(CallContext("s1")):
        logging.getLogger("some.module").error("it failed")

    assert "it failed" in stream.getvalue()
    assert "session_id=s1" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_failures_are_warnings(configured):
    """Failed sessions and steps, and old spellings, are logged; what went well is not."""
    stream = configured(format="json")
    telemetry = Telemetry([LogSink()])
    telemetry.emit(SessionEnded("s1", "read-text", "SUCCEEDED", 1.0))
    telemetry.emit(StepEnded("s1", "s1/a#1", "model.get_model", "SUCCEEDED", 1, 0.5))
    telemetry.emit(StepEnded("s2", "s2/a#1", "model.get_model", "FAILED", 1, 0.5, reason="MODEL_NOT_FOUND"))
    telemetry.emit(SessionEnded("s2", "read-text", "FAILED", 1.0, reason="STEP_FAILED"))
    telemetry.emit(LegacyName("coordinator.model.v1.GetModelRequest.model_id", "idModel"))
    step, session, legacy = lines(stream)

    assert (step["level"], step["step_key"], step["reason"]) == ("warning", "s2/a#1", "MODEL_NOT_FOUND")
    assert (session["session_id"], session["state"]) == ("s2", "FAILED")
    assert legacy["spelling"] == "idModel"
    assert not telemetry.wants(CallEnded)


def test_debug_shows_calls(configured):
    """At level debug there is a line for each call."""
    stream = configured(format="json", level="debug")
    Telemetry([LogSink()]).emit(CallEnded("server", "/a.B/C", 0, 0.5, CallContext("s1", "detect")))
    (line,) = lines(stream)

    assert (line["method"], line["session_id"], line["step_id"]) == ("/a.B/C", "s1", "detect")
