"""Measurements of the whole service, each beside a peer that runs in the same minutes: `python -m benchmarks`."""
