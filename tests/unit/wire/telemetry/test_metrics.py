"""What is counted, and how Prometheus sees it."""

import asyncio
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from processing_service.wire.errors import Code, CoordinatorError
from processing_service.wire.telemetry.hooks import (
    CallEnded,
    CommitEnded,
    LegacyName,
    LoopLag,
    ModelLoaded,
    ModelUnloaded,
    SessionEnded,
    SessionStarted,
    StepEnded,
    StepReused,
    Telemetry,
)
from processing_service.wire.telemetry.instruments import Histogram
from processing_service.wire.telemetry.looplag import LoopLagSampler
from processing_service.wire.telemetry.metrics import MetricsSettings, MetricsSink
from processing_service.wire.telemetry.prometheus import MetricsPage

METHOD = "/coordinator.model.v1.ModelService/GetModel"


@pytest.fixture
def page():
    """The page of a sink that has been told of one thing of each kind."""
    metrics = MetricsSink()
    telemetry = Telemetry([metrics])
    for record in (
        CallEnded("server", METHOD, 0, 0.004),
        CallEnded("server", METHOD, 0, 40.0),
        CallEnded("client", METHOD, Code.UNAVAILABLE, 0.2),
        SessionStarted("s1", "read-text"),
        SessionEnded("s1", "read-text", "FAILED", 12.0, reason="STEP_FAILED"),
        StepEnded("s1", "s1/a#1", "model.get_model", "FAILED", 1, 0.5, "MODEL_NOT_FOUND", "", "", 0.1, 0.2, 0.3, 0.4),
        StepReused("model.get_model"),
        ModelLoaded("detector", "1", 0.3, 100, 250, 2),
        ModelUnloaded("detector", "1", True, 150, 1),
        CommitEnded(7, 3, 0.002),
        LoopLag(0.001),
        LegacyName("coordinator.model.v1.GetModelRequest.model_id", "idModel"),
    ):
        telemetry.emit(record)
    metrics.watch("processing_waiting_steps", "Steps that wait.", lambda: 5)
    page = MetricsPage(MetricsSettings("127.0.0.1:0"), metrics)
    yield page
    page.close()


def scrape(page):
    """Samples by name and labels."""
    with urllib.request.urlopen(f"http://{page.address}/metrics", timeout=20) as response:
        text = response.read().decode()
    families = text_string_to_metric_families(text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples, name, **labels):
    return samples[name, tuple(sorted(labels.items()))]


def test_calls(page):
    """Calls are a histogram by method and code, under the names of the OpenTelemetry conventions."""
    samples = scrape(page)
    served = {
        "rpc_system_name": "grpc",
        "rpc_method": METHOD[1:],
        "rpc_response_status_code": "OK",
    }

    assert value(samples, "rpc_server_call_duration_seconds_count", **served) == 2
    assert value(samples, "rpc_server_call_duration_seconds_sum", **served) == pytest.approx(40.004)
    assert value(samples, "rpc_server_call_duration_seconds_bucket", le="0.0025", **served) == 0
    assert value(samples, "rpc_server_call_duration_seconds_bucket", le="0.005", **served) == 1
    assert value(samples, "rpc_server_call_duration_seconds_bucket", le="+Inf", **served) == 2
    served["rpc_response_status_code"] = "UNAVAILABLE"
    assert value(samples, "rpc_client_call_duration_seconds_count", **served) == 1


def test_everything_else(page):
    """Each kind of record shows in the family that is named for it."""
    samples = scrape(page)
    step = {"domain": "model", "operation": "model.get_model"}

    assert value(samples, "processing_sessions_started_total") == 1
    assert value(samples, "processing_sessions_finished_total", state="FAILED") == 1
    assert value(samples, "processing_session_duration_seconds_sum", state="FAILED") == 12
    attempts = value(samples, "processing_step_attempts_total", outcome="FAILED", reason="MODEL_NOT_FOUND", **step)
    assert attempts == 1
    assert value(samples, "processing_step_duration_seconds_sum", **step) == 0.5
    assert value(samples, "processing_queue_wait_seconds_sum", **step) == 0.1
    assert value(samples, "processing_step_loading_seconds_sum", **step) == 0.2
    assert value(samples, "processing_step_computing_seconds_sum", **step) == 0.3
    assert value(samples, "processing_step_network_seconds_sum", **step) == 0.4
    assert value(samples, "processing_model_load_seconds_count") == 1
    assert value(samples, "processing_model_unloads_total", cause="evicted") == 1
    assert value(samples, "processing_model_resident_bytes") == 150
    assert value(samples, "processing_models_resident") == 1
    assert value(samples, "processing_store_commit_seconds_count") == 1
    assert value(samples, "processing_store_rows_total") == 7
    assert value(samples, "processing_event_loop_lag_seconds_count") == 1
    field = "coordinator.model.v1.GetModelRequest.model_id"
    assert value(samples, "processing_legacy_names_total", field=field) == 1
    assert value(samples, "processing_waiting_steps") == 5


def test_no_label_is_an_id(page):
    """No label names one session, step, workflow or request."""
    labels = {name for _, pairs in scrape(page) for name, _ in pairs}

    assert not {name for name in labels if name.endswith("_id") or name == "step_key"}


@pytest.mark.parametrize(("value", "bucket"), [(0.5, 0), (1.0, 0), (1.5, 1), (2.0, 1), (9.0, 2)])
def test_a_bound_belongs_to_its_bucket(value, bucket):
    """A value equal to a bound is counted at that bound."""
    histogram = Histogram("h", "text", bounds=(1.0, 2.0))
    histogram.record(value)

    assert histogram.values[()].counts[bucket] == 1


def test_address_that_is_taken(page):
    """A page on an address that is taken is an error that says so."""
    with pytest.raises(CoordinatorError) as raised:
        MetricsPage(MetricsSettings(page.address), MetricsSink())

    assert raised.value.code is Code.FAILED_PRECONDITION


@pytest.mark.parametrize("address", ["9090", "host:", "host:port"])
def test_address_that_is_none(address):
    """The address of the page is host:port."""
    with pytest.raises(CoordinatorError) as raised:
        MetricsPage(MetricsSettings(address), MetricsSink())

    assert raised.value.code is Code.INVALID_ARGUMENT


async def test_loop_lag_sees_what_blocks():
    """A loop that is blocked shows as lag of that length."""
    seen = []
    enough = asyncio.Event()

    class Seen:
        def receivers(self):
            return {LoopLag: self.take}

        def take(self, lag):
            seen.append(lag.seconds)
            enough.set()

    loop = asyncio.get_running_loop()
    sampler = LoopLagSampler(Telemetry([Seen()]), 0.01)
    sampler.start()
    until = loop.time() + 0.1
    while loop.time() < until:
        pass
    await enough.wait()
    sampler.stop()

    assert seen[0] > 0.05


def test_results_that_were_taken(page):
    """They are counted by operation, apart from attempts."""
    samples = scrape(page)
    step = {"domain": "model", "operation": "model.get_model"}
    assert value(samples, "processing_step_results_reused_total", **step) == 1
