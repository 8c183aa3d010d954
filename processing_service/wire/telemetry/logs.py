"""Logs on stderr: lines for people or JSON for machines, each with the session and step that it belongs to.

Modules log with the standard `logging`; structlog renders. Configure before the first channel is opened: grpc may log
from a finaliser, and a handler that is made at that moment can wait for a lock for ever.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TextIO

from processing_service.wire.callcontext import current
from processing_service.wire.telemetry.hooks import (
    CallEnded,
    LegacyName,
    ModelLoaded,
    ModelUnloaded,
    Receive,
    SessionEnded,
    StepEnded,
)

_log = logging.getLogger("processing_service")
_SUCCEEDED: Final = "SUCCEEDED"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged and how it looks."""

    format: Literal["console", "json"] = "console"
    """Lines for people, or one JSON object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged. `debug` has a line for each call, step and session."""


def configure_logs(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Puts one handler on the root logger in place of what is there; `stream` is stderr if not given."""
    import structlog

    stream = stream or sys.stderr
    renderer: Any = structlog.processors.JSONRenderer()
    if settings.format == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    # no local variables, which are structlog's default: they hold contents of pages, tokens, megabytes
    tracebacks = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            add_call,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *([tracebacks] if settings.format == "json" else []),
            renderer,
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)


def add_call(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Adds session, step and request of the call that is being served."""
    call = current()
    for key in ("session_id", "step_id", "attempt", "request_id", "tenant"):
        if value := getattr(call, key):
            event.setdefault(key, value)
    return event


class LogSink:
    """Logs what happened: failures as warnings, models as news, all else for those who debug."""

    def receivers(self) -> Mapping[type, Receive]:
        receivers: dict[type, Receive] = {
            SessionEnded: self.session,
            StepEnded: self.step,
            ModelLoaded: self.loaded,
            ModelUnloaded: self.unloaded,
            LegacyName: self.legacy,
        }
        return receivers | ({CallEnded: self.call} if _log.isEnabledFor(logging.DEBUG) else {})

    def call(self, ended: CallEnded) -> None:
        facts = {"method": ended.service_method, "code": ended.code, "seconds": ended.seconds}
        _log.debug("call ended", extra=facts | _named(ended.call.session_id, ended.call.step_id))

    def session(self, ended: SessionEnded) -> None:
        level = logging.DEBUG if ended.state == _SUCCEEDED else logging.WARNING
        if _log.isEnabledFor(level):
            facts = {"workflow_id": ended.workflow_id, "state": ended.state, "reason": ended.reason}
            _log.log(level, "session ended", extra=facts | {"session_id": ended.session_id, "seconds": ended.seconds})

    def step(self, ended: StepEnded) -> None:
        level = logging.DEBUG if ended.state == _SUCCEEDED else logging.WARNING
        if _log.isEnabledFor(level):
            facts = {"step_key": ended.step_key, "operation": ended.operation, "state": ended.state}
            more = {"session_id": ended.session_id, "reason": ended.reason, "seconds": ended.seconds}
            _log.log(level, "step ended", extra=facts | more)

    def loaded(self, record: ModelLoaded) -> None:
        _log.info("model loaded", extra=record._asdict())

    def unloaded(self, record: ModelUnloaded) -> None:
        _log.info("model unloaded", extra=record._asdict())

    def legacy(self, record: LegacyName) -> None:
        _log.warning("old spelling of a field", extra=record._asdict())


def _named(session_id: str, step_id: str) -> dict[str, str]:
    return {key: value for key, value in (("session_id", session_id), ("step_id", step_id)) if value}
