"""Runs models: runtimes, residency, batching."""
