"""Calls that wait together for one model run as one batch, where the model's model.yaml turns that on.

A batch stays open until a worker takes it, so a call waits for others only while it would wait anyway, and as long as
`max_delay` says beside that. On CPU vision models gain nothing from it; models of short texts gain a fifth.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from processing_service.domains.inference.computing import Computer, Job, Outcome
from processing_service.domains.inference.executor import Executor, settled
from processing_service.domains.inference.inputs import max_rows, row_count, row_signature
from processing_service.domains.inference.residents import Resident
from processing_service.domains.inference.runtimes.base import Stop
from processing_service.wire.errors import CoordinatorError

Signature = tuple[object, ...]
Results = dict[Job, Outcome | CoordinatorError]


@dataclass(eq=False, slots=True)
class _Batch:
    """Jobs that will run together; the worker that takes it closes it."""

    max_rows: int
    jobs: list[Job] = field(default_factory=list)
    rows: int = 0
    stop: Stop = field(default_factory=Stop)
    full: asyncio.Event = field(default_factory=asyncio.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def join(self, job: Job, count: int) -> bool:
        """Take the job in; False if it is too late or too much."""
        with self._lock:
            if self._closed or self.rows + count > self.max_rows:
                return False
            self.jobs.append(job)
            self.rows += count
        if self.rows == self.max_rows:
            self.full.set()
        return True

    async def fill(self, seconds: float) -> None:
        """Wait for more jobs, until it is full or so long."""
        if seconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.full.wait(), seconds)

    def leave(self, job: Job) -> None:
        """The job's caller is gone; with the last one the run is stopped."""
        with self._lock:
            self.jobs.remove(job)
            if not self.jobs:
                self._closed = True
                self.stop.set()

    def close(self) -> list[Job]:
        """What is in it; nobody joins any more."""
        with self._lock:
            self._closed = True
            return list(self.jobs)


class Batcher:
    """Brings jobs to the workers, together where they may be."""

    def __init__(self, executor: Executor, computer: Computer) -> None:
        self._executor = executor
        self._computer = computer
        self._open: dict[Signature, _Batch] = {}
        self._runs: dict[_Batch, asyncio.Task[Results]] = {}

    async def run(self, resident: Resident, job: Job) -> Outcome:
        """The job's outcome; a cancelled caller stops a run that is nobody else's, and it has ended when this returns.

        Raises:
            CoordinatorError: as the inputs, the runtime or the reductions say.
        """
        count = row_count(job.model, job.arrays) if job.model.batching.enabled else 0
        if count:
            results = await self._run_together(resident, job, count)
        else:
            stop = Stop()
            results = await self._compute(resident, partial(self._computer.compute, resident, [job], stop), stop)
        result = results[job]
        if isinstance(result, CoordinatorError):
            raise result
        return result

    async def _run_together(self, resident: Resident, job: Job, count: int) -> Results:
        batch = self._join(resident, job, count)
        run = self._runs[batch]
        try:
            return await asyncio.shield(run)
        except asyncio.CancelledError:
            batch.leave(job)
            if batch.stop.is_set():
                run.cancel()
                await settled(run)
            raise

    def _join(self, resident: Resident, job: Job, count: int) -> _Batch:
        signature = (resident, job.plan.output_names, row_signature(job.model, job.arrays))
        batch = self._open.get(signature)
        if batch is None or not batch.join(job, count):
            batch = self._open[signature] = _Batch(max(count, max_rows(job.model)))
            batch.join(job, count)
            run = self._runs[batch] = asyncio.create_task(self._run_batch(resident, batch, signature))
            # The callers of a batch may all be gone when it fails.
            run.add_done_callback(lambda done: done.cancelled() or done.exception())
        return batch

    async def _run_batch(self, resident: Resident, batch: _Batch, signature: Signature) -> Results:
        try:
            await batch.fill(resident.model.batching.max_delay)
            return await self._compute(
                resident, lambda: self._computer.compute(resident, batch.close(), batch.stop), batch.stop
            )
        finally:
            del self._runs[batch]
            if self._open.get(signature) is batch:
                del self._open[signature]

    async def _compute(self, resident: Resident, work: Callable[[], Results], stop: Stop) -> Results:
        """The results of a run, once it is the model's turn and a worker is free; no worker is held meanwhile."""
        async with resident.turns or contextlib.nullcontext():
            return await self._executor.run(work, stop)
