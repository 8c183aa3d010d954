"""Carries out what `decide` asks for: a job goes in, the event that came of it comes out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.engine.base import HeardCancel, NotSent, StepCall, StepRunner
from processing_service.engine.events import (
    Cancel,
    Conclude,
    Concluded,
    Ended,
    Event,
    Failed,
    Resolve,
    Resolved,
    Run,
    Succeeded,
    Withdrawn,
)
from processing_service.engine.faults import fault_of
from processing_service.engine.live import Flight, Live
from processing_service.engine.observer import Observer
from processing_service.engine.records import Outcome, SessionState, StepState, step_key
from processing_service.wire.errors import Code, CoordinatorError, Unreached

log = logging.getLogger(__name__)

Job = Resolve | Run | Conclude


class Worker:
    """Makes the calls of live sessions, and has evaluated what is only evaluated.

    Args:
        runner: makes a call once.
        now_us: microseconds since the Unix epoch.
        observer: tells telemetry what came of each call.
        widest_foreach: items of a foreach step, at most.
        heard_cancel: whether a domain has heard that a call of its was cancelled; None takes that for granted.
    """

    def __init__(
        self,
        runner: StepRunner,
        now_us: Callable[[], int],
        observer: Observer,
        widest_foreach: int,
        heard_cancel: HeardCancel | None = None,
    ) -> None:
        self._runner, self._now_us, self._observer = runner, now_us, observer
        self._widest_foreach, self._heard_cancel = widest_foreach, heard_cancel
        self._time = asyncio.get_running_loop().time

    async def carry_out(self, live: Live, job: Job, task: asyncio.Task[None]) -> Event:
        """Does it, in the caller's task; never raises what a call raised.

        Args:
            task: the caller's own, which a cancelled call is cancelled in.
        """
        if type(job) is Run:
            return await self.call(live, _call_of(live, job), task)
        if type(job) is Resolve:
            return await self._resolve(live, job)
        return await self.conclude(live, _evaluation(live, -1))

    async def call(self, live: Live, call: StepCall, task: asyncio.Task[None]) -> Event:
        """Makes a call; does not look at the state of the session. See `carry_out`."""
        _, step, item, attempt, key, _, _ = call
        flight: Flight = (step, item, attempt)
        if flight in live.cancelled:  # before this task had its first turn
            live.cancelled.discard(flight)
            return Ended(self._now_us(), step, item, attempt, Outcome.ACKNOWLEDGED)
        live.tasks[flight] = task
        started = self._time()
        try:
            output, times, identity, reused_from = await self._runner.run(call, partial(live.report, step, item))
        except asyncio.CancelledError:
            if flight not in live.cancelled:
                raise
            self._observer.step_ended(call, StepState.CANCELLED, self._time() - started)
            outcome = await self._outcome(live, call)
            return Ended(self._now_us(), step, item, attempt, outcome)
        except NotSent:
            return Withdrawn(self._now_us(), step, item, attempt)
        except Exception as error:
            _log_unexpected(error, key)
            fault = fault_of(error, key, attempt)
            self._observer.step_ended(call, StepState.FAILED, self._time() - started, fault=fault)
            return Failed(self._now_us(), step, item, attempt, fault, isinstance(error, Unreached))
        else:
            if identity or reused_from:
                live.computed[flight] = identity
            if reused_from:
                self._observer.step_reused(call)
            else:
                self._observer.step_ended(call, StepState.SUCCEEDED, self._time() - started, times)
            return Succeeded(self._now_us(), step, item, attempt, output, reused_from)
        finally:
            del live.tasks[flight]
            if flight in live.cancelled:
                live.cancelled.discard(flight)
                task.uncancel()

    async def _outcome(self, live: Live, call: StepCall) -> Outcome:
        """What a receipt says of a call that ended because it was cancelled; only a CANCEL wants one."""
        if self._heard_cancel is None or live.state.state is not SessionState.CANCELLING:
            return Outcome.ACKNOWLEDGED
        return Outcome.ACKNOWLEDGED if await self._heard_cancel(call) else Outcome.UNREACHABLE

    async def _resolve(self, live: Live, job: Resolve) -> Event:
        try:
            skipped, total = await self._runner.resolve(_evaluation(live, job.step))
            self._check_width(total)
        except Exception as error:
            _log_unexpected(error, live.state.session_id)
            return Failed(self._now_us(), job.step, -1, 0, fault_of(error))
        return Resolved(self._now_us(), job.step, skipped, total)

    def _check_width(self, total: int) -> None:
        if total > self._widest_foreach:
            raise CoordinatorError(
                Code.RESOURCE_EXHAUSTED,
                ErrorReason.ERROR_REASON_PAYLOAD_TOO_LARGE,
                f"a foreach over {total} items; at most {self._widest_foreach}: use a batch",
            )

    async def conclude(self, live: Live, call: StepCall) -> Concluded:
        """Evaluates the outputs of the workflow; has nothing told that is untold. See `carry_out`."""
        try:
            result = await self._runner.conclude(call)
        except Exception as error:
            _log_unexpected(error, call.key)
            return Concluded(self._now_us(), fault_of(error))
        if live.passage is not None or not live.state.state.terminal:  # else it has a result: why it ended meanwhile
            live.result = result
        return Concluded(self._now_us())

    def recall(self, live: Live) -> None:
        """Takes back the calls of a session that have not left; what comes of it is an event as any other."""
        for step, item, _ in live.tasks:
            said = live.progress.get((step, item))
            if said is not None and said.wait is not None:
                said.wait.recall()

    def cancel(self, live: Live, action: Cancel) -> None:
        """Cancels a call, once, also one that is about to go out; what comes of it is an event as any other."""
        flight: Flight = (action.step, action.item, action.attempt)
        if flight in live.cancelled:
            return
        live.cancelled.add(flight)
        if (task := live.tasks.get(flight)) is not None:
            task.cancel()


def _call_of(live: Live, job: Run) -> StepCall:
    step, item, attempt, deadline_us = job
    key = step_key(live.state.session_id, live.plan.steps[step].step_id, item, attempt)
    return StepCall(live.context, step, item, attempt, key, deadline_us, live.state.steps)


def _evaluation(live: Live, step: int) -> StepCall:
    """A call for something that is only evaluated."""
    return StepCall(live.context, step, -1, 0, live.state.session_id, live.state.deadline_us, live.state.steps)


def _log_unexpected(error: Exception, where: str) -> None:
    if not isinstance(error, CoordinatorError):
        log.error("unexpected error in %s", where, exc_info=error)
