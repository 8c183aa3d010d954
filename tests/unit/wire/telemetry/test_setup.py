"""Telemetry of a process as its settings want it."""

import asyncio
import subprocess
import sys
import urllib.request

from processing_service.wire.telemetry.hooks import CallEnded, LoopLag, SessionStarted
from processing_service.wire.telemetry.metrics import MetricsSettings
from processing_service.wire.telemetry.setup import TelemetrySettings, observe
from processing_service.wire.telemetry.trace_ids import TraceSettings


def read(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as response:
        return response.read().decode()


async def test_page_and_sampler():
    """With an address the page shows what was emitted, loop lag among it."""
    settings = TelemetrySettings(metrics=MetricsSettings("127.0.0.1:0"), loop_lag_interval=0.001)
    async with observe(settings) as observed:
        sampled = asyncio.Event()

        class Seen:
            def receivers(self):
                return {LoopLag: lambda _: sampled.set()}

        observed.telemetry.add(Seen())
        observed.telemetry.emit(SessionStarted("s1", "read-text"))
        await sampled.wait()
        text = await asyncio.to_thread(read, observed.metrics_address)

    assert "processing_sessions_started_total 1.0" in text
    assert "processing_event_loop_lag_seconds_count" in text


async def test_by_default_nothing_is_traced():
    """Without an exporter numbers are counted, no trace is made, no page is shown."""
    async with observe(TelemetrySettings()) as observed:
        assert observed.telemetry.tracing is None
        assert observed.telemetry.wants(CallEnded)
        assert observed.metrics_address == ""


async def test_console_traces(capfd):
    """The console exporter writes spans to stderr."""
    async with observe(TelemetrySettings(traces=TraceSettings("console"))) as observed:
        call = observed.telemetry.child("")
        ended = CallEnded("server", "/a.B/C", 0, 0.5)
        observed.telemetry.emit(ended._replace(call=ended.call._replace(traceparent=call)))

    assert '"name": "a.B/C"' in capfd.readouterr().err


def test_what_is_off_is_not_imported():
    """A process without traces and page does not load their libraries."""
    code = (
        "import asyncio, sys; from processing_service.wire.telemetry.setup import *\n"
        "async def main():\n"
        "    async with observe(TelemetrySettings()): pass\n"
        "asyncio.run(main())\n"
        "print(*(name for name in ('opentelemetry', 'prometheus_client', 'structlog') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""
