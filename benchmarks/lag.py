"""How late the event loop of a server came back, from the histogram on its metrics page."""

from __future__ import annotations

from collections import Counter
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

_NAME = "processing_event_loop_lag_seconds"


class Lag:
    """The lag in the windows between `start` and `stop`.

    Args:
        metrics_address: host:port of the page.
    """

    def __init__(self, metrics_address: str) -> None:
        self._url = f"http://{metrics_address}/metrics"
        self._counts: Counter[float] = Counter()
        self._before: Counter[float] = Counter()

    def start(self) -> None:
        """From here on it counts."""
        self._before = self._read()

    def stop(self) -> None:
        """It counts no more."""
        self._counts.update(self._read() - self._before)

    def p99_ms(self) -> float:
        """In ms."""
        return 1000 * quantile(self._counts, 0.99)

    def _read(self) -> Counter[float]:
        with urlopen(self._url, timeout=10) as page:
            return buckets(page.read().decode())


def buckets(page: str) -> Counter[float]:
    """How many samples were at most each bound, in seconds."""
    family = next(family for family in text_string_to_metric_families(page) if family.name == _NAME)
    return Counter({float(s.labels["le"]): int(s.value) for s in family.samples if s.name.endswith("_bucket")})


def quantile(counts: Counter[float], share: float) -> float:
    """A quantile of a histogram, linear within its bucket as Prometheus' histogram_quantile; 0 without samples.

    Args:
        counts: samples at most each bound.
        share: 0 to 1.
    """
    bounds = sorted(counts)
    if not bounds:
        return 0.0
    rank = share * counts[bounds[-1]]
    lower, below = 0.0, 0
    for bound in bounds:
        if counts[bound] >= rank:
            inside = counts[bound] - below
            return lower if bound == float("inf") else lower + (bound - lower) * (rank - below) / inside
        lower, below = bound, counts[bound]
    return lower
