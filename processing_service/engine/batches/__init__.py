"""Batches: many cells, each a session, started as their batch says."""
