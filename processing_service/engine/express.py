"""Runs a session whose calls answer at once, in one go, and records it as `decide` would have.

Nothing can come between where nothing suspends: no command, no timer, no other result. So what `decide` would say is
known beforehand for steps that follow one another, and is written down without asking it step by step. Where a call
suspends or fails, what has happened so far is given to `decide` as events, and the session goes on as any other. A test
holds both ways to the same records.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, NamedTuple

from processing_service.engine.base import Progress, Result, StepCall, StepRunner
from processing_service.engine.events import Conclude, Event, Run, Started, Succeeded
from processing_service.engine.live import Live
from processing_service.engine.observer import Observer
from processing_service.engine.records import Kind, Output, Plan, Record, SessionState, StepState, step_key
from processing_service.engine.state import Step


class Report:
    """Takes the progress of a call; tells it to the session once there is somebody to hear it."""

    __slots__ = ("live", "step")

    def __init__(self, step: int) -> None:
        self.live: Live | None = None
        self.step = step

    def __call__(self, progress: Progress) -> None:
        if self.live is not None:
            self.live.report(self.step, -1, progress)


class Resumed:
    """A coroutine that was begun by hand, to be awaited from where it stands.

    Args:
        waits_for: what it yielded.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._coroutine, self._waits_for = coroutine, waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        waits_for = self._waits_for
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:
                step = self._throw(error)
            else:
                step = self._send(sent)
            over, waits_for = step
            if over:
                return waits_for

    def _send(self, value: Any) -> tuple[bool, Any]:
        try:
            return False, self._coroutine.send(value)
        except StopIteration as stop:
            return True, stop.value

    def _throw(self, error: BaseException) -> tuple[bool, Any]:
        try:
            return False, self._coroutine.throw(error)
        except StopIteration as stop:
            return True, stop.value


class Halt(NamedTuple):
    """Where a session could not go on in one go."""

    events: list[Event]
    """What has happened before."""
    job: Run | Conclude
    running: Awaitable[Any]
    """What has been begun of it."""
    report: Report


async def _given(result: Result) -> Result:
    return result


async def _raised(error: Exception) -> Any:
    raise error


def is_straight(plan: Plan) -> bool:
    """True if its steps follow one another, and nothing has to be evaluated before one runs."""
    steps = plan.steps
    return all(not step.resolves and (index == 0 or index - 1 in step.needs) for index, step in enumerate(steps))


def _events(records: list[Record]) -> list[Event]:
    """What `decide` is told, to make the same records."""
    return [
        Started(records[0].at),
        *(Succeeded(end.at, end.step, -1, 1, end.output) for end in records if end.output is not None),
    ]


class Express:
    """Takes sessions as far as they go without suspending.

    Args:
        runner: makes a call once.
        now_us: microseconds since the Unix epoch.
        observer: tells telemetry what came of each call.
        time: seconds that only grow.
    """

    def __init__(
        self, runner: StepRunner, now_us: Callable[[], int], observer: Observer, time: Callable[[], float]
    ) -> None:
        self._runner, self._now_us, self._observer, self._time = runner, now_us, observer, time

    def run(self, live: Live) -> Halt | list[Record]:
        """The records of a session that has ended with success, its state and result in `live`; else where it stands.

        Args:
            live: of a straight plan; nothing has happened to it yet.
        """
        state, context, plans = live.state, live.context, live.plan.steps
        steps, at = state.steps.copy(), self._now_us()
        records = [Record(1, at, Kind.SESSION_STARTED, 1, SessionState.RUNNING)]
        sequence, begun, deadline_us = 1, at, state.deadline_us
        for index, plan in enumerate(plans):
            due = min(deadline_us, at + plan.timeout_us) if plan.timeout_us else deadline_us
            key = step_key(state.session_id, plan.step_id, -1, 1)
            call, report, started = StepCall(context, index, -1, 1, key, due, steps), Report(index), self._time()
            running = self._runner.run(call, report)
            try:
                waits_for = running.send(None)
            except StopIteration as stop:
                result: Result = stop.value
            except Exception as error:
                return Halt(_events(records), Run(index, -1, 1, due), _raised(error), report)
            else:
                return Halt(_events(records), Run(index, -1, 1, due), Resumed(running, waits_for), report)
            if result.identity or result.reused_from:  # others may take it, or it was taken: that is written, too
                return Halt(_events(records), Run(index, -1, 1, due), _given(result), report)
            output: Output = result.output
            self._observer.step_ended(call, StepState.SUCCEEDED, self._time() - started, result.times)
            records.append(Record(sequence + 1, at, Kind.STEP_STARTED, 1, SessionState.RUNNING, index, -1, 1))
            steps[index] = Step(StepState.SUCCEEDED, 0, 1, 1, due, at, output)
            at = steps[index].since_us = self._now_us()
            sequence += 2
            records.append(Record(sequence, at, Kind.STEP_SUCCEEDED, 1, SessionState.RUNNING, index, -1, 1, output))
        concluding = self._runner.conclude(StepCall(context, -1, -1, 0, state.session_id, deadline_us, steps))
        try:
            waits_for = concluding.send(None)
        except StopIteration as stop:
            live.result = stop.value
        except Exception as error:
            return Halt(_events(records), Conclude(), _raised(error), Report(-1))
        else:
            return Halt(_events(records), Conclude(), Resumed(concluding, waits_for), Report(-1))
        at = self._now_us()
        records.append(Record(sequence + 1, at, Kind.SESSION_ENDED, 1, SessionState.SUCCEEDED))
        state.steps, state.state, state.sequence, state.unended = steps, SessionState.SUCCEEDED, sequence + 1, 0
        state.started_us, state.ended_us = begun, at
        return records
