"""Hooks fed by frozen records, and their sinks."""
