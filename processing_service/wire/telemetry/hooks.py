"""What is told to telemetry: one frozen record for each thing that happened, given to the sinks that want it.

Sinks are the only ones that know OpenTelemetry, Prometheus or a log; whoever emits knows none of them. With no sink for
a record, telling costs a look-up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from processing_service.wire.callcontext import NO_CALL, CallContext

_log = logging.getLogger(__name__)


class CallEnded(NamedTuple):
    """An RPC has ended, served (`server`) or made (`client`)."""

    side: str
    service_method: str
    """`/package.Service/Method`."""
    code: int
    """gRPC status code; 0 is OK."""
    seconds: float
    call: CallContext = NO_CALL
    """Whose it was; its traceparent names the span of this call."""
    parent_traceparent: str = ""
    """The span that this one is a child of."""


class SessionStarted(NamedTuple):
    """A session was accepted."""

    session_id: str
    workflow_id: str


class SessionEnded(NamedTuple):
    """A session has reached a terminal state."""

    session_id: str
    workflow_id: str
    state: str
    """Name of the state, such as `SUCCEEDED`."""
    seconds: float
    """From its start to its end."""
    attempt: int = 1
    reason: str = ""
    """Name of the failure's reason."""
    traceparent: str = ""
    parent_traceparent: str = ""


class StepReused(NamedTuple):
    """A step, or an item of it, took a result that was there and made no call."""

    operation: str
    """`domain.rpc_in_snake_case`."""


class StepEnded(NamedTuple):
    """One attempt of a step has ended."""

    session_id: str
    step_key: str
    """`session/step[item]#attempt`."""
    operation: str
    """`domain.rpc_in_snake_case`."""
    state: str
    """Name of the state, such as `SUCCEEDED`."""
    attempt: int
    seconds: float
    """From its call to its end; the last four are parts of it, as far as they are known."""
    reason: str = ""
    """Name of the failure's reason."""
    traceparent: str = ""
    parent_traceparent: str = ""
    queued: float = 0.0
    loading: float = 0.0
    computing: float = 0.0
    network: float = 0.0


class ModelLoaded(NamedTuple):
    """A model became resident."""

    model_id: str
    model_version: str
    seconds: float
    size_bytes: int
    resident_bytes: int
    """Of all models, after it."""
    resident_models: int


class ModelUnloaded(NamedTuple):
    """A model gave its memory back."""

    model_id: str
    model_version: str
    evicted: bool
    """Whether it made room for another one."""
    resident_bytes: int
    """Of all models, after it."""
    resident_models: int


class CommitEnded(NamedTuple):
    """The store has committed a group."""

    rows: int
    sessions: int
    seconds: float


class LoopLag(NamedTuple):
    """How much later than asked the event loop came back."""

    seconds: float


class LegacyName(NamedTuple):
    """Somebody used an old spelling of a field."""

    field: str
    """Path of the field in proto names, with its message."""
    spelling: str


Receive = Callable[[Any], None]


class Sink(Protocol):
    """Where records go. `receivers` is read once."""

    def receivers(self) -> Mapping[type, Receive]:
        """The kinds of records it wants, each with the function that takes one."""


class Tracing(Protocol):
    """Gives out span ids, so that a child can name its parent before the parent's span is made."""

    def child(self, traceparent: str, key: str = "") -> str:
        """The traceparent of a new span under `traceparent` (empty begins a trace).

        The same `key` gives the same id, so that a session that goes on after a crash stays in its trace.
        """


class Telemetry:
    """Gives records to sinks.

    Args:
        sinks: in the order in which they are told.
        tracing: None passes a caller's traceparent on and makes no spans.
    """

    def __init__(self, sinks: Iterable[Sink] = (), tracing: Tracing | None = None) -> None:
        self.tracing = tracing
        self._receivers: dict[type, list[Receive]] = {}
        for sink in sinks:
            self.add(sink)

    def add(self, sink: Sink) -> None:
        """One more sink."""
        for kind, receive in sink.receivers().items():
            self._receivers.setdefault(kind, []).append(receive)

    def wants(self, kind: type) -> bool:
        """Whether any sink takes records of this kind; worth asking where making one costs something."""
        return kind in self._receivers

    def emit(self, record: NamedTuple) -> None:
        """Tells the sinks. A sink that fails is logged and disturbs nobody."""
        for receive in self._receivers.get(type(record), ()):
            try:
                receive(record)
            except Exception:
                _log.exception("a telemetry sink failed on %s", type(record).__name__)

    def child(self, traceparent: str, key: str = "") -> str:
        """The traceparent for work under `traceparent`: of a span of its own where tracing is on, else the same."""
        return traceparent if self.tracing is None else self.tracing.child(traceparent, key)
