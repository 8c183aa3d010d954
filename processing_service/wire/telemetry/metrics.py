"""The metrics of the product: their names, and which record counts where. No label is an id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from processing_service.wire.errors import Code
from processing_service.wire.telemetry.hooks import (
    CallEnded,
    CommitEnded,
    LegacyName,
    LoopLag,
    ModelLoaded,
    ModelUnloaded,
    Receive,
    SessionEnded,
    SessionStarted,
    StepEnded,
    StepReused,
)
from processing_service.wire.telemetry.instruments import LAG_SECONDS, LONG_SECONDS, Counter, Gauge, Histogram

_CODES = {0: "OK"} | {int(code): code.name for code in Code}


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Where metrics are shown."""

    address: str = ""
    """`host:port` of the page `/metrics`, port 0 for a free one; empty shows none."""


class MetricsSink:
    """Counts records; `instruments` is what a scraper reads."""

    def __init__(self) -> None:
        call = ("rpc_system_name", "rpc_method", "rpc_response_status_code")
        self._calls = {
            "server": Histogram("rpc_server_call_duration_seconds", "Duration of served calls.", call),
            "client": Histogram("rpc_client_call_duration_seconds", "Duration of calls to domains.", call),
        }
        self._started = Counter("processing_sessions_started_total", "Sessions that were accepted.")
        self._finished = Counter("processing_sessions_finished_total", "Sessions that ended, by state.", ("state",))
        self._sessions = Histogram(
            "processing_session_duration_seconds", "From a session's start to its end.", ("state",), LONG_SECONDS
        )
        step = ("domain", "operation")
        self._attempts = Counter(
            "processing_step_attempts_total", "Attempts of steps, by outcome.", (*step, "outcome", "reason")
        )
        self._reused = Counter("processing_step_results_reused_total", "Results that were taken without a call.", step)
        self._steps = Histogram("processing_step_duration_seconds", "From ready to ended.", step)
        self._queued = Histogram("processing_queue_wait_seconds", "What steps waited for their turn.", step)
        self._loading = Histogram("processing_step_loading_seconds", "What steps waited for their model.", step)
        self._computing = Histogram("processing_step_computing_seconds", "What the domains computed.", step)
        self._network = Histogram("processing_step_network_seconds", "What calls took besides computing.", step)
        self._loads = Histogram("processing_model_load_seconds", "Duration of model loads.", (), LONG_SECONDS)
        self._unloads = Counter("processing_model_unloads_total", "Models that gave memory back.", ("cause",))
        self._commits = Histogram("processing_store_commit_seconds", "Duration of group commits.")
        self._rows = Counter("processing_store_rows_total", "Rows written.")
        self._lag = Histogram(
            "processing_event_loop_lag_seconds", "How late the event loop came back.", (), LAG_SECONDS
        )
        self._legacy = Counter("processing_legacy_names_total", "Old spellings of fields, by field.", ("field",))
        self._resident_bytes = 0
        self._resident_models = 0
        self.gauges: list[Gauge] = []
        self.watch("processing_model_resident_bytes", "Bytes of resident models.", lambda: self._resident_bytes)
        self.watch("processing_models_resident", "Resident models.", lambda: self._resident_models)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """One more gauge; `read` must be quick and safe to call from another thread."""
        self.gauges.append(Gauge(name, text, read))

    @property
    def counters(self) -> tuple[Counter, ...]:
        return (
            self._started,
            self._finished,
            self._attempts,
            self._reused,
            self._unloads,
            self._rows,
            self._legacy,
        )

    @property
    def histograms(self) -> tuple[Histogram, ...]:
        steps = (self._steps, self._queued, self._loading, self._computing, self._network)
        return (*self._calls.values(), self._sessions, *steps, self._loads, self._commits, self._lag)

    def receivers(self) -> Mapping[type, Receive]:
        return {
            CallEnded: self.call,
            SessionStarted: lambda _: self._started.add(),
            SessionEnded: self.session,
            StepEnded: self.step,
            StepReused: lambda record: self._reused.add((record.operation.partition(".")[0], record.operation)),
            ModelLoaded: self.loaded,
            ModelUnloaded: self.unloaded,
            CommitEnded: self.commit,
            LoopLag: lambda record: self._lag.record(record.seconds),
            LegacyName: lambda record: self._legacy.add((record.field,)),
        }

    def call(self, ended: CallEnded) -> None:
        self._calls[ended.side].record(
            ended.seconds, ("grpc", ended.service_method.removeprefix("/"), _CODES[ended.code])
        )

    def session(self, ended: SessionEnded) -> None:
        self._finished.add((ended.state,))
        self._sessions.record(ended.seconds, (ended.state,))

    def step(self, ended: StepEnded) -> None:
        step = (ended.operation.partition(".")[0], ended.operation)
        self._attempts.add((*step, ended.state, ended.reason))
        self._steps.record(ended.seconds, step)
        if ended.network:  # a domain that says where its time went says all of it
            self._queued.record(ended.queued, step)
            self._computing.record(ended.computing, step)
            self._network.record(ended.network, step)
        if ended.loading:
            self._loading.record(ended.loading, step)

    def loaded(self, record: ModelLoaded) -> None:
        self._loads.record(record.seconds)
        self._resident_bytes, self._resident_models = record.resident_bytes, record.resident_models

    def unloaded(self, record: ModelUnloaded) -> None:
        self._unloads.add(("evicted" if record.evicted else "asked",))
        self._resident_bytes, self._resident_models = record.resident_bytes, record.resident_models

    def commit(self, ended: CommitEnded) -> None:
        self._commits.record(ended.seconds)
        self._rows.add((), ended.rows)
