"""Durable execution: what happens next, and the loop that makes it happen."""
