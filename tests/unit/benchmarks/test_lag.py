from collections import Counter

import pytest

from benchmarks.lag import Lag, buckets, quantile
from processing_service.wire.telemetry.hooks import LoopLag
from processing_service.wire.telemetry.metrics import MetricsSettings, MetricsSink
from processing_service.wire.telemetry.prometheus import MetricsPage


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ({}, 0.99, 0.0),
        ({0.01: 100, 0.02: 100}, 0.5, 0.005),
        ({0.01: 50, 0.02: 100}, 0.99, 0.0198),
        ({0.01: 50, float("inf"): 100}, 0.99, 0.01),
    ],
)
def test_a_quantile_is_linear_within_its_bucket(counts, share, expected):
    """As histogram_quantile does it: the last bound stands for all above it, no samples are 0."""
    assert quantile(Counter(counts), share) == pytest.approx(expected)


def test_only_lag_within_the_window_counts():
    """What the loop did before `start` and after `stop` does not change the figure."""
    sink = MetricsSink()
    page = MetricsPage(MetricsSettings("127.0.0.1:0"), sink)
    record = sink.receivers()[LoopLag]
    try:
        lag = Lag(page.address)
        record(LoopLag(3.0))
        lag.start()
        record(LoopLag(0.0005))
        lag.stop()
        record(LoopLag(3.0))
    finally:
        page.close()

    assert 0 < lag.p99_ms() <= 1


def test_the_page_of_metrics_is_read():
    """Counts come by their upper bounds."""
    name = "processing_event_loop_lag_seconds"
    text = f'# TYPE {name} histogram\n{name}_bucket{{le="0.1"}} 2\n{name}_bucket{{le="+Inf"}} 3\n{name}_count 3\n'

    assert buckets(text) == {0.1: 2, float("inf"): 3}
