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
    PostWorkflowExecuteRequest,
    PostWorkflowExecuteResponse,
)
from coordinator.processing.v1.processing_pb2_grpc import (
    add_ProcessingServiceServicer_to_server,
)

from instructors.admission import Admission
from instructors.artifacts import MAX_BYTES, THRESHOLD_BYTES, ArtifactInstructor
from instructors.batch_watching import BatchWatch
from instructors.batches import BatchInstructor
from instructors.commands import CommandInstructor
from instructors.contract import ContractInstructor
from instructors.controls import ControlInstructor
from instructors.discovery import learn
from instructors.dispatch import Dispatch
from instructors.domain_list import DomainInstructor, HealthOf
from instructors.domain_views import DomainViews
from instructors.domains import CONTRACT, Domain, Domains
from instructors.durations import Durations
from instructors.foreign import ForeignDomain
from instructors.formers import loader
from instructors.planning import PlanningInstructor
from instructors.processing import ProcessingInstructor
from instructors.registry import Instructors
from instructors.repeats import Repeats
from instructors.reruns import RerunFinder
from instructors.reuse_plans import ReusePlanner
from instructors.sessions import SessionReader
from instructors.typed_calls import TypedCalls
from instructors.watching import SessionWatch
from instructors.workflows import WorkflowInstructor
from processing_service.config import Settings
from processing_service.engine.base import StepCall
from processing_service.engine.ids import TimeOrderedIds
from processing_service.engine.local import LocalEngine
from processing_service.engine.managers.batch_drafts import MAX_CELLS, MAX_PAGE, MAX_PARALLEL
from processing_service.engine.managers.batches import BatchProcessingManager
from processing_service.engine.managers.sessions import MAX_DEPTH, SessionManager
from processing_service.engine.managers.workflows import WorkflowManager
from processing_service.engine.observer import Observer
from processing_service.engine.store.sqlite import SqliteStore
from processing_service.rpc.processing import ProcessingServicer, UseCases
from processing_service.rpc.workflow_descriptions import DescribedWorkflows
from processing_service.rpc.workflow_services import WorkflowServices
from processing_service.server.hosting import Hosting
from processing_service.wire.channels import InProcessChannel
from processing_service.wire.errors import CoordinatorError, Fenced
from processing_service.wire.telemetry.hooks import LegacyName, Telemetry

log = logging.getLogger(__name__)

_SWEEP_S: Final = 600.0
"""How often artifacts that nobody needs, and requests that are long ago, are looked for, in seconds."""
_UNBOUNDED: Final = 1 << 31
"""Calls of the coordinator to itself: one may wait for a session whose steps make others; a limit could lock them."""
_SWITCH_INTERVAL_S: Final = 0.001
"""A busy event loop gives the interpreter away this often, in seconds: else the writer's thread starves behind it."""


def now_us() -> int:
    """Microseconds since the Unix epoch."""
    return time.time_ns() // 1000


class Coordinator:
    """Runs sessions over the domains that a process hosts or reaches.

    Args:
        now_us: the clock of sessions, in microseconds since the Unix epoch.

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
        now_us: Callable[[], int] = now_us,
    ) -> None:
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        self._stack, self._telemetry, self._hosting = stack, telemetry, hosting
        self._now_us = now_us
        self.store = SqliteStore(settings.store, telemetry.emit)
        stack.push_async_callback(self.store.close)
        owner = f"{socket.gethostname()}/{os.getpid()}"
        own = Domain("processing", CONTRACT["processing"], InProcessChannel(hosting.embedded), max_in_flight=_UNBOUNDED)
        self._domains = domains = Domains([own, *hosting.domains()])
        instructors = Instructors(domains, telemetry=telemetry)
        workflows = WorkflowManager(self.store.workflows, domains, now_us)
        ids = TimeOrderedIds(now_us, os.urandom)
        sessions = SessionManager(workflows, settings.sessions, ids, now_us, telemetry)
        artifacts = ArtifactInstructor(self.store.artifacts)
        repeats, durations = Repeats(self.store.requests, now_us), Durations()
        self.admission = Admission(instructors, settings.admission, now_us)
        stack.callback(self.admission.close)
        dispatch = Dispatch(
            instructors,
            self.store.artifacts,
            self._start_child,
            now_us,
            telemetry.child if telemetry.tracing is not None else None,
            admission=self.admission,
            durations=durations,
            stored=self.store.reuse,
            load=loader(self.store.sessions, sessions.revive),
        )
        assert dispatch.reuse is not None
        self.engine = LocalEngine(
            self.store.sessions,
            self.store.artifacts,
            dispatch,
            sessions.revive,
            now_us,
            Observer(telemetry),
            dispatch.closed,
            dispatch.heard_cancel,
        )
        reader = SessionReader(self.store.sessions, sessions, self.engine.roster, self.store.artifacts, now_us, owner)
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
            ReusePlanner(dispatch, dispatch.reuse),
            now_us,
            owner,
        )
        batch_manager = self.batches = BatchProcessingManager(
            self.store.batches,
            workflows,
            sessions,
            self.engine,
            ids,
            now_us,
            instructors.pin,
            artifacts.store_payloads,
            self.admission.reprioritize,
        )
        self._batch_watch = BatchWatch(self.store.batches, owner)
        self._watch = SessionWatch(self.store.sessions, reader, self.engine.roster)
        self._servicer = ProcessingServicer(
            UseCases(
                workflows=WorkflowInstructor(workflows, domains, repeats, _tell_legacy(telemetry)),
                planning=PlanningInstructor(
                    workflows, sessions, artifacts, instructors, durations, self._processing.execute
                ),
                processing=self._processing,
                sessions=reader,
                watch=self._watch,
                views=views,
                batches=BatchInstructor(batch_manager, self.store.batches, repeats, now_us, owner),
                batch_watch=self._batch_watch,
                controls=ControlInstructor(
                    self.store.sessions, sessions, reader, self.engine, repeats, RerunFinder(dispatch.reuse), now_us
                ),
                artifacts=artifacts,
                commands=CommandInstructor(instructors, self.store.artifacts, _tell_legacy(telemetry)),
                domains=DomainInstructor(instructors, health_of),
                contract=ContractInstructor(_FEATURES, _limits(settings)),
            )
        )
        calls = TypedCalls(workflows, self._processing, reader, self._watch)
        self._workflows, self._typed = workflows, WorkflowServices(calls, workflows.interfaces.is_served)
        self.described = DescribedWorkflows(workflows.interfaces)
        """The services of workflows, for reflection."""
        self.add_to(hosting.embedded)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serves the Processing service on a listener, or in process."""
        add_ProcessingServiceServicer_to_server(self._servicer, server)

    def add_workflows_to(self, server: grpc.aio.Server) -> None:
        """Serves the services that workflows have of their own on a listener."""
        server.add_generic_rpc_handlers((self._typed,))

    async def start(self) -> int:
        """Takes up what the process before this one left, and begins to look after time; how many sessions."""
        await self.store.charge_recovery()
        await self._workflows.open_services()
        await self.batches.find_unfinished()
        recovered = await self.engine.recover()
        self.batches.take_up()
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
        self._batch_watch.close()
        await self.batches.drain()
        await self.engine.drain(grace)

    def well(self) -> bool:
        """True while the store takes what is written. What another coordinator has by now is let go of."""
        error = self.store.error
        if isinstance(error, Fenced):
            self.engine.abandon(error)
        return error is None

    async def _learn(self, foreign: ForeignDomain) -> None:
        """Waits for a domain that was away at the start, then takes up the sessions that need it."""
        await learn(foreign, self._domains)
        del self._hosting.undescribed[foreign.name]
        self.engine.take_up_stranded()
        self.batches.take_up()

    async def _sweep(self) -> None:
        while True:
            try:
                await self.store.batches.remove_deleted()  # a crash may have ended it
                await asyncio.sleep(_SWEEP_S)
                await self.store.sweep()
                await self.store.forget_requests(self._now_us())
            except CoordinatorError as error:
                log.warning("what nobody needs any more was not removed: %s", error)
                await asyncio.sleep(_SWEEP_S)


_FEATURES: Final = (
    "artifacts",
    "batches",
    "commands",
    "control",
    "durability",
    "plan",
    "reuse",
    "sessions",
    "typed_workflows",
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
        "max_batch_cells": MAX_CELLS,
        "max_batch_page_items": MAX_PAGE,
        "max_batch_parallel": MAX_PARALLEL,
        "max_timeout_seconds": round(settings.sessions.max_timeout),
        "request_retention_seconds": round(settings.store.request_retention),
    }
