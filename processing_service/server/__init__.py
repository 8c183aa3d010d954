"""The composition root: the only place that picks back ends and wires them."""

from processing_service.server.process import running, serve

__all__ = ["running", "serve"]
