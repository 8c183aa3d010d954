"""One trace from the caller through the real coordinator to the domain's handler."""

import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from processing_service.wire.telemetry.hooks import Telemetry
from processing_service.wire.telemetry.trace_ids import TraceIds
from processing_service.wire.telemetry.traces import TraceSink
from tests.coordinators import ECHO, EXECUTE, echo, execution, wired

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = (("traceparent", f"00-{TRACE}-{SPAN}-01"),)
CALL = "coordinator.processing.v1.ProcessingService/PostWorkflowExecute"
HANDLER = "coordinator.postprocessing.v1.PostprocessingService/PostPostprocessingExecute"


@pytest.fixture
def spans():
    """What an exporter got, in memory."""
    return InMemorySpanExporter()


@pytest.fixture
async def traced(tmp_path, spans):
    """A coordinator that traces, with workflows of one step each."""
    async with wired(tmp_path, Telemetry([TraceSink(SimpleSpanProcessor(spans))], TraceIds())) as (_, served):
        await served.put("greet", echo())
        child = {"step_id": "child", "operation": EXECUTE, "parameters": {"workflow_id": "greet"}}
        await served.put("outer", child)
        await served.put("bad", echo(delay="-1s"))
        spans.clear()
        yield served


def ways(spans):
    """The names on the way from the root to each leaf."""
    made = {span.context.span_id: span for span in spans.get_finished_spans()}
    parents = {span.parent.span_id for span in made.values() if span.parent}

    def way(span):
        above = made.get(span.parent.span_id) if span.parent else None
        return (way(above) if above else []) + [span.name]

    return [way(span) for number, span in made.items() if number not in parents]


async def test_a_session_is_one_trace(traced, spans):
    """Call, session, step and handler hang together under the caller's span, and know their session."""
    reply = await traced.stub.PostWorkflowExecute(execution("greet"), metadata=CALLER)
    made = {span.name: span for span in spans.get_finished_spans()}

    assert ways(spans) == [[CALL, "session greet", f"step {ECHO}", HANDLER]]
    assert {span.context.trace_id for span in made.values()} == {int(TRACE, 16)}
    assert made[CALL].parent.span_id == int(SPAN, 16)
    assert made["session greet"].attributes["processing.session_id"] == reply.session.session_id
    assert reply.session.trace_id == TRACE


async def test_a_child_session_is_in_the_trace_of_its_parent(traced, spans):
    """Its session hangs below the step that started it."""
    await traced.stub.PostWorkflowExecute(execution("outer"), metadata=CALLER)
    (found,) = ways(spans)

    assert [name for name in found if name.startswith("s")] == [
        "session outer",
        f"step {EXECUTE}",
        "session greet",
        f"step {ECHO}",
    ]
    assert found[-1] == HANDLER


async def test_a_step_that_failed_marks_its_span(traced, spans):
    """The session is answered with status OK, so its call is not marked; step and session say what went wrong."""
    reply = await traced.stub.PostWorkflowExecute(execution("bad"), metadata=CALLER)
    made = {span.name: span for span in spans.get_finished_spans()}

    assert reply.session.state == pb.SESSION_STATE_FAILED
    assert made[CALL].status.is_ok
    assert not made["session bad"].status.is_ok
    assert not made[f"step {ECHO}"].status.is_ok


async def test_a_session_in_the_background_stays_in_the_trace(traced, spans):
    """Although its call has ended long before."""
    request = execution("greet", background=True)
    reply = await traced.stub.PostWorkflowExecute(request, metadata=CALLER)
    await traced.ended(reply.session.session_id)
    own = [span for span in spans.get_finished_spans() if span.context.trace_id == int(TRACE, 16)]

    assert {span.name for span in own} == {CALL, "session greet", f"step {ECHO}", HANDLER}
