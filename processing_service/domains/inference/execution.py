"""The way of one PostInferenceExecute: look the model up, check the inputs, hold the model, run, reply."""

from __future__ import annotations

import asyncio
import itertools
import time

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.inference.v1 import inference_pb2 as pb

from processing_service.domains.inference import inputs, reductions
from processing_service.domains.inference.batching import Batcher
from processing_service.domains.inference.computing import Job, Outcome
from processing_service.domains.inference.messages import duration
from processing_service.domains.inference.residency import Residency
from processing_service.domains.inference.sessions import InferenceSessions
from processing_service.domains.models import ModelSource
from processing_service.wire.callcontext import CallContext
from processing_service.wire.errors import Code, CoordinatorError, Violation


class Execution:
    """Runs models for callers.

    Args:
        source: knows the models.
        residency: has them in memory.
        batcher: brings jobs to the workers.
        sessions: is told what runs, and cancels it.
        max_in_flight: calls at the same time.
    """

    def __init__(
        self,
        source: ModelSource,
        residency: Residency,
        batcher: Batcher,
        sessions: InferenceSessions,
        max_in_flight: int,
    ) -> None:
        self._source = source
        self._residency = residency
        self._batcher = batcher
        self._sessions = sessions
        self._max_in_flight = max_in_flight
        self._numbers = itertools.count(1)

    async def execute(
        self, request: pb.PostInferenceExecuteRequest, call: CallContext
    ) -> pb.PostInferenceExecuteResponse:
        """Run the model once.

        Raises:
            CoordinatorError: whatever PostInferenceExecute is documented to answer.
        """
        if self._sessions.in_flight_count >= self._max_in_flight:
            raise _overloaded(self._max_in_flight)
        with self._sessions.running(request.inference_session_id, call.session_id, call.tenant):
            job = await asyncio.to_thread(self._prepare, request)
            asked_at = time.perf_counter()
            async with self._residency.hold(
                job.model, call.idempotency_key or f"call-{next(self._numbers)}"
            ) as resident:
                held_at = time.perf_counter()
                outcome = await self._batcher.run(resident, job)
                self._residency.ran(resident)
        return _reply(job, outcome, held_at - asked_at, outcome.started_at - held_at)

    def _prepare(self, request: pb.PostInferenceExecuteRequest) -> Job:
        """Everything that needs no memory of its own; reads the disk, so it runs in a thread."""
        session = self._sessions.find(request.inference_session_id)
        version = request.model_version
        if not version and session is not None and session.model.model_id == request.model_id:
            version = session.model.model_version
        model = self._source.resolve(request.model_id, version)
        if request.model_digest not in ("", model.digest):
            raise _other_digest(request.model_digest, model.digest)
        plan = reductions.plan(model, request.output_names, request.reductions)
        return Job(model, inputs.check(model, request.inputs), plan)


def _reply(job: Job, outcome: Outcome, loading: float, queued: float) -> pb.PostInferenceExecuteResponse:
    return pb.PostInferenceExecuteResponse(
        outputs=outcome.outputs,
        model_version=job.model.model_version,
        model_digest=job.model.digest,
        queued=duration(queued),
        loading=duration(loading),
        computing=duration(outcome.seconds),
        batch_size=outcome.batch_size,
    )


def _other_digest(wanted: str, found: str) -> CoordinatorError:
    return CoordinatorError(
        Code.INVALID_ARGUMENT,
        ErrorReason.ERROR_REASON_DIGEST_MISMATCH,
        f"model_digest: the model file has SHA-256 {found}, not {wanted}; it was replaced since it was pinned",
        metadata={"digest": found},
        violations=[Violation("model_digest", "the model file has another one", found)],
    )


def _overloaded(limit: int) -> CoordinatorError:
    return CoordinatorError(
        Code.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_SERVER_OVERLOADED,
        f"{limit} calls wait or run here already, the most that are taken; try again later",
        retry_delay=1.0,
    )
