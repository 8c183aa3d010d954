"""The page that Prometheus scrapes, on a port of its own and in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from coordinator.error.v1.error_pb2 import ErrorReason
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from processing_service.wire.errors import Code, CoordinatorError, invalid
from processing_service.wire.telemetry.instruments import Counter, Histogram
from processing_service.wire.telemetry.metrics import MetricsSettings, MetricsSink


class MetricsCollector(Collector):
    """Turns our numbers into Prometheus families when they are asked for."""

    def __init__(self, metrics: MetricsSink) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from map(_counter, self._metrics.counters)
        yield from map(_histogram, self._metrics.histograms)
        for gauge in self._metrics.gauges:
            yield GaugeMetricFamily(gauge.name, gauge.text, gauge.read())


class MetricsPage:
    """The HTTP server of `/metrics`; raises FAILED_PRECONDITION if the address is taken."""

    def __init__(self, settings: MetricsSettings, metrics: MetricsSink) -> None:
        host, _, port = settings.address.rpartition(":")
        if not (host and port.isdecimal()):
            raise invalid(
                ErrorReason.ERROR_REASON_FIELD_INVALID, "metrics.address", f"{settings.address!r} is not host:port"
            )
        registry = CollectorRegistry()
        registry.register(MetricsCollector(metrics))
        try:
            self._server, self._thread = start_http_server(int(port), host.strip("[]"), registry)
        except OSError as error:
            text = f"metrics cannot be shown on {settings.address!r}: {error.strerror}; choose another address"
            raise CoordinatorError(Code.FAILED_PRECONDITION, ErrorReason.ERROR_REASON_FIELD_INVALID, text) from error
        self.address = f"{host}:{self._server.server_port}"

    def close(self) -> None:
        """Ends the server and its thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _counter(counter: Counter) -> CounterMetricFamily:
    family = CounterMetricFamily(counter.name, counter.text, labels=counter.labels)
    for labels, value in list(counter.values.items()):
        family.add_metric(labels, value)
    return family


def _histogram(histogram: Histogram) -> HistogramMetricFamily:
    family = HistogramMetricFamily(histogram.name, histogram.text, labels=histogram.labels)
    bounds = [*map(str, histogram.bounds), "+Inf"]
    for labels, buckets in list(histogram.values.items()):
        counts = accumulate(list(buckets.counts))
        family.add_metric(labels, list(zip(bounds, counts, strict=True)), buckets.total)
    return family
