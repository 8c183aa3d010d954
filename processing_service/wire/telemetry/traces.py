"""Spans of calls, sessions and steps, made at their ends with the OpenTelemetry SDK.

Ids come from `trace_ids.py` and travel before the span exists, so nothing of OpenTelemetry stands on the hot path of a
trace that is not sampled.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from processing_service.wire.errors import Code
from processing_service.wire.telemetry.hooks import CallEnded, Receive, SessionEnded, StepEnded
from processing_service.wire.telemetry.trace_ids import TraceParent, TraceSettings, parse

RPC_STATUS: Final = "rpc.response.status_code"
"""Its name in the semantic conventions 1.39 to 1.44; later ones say `rpc.status_code`."""

_FAULTS: Final = {
    Code.UNKNOWN,
    Code.DEADLINE_EXCEEDED,
    Code.UNIMPLEMENTED,
    Code.INTERNAL,
    Code.UNAVAILABLE,
    Code.DATA_LOSS,
}
"""Codes that are a fault of the server (OpenTelemetry, semantic conventions for gRPC)."""


def span_processor(settings: TraceSettings) -> SpanProcessor:
    """The processor for an exporter that is not `none`."""
    if settings.exporter == "console":
        return BatchSpanProcessor(ConsoleSpanExporter(out=sys.stderr))
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.endpoint or None))


class _GivenIds(IdGenerator):
    """Gives the span that is being made the ids that it was announced with."""

    def __init__(self) -> None:
        self.trace_id = 0
        self.span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class TraceSink:
    """Makes the spans of sampled traces.

    Args:
        processor: takes the ended spans, as `span_processor` makes one.
        service_name: as it is shown.
    """

    def __init__(self, processor: SpanProcessor, service_name: str = "processing-service") -> None:
        self._ids = _GivenIds()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({"service.name": service_name}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("processing_service")

    def receivers(self) -> Mapping[type, Receive]:
        return {CallEnded: self.call, SessionEnded: self.session, StepEnded: self.step}

    def call(self, ended: CallEnded) -> None:
        """The server's span of a call; a step's own span stands for the call that it makes."""
        own = parse(ended.call.traceparent)
        if own is None or not own.sampled or ended.side != "server":
            return
        code = Code(ended.code).name if ended.code else "OK"
        facts: dict[str, AttributeValue] = {
            "rpc.system.name": "grpc",
            "rpc.method": ended.service_method[1:],
            RPC_STATUS: code,
        }
        if ended.call.session_id:
            facts["processing.session_id"] = ended.call.session_id
        error = code if ended.code in _FAULTS else ""
        self._make(
            ended.service_method[1:], SpanKind.SERVER, own, ended.parent_traceparent, ended.seconds, facts, error
        )

    def session(self, ended: SessionEnded) -> None:
        """The span of one attempt of a session."""
        own = parse(ended.traceparent)
        if own is None or not own.sampled:
            return
        facts: dict[str, AttributeValue] = {
            "processing.session_id": ended.session_id,
            "processing.workflow_id": ended.workflow_id,
            "processing.state": ended.state,
            "processing.attempt": ended.attempt,
        }
        name = f"session {ended.workflow_id}"
        self._make(name, SpanKind.INTERNAL, own, ended.parent_traceparent, ended.seconds, facts, ended.reason)

    def step(self, ended: StepEnded) -> None:
        """The span of one attempt of a step, which is the client's side of its call."""
        own = parse(ended.traceparent)
        if own is None or not own.sampled:
            return
        facts: dict[str, AttributeValue] = {
            "processing.session_id": ended.session_id,
            "processing.step_key": ended.step_key,
            "processing.operation": ended.operation,
            "processing.state": ended.state,
            "processing.attempt": ended.attempt,
            "processing.queued_seconds": ended.queued,
            "processing.loading_seconds": ended.loading,
            "processing.computing_seconds": ended.computing,
            "processing.network_seconds": ended.network,
        }
        name = f"step {ended.operation}"
        self._make(name, SpanKind.CLIENT, own, ended.parent_traceparent, ended.seconds, facts, ended.reason)

    def _make(
        self,
        name: str,
        kind: SpanKind,
        own: TraceParent,
        parent_traceparent: str,
        seconds: float,
        facts: Mapping[str, AttributeValue],
        error: str,
    ) -> None:
        end = time.time_ns()
        self._ids.trace_id, self._ids.span_id = int(own.trace_id, 16), int(own.span_id, 16)
        parent = _context(parse(parent_traceparent))
        span = self._tracer.start_span(name, parent, kind, facts, start_time=end - int(seconds * 1e9))
        if error:
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)

    def close(self) -> None:
        """Sends what waits and ends the exporter."""
        self._provider.shutdown()


def _context(parent: TraceParent | None) -> Context:
    """The context of a span whose parent is elsewhere, or of a root."""
    if parent is None:
        return Context()
    ids = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), True, TraceFlags(TraceFlags.SAMPLED))
    return trace.set_span_in_context(NonRecordingSpan(ids), Context())
