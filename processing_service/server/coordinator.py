"""The coordinator of a process: store, engine, use cases and servicer, wired."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import grpc
from coordinator.processing.v1.processing_pb2 import (
    DESCRIPTOR,
    PostWorkflowExecuteRequest,
    PostWorkflowExecuteResponse,
)
from coordinator.processing.v1.processing_pb2_grpc import (
    ProcessingServiceServicer,
    add_ProcessingServiceServicer_to_server,
)

from instructors.artifacts import MAX_BYTES, THRESHOLD_BYTES, ArtifactInstructor
from instructors.commands import CommandInstructor
from instructors.contract import ContractInstructor
from instructors.controls import ControlInstructor
from instructors.discovery import learn
from instructors.dispatch import Dispatch
from instructors.domain_list import DomainInstructor, HealthOf
from instructors.domain_views import DomainViews
from instructors.domains import CONTRACT, Domain, Domains
from instructors.foreign import ForeignDomain
from instructors.processing import ProcessingInstructor
from instructors.registry import Instructors
from instructors.repeats import Repeats
from instructors.sessions import SessionReader
from instructors.watching import SessionWatch
from instructors.workflows import WorkflowInstructor
from processing_service.config import Settings
from processing_service.engine.base import StepCall
from processing_service.engine.ids import TimeOrderedIds
from processing_service.engine.local import LocalEngine
from processing_service.engine.managers.sessions import MAX_DEPTH, SessionManager
from processing_service.engine.managers.workflows import WorkflowManager
from processing_service.engine.observer import Observer
from processing_service.engine.store.sqlite import SqliteStore
from processing_service.rpc.processing import ProcessingServicer, UseCases
from processing_service.rpc.unserved import answer_unserved
from processing_service.server.hosting import Hosting
from processing_service.wire.channels import InProcessChannel
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.telemetry.hooks import LegacyName, Telemetry

log = logging.getLogger(__name__)

_SWEEP_S: Final = 600.0
"""How often artifacts that nobody needs are looked for, in seconds."""
_UNBOUNDED: Final = 1 << 31
"""Calls of the coordinator to itself: one may wait for a session whose steps make others; a limit could lock them."""
_SWITCH_INTERVAL_S: Final = 0.0005
"""A busy event loop gives the interpreter away this often, in seconds: else the writer's thread starves behind it."""


def now_us() -> int:
    """Microseconds since the Unix epoch."""
    return time.time_ns() // 1000


class Coordinator:
    """Runs sessions over the domains that a process hosts or reaches.

    Raises:
        CoordinatorError: STORE_LOCKED, STORE_TOO_NEW, STORE_DAMAGED, STORE_READ_ONLY, STORE_FULL.
    """

    def __init__(
        self,
        settings: Settings,
        hosting: Hosting,
        health_of: HealthOf,
        telemetry: Telemetry,
        stack: AsyncExitStack,
    ) -> None:
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        self._stack, self._telemetry, self._hosting = stack, telemetry, hosting
        self.store = SqliteStore(settings.store, telemetry.emit)
        stack.push_async_callback(self.store.close)
        owner = f"{socket.gethostname()}/{os.getpid()}"
        own = Domain("processing", CONTRACT["processing"], InProcessChannel(hosting.embedded), max_in_flight=_UNBOUNDED)
        self._domains = domains = Domains([own, *hosting.domains()])
        instructors = Instructors(domains, telemetry=telemetry)
        workflows = WorkflowManager(self.store.workflows, domains, now_us)
        sessions = SessionManager(workflows, settings.sessions, TimeOrderedIds(now_us, os.urandom), now_us, telemetry)
        artifacts = ArtifactInstructor(self.store.artifacts)
        repeats = Repeats(self.store.requests, now_us)
        dispatch = Dispatch(
            instructors,
            self.store.artifacts,
            self._start_child,
            now_us,
            telemetry.child if telemetry.tracing is not None else None,
        )
        self.engine = LocalEngine(
            self.store.sessions,
            self.store.artifacts,
            dispatch,
            sessions.revive,
            now_us,
            Observer(telemetry),
            dispatch.closed,
        )
        reader = SessionReader(self.store.sessions, sessions, self.engine, self.store.artifacts, now_us, owner)
        views = DomainViews(instructors, health_of)
        self._processing = ProcessingInstructor(
            workflows,
            sessions,
            self.engine,
            dispatch.opened,
            artifacts,
            repeats,
            reader,
            self.store,
            views,
            now_us,
            owner,
        )
        self._watch = SessionWatch(self.store.sessions, reader, self.engine)
        self._servicer = ProcessingServicer(  # type: ignore[abstract]  # rpc/unserved.py answers the rest
            UseCases(
                workflows=WorkflowInstructor(workflows, domains, repeats, _tell_legacy(telemetry)),
                processing=self._processing,
                sessions=reader,
                watch=self._watch,
                views=views,
                controls=ControlInstructor(self.store.sessions, sessions, reader, self.engine, repeats, now_us),
                artifacts=artifacts,
                commands=CommandInstructor(instructors, self.store.artifacts, _tell_legacy(telemetry)),
                domains=DomainInstructor(instructors, health_of),
                contract=ContractInstructor(_FEATURES, _limits(settings)),
            )
        )
        answer_unserved(self._servicer, ProcessingServiceServicer, DESCRIPTOR.services_by_name["ProcessingService"])
        self.add_to(hosting.embedded)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serves the Processing service on a listener, or in process."""
        add_ProcessingServiceServicer_to_server(self._servicer, server)

    async def start(self) -> int:
        """Takes up what the process before this one left, and begins to look after time; how many sessions."""
        await self.store.charge_recovery()
        recovered = await self.engine.recover()
        learning = [self._learn(foreign) for foreign in self._hosting.undescribed.values()]
        for work in (self.engine.run(), self._sweep(), *learning):
            task = asyncio.ensure_future(work)
            self._stack.callback(task.cancel)
        return recovered

    async def _start_child(self, call: StepCall, request: PostWorkflowExecuteRequest) -> PostWorkflowExecuteResponse:
        return await self._processing.start_child(call, request)

    async def drain(self, grace: float) -> None:
        """Ends watches at once and sessions within a grace, in seconds; the others are taken up at the next start."""
        self._watch.close()
        await self.engine.drain(grace)

    def well(self) -> bool:
        """True while the store takes what is written."""
        return self.store.error is None

    async def _learn(self, foreign: ForeignDomain) -> None:
        """Waits for a domain that was away at the start, then takes up the sessions that need it."""
        await learn(foreign, self._domains)
        del self._hosting.undescribed[foreign.name]
        self.engine.take_up_stranded()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                await self.store.sweep()
            except CoordinatorError as error:
                log.warning("artifacts that nobody needs were not removed: %s", error)


_FEATURES: Final = (
    "artifacts",
    "commands",
    "control",
    "durability",
    "sessions",
    "watch",
    "workflows",
)


def _tell_legacy(telemetry: Telemetry) -> Callable[[str, str], None]:
    return lambda field, spelling: telemetry.emit(LegacyName(field, spelling))


def _limits(settings: Settings) -> dict[str, int]:
    return {
        "max_message_bytes": settings.listener.message_limit,
        "max_artifact_bytes": MAX_BYTES,
        "inline_payload_bytes": THRESHOLD_BYTES,
        "max_session_depth": MAX_DEPTH,
        "max_foreach_items": LocalEngine.limits.widest_foreach,
        "max_timeout_seconds": round(settings.sessions.max_timeout),
    }
