"""Calls that go through no socket: the same stubs and servicers, in one process and on one event loop."""
