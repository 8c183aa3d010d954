"""Telemetry of one process, put together from its settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from processing_service.wire.telemetry.hooks import Telemetry
from processing_service.wire.telemetry.logs import LogSettings, LogSink
from processing_service.wire.telemetry.looplag import LoopLagSampler
from processing_service.wire.telemetry.metrics import MetricsSettings, MetricsSink
from processing_service.wire.telemetry.trace_ids import TraceIds, TraceSettings


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """What a process tells of itself."""

    logs: LogSettings = field(default_factory=LogSettings)
    """Applied by the command line, with `configure_logs`, before anything else."""
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    """Numbers are counted always; the setting says where they are shown."""
    traces: TraceSettings = field(default_factory=TraceSettings)
    """Off by default."""
    loop_lag_interval: float = 0.05
    """Seconds between two samples of the event loop's lag."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Running telemetry."""

    telemetry: Telemetry
    """What everybody emits to."""
    metrics: MetricsSink
    """Takes further gauges."""
    metrics_address: str
    """Where the page is; empty without one."""


@asynccontextmanager
async def observe(settings: TelemetrySettings) -> AsyncIterator[Observed]:
    """Sinks, page and sampler for as long as the context lasts. Inside the running loop."""
    with_traces = settings.traces.exporter != "none"
    telemetry = Telemetry([LogSink()], TraceIds(settings.traces.ratio) if with_traces else None)
    metrics, address = MetricsSink(), ""
    telemetry.add(metrics)
    async with AsyncExitStack() as stack:
        if with_traces:
            from processing_service.wire.telemetry.traces import TraceSink, span_processor

            traces = TraceSink(span_processor(settings.traces))
            telemetry.add(traces)
            stack.callback(traces.close)
        if settings.metrics.address:
            from processing_service.wire.telemetry.prometheus import MetricsPage

            page = MetricsPage(settings.metrics, metrics)
            address = page.address
            stack.callback(page.close)
        sampler = LoopLagSampler(telemetry, settings.loop_lag_interval)
        sampler.start()
        stack.callback(sampler.stop)
        yield Observed(telemetry, metrics, address)
