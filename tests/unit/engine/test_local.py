from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest, Session, Workflow

from processing_service.engine.base import OperationType, Progress, Resolution, Result, SessionContext, StepCall
from processing_service.engine.events import Command
from processing_service.engine.ledger import INLINE_BYTES
from processing_service.engine.live import Live
from processing_service.engine.local import LocalEngine
from processing_service.engine.observer import Observer
from processing_service.engine.records import Action, Durability, Output, Plan, SessionState, StepPlan
from processing_service.engine.store.base import SessionRow, SessionStart
from processing_service.engine.store.sqlite import SqliteStore, StoreSettings
from processing_service.wire.errors import Code, CoordinatorError, Unavailable
from processing_service.wire.telemetry.hooks import Receive, SessionEnded, StepEnded, Telemetry


class Runner:
    """Makes calls that do as they are told: succeed at once, wait for `release`, or fail."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.cancelled: list[str] = []
        self.failures: dict[str, list[Exception]] = {}
        self.held: set[str] = set()
        self.release = asyncio.Event()
        self._reached: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.items: dict[int, Resolution] = {}
        self.stubborn = False
        self.padding = b""

    async def resolve(self, call: StepCall) -> Resolution:
        return self.items[call.step]

    async def run(self, call: StepCall, report: Callable[[Progress], None]) -> Result:
        step = call.key.split("/")[1]
        self.calls.append(step)
        self._reached[step].set()
        if failures := self.failures.get(step.split("#")[0]):
            raise failures.pop(0)
        if step.split("#")[0] in self.held:
            await self._hold(step)
        report(Progress(1.0))
        return Result(Output("test.Result", step.encode() + self.padding))

    async def until(self, step: str) -> None:
        """Returns once that call has come."""
        await self._reached[step].wait()

    async def _hold(self, step: str) -> None:
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.append(step)
            if not self.stubborn:
                raise
            await self.release.wait()

    async def conclude(self, call: StepCall) -> bytes:
        return Session(trace_id="done").SerializeToString()


class Heard:
    """A sink that keeps the ends it was told of."""

    def __init__(self) -> None:
        self.sessions: list[str] = []
        self.steps: list[str] = []

    def receivers(self) -> Mapping[type, Receive]:
        return {
            SessionEnded: lambda record: self.sessions.append(f"{record.session_id} {record.state}"),
            StepEnded: lambda record: self.steps.append(f"{record.step_key} {record.state}"),
        }


class Bench:
    """An engine on a real store, and what it is asked to run."""

    def __init__(self, folder: Path, *steps: StepPlan) -> None:
        self.plan = Plan.of(steps)
        self.runner, self.heard = Runner(), Heard()
        self.store = SqliteStore(StoreSettings(folder))
        self.engine = LocalEngine(
            self.store.sessions,
            self.store.artifacts,
            self.runner,
            self._revive,
            now_us,
            Observer(Telemetry([self.heard])),
            lambda context: None,
        )
        self.ticker = asyncio.ensure_future(self.engine.run())

    def _revive(self, row: SessionRow) -> tuple[SessionContext, Plan]:
        return context(row.start.session_id), self.plan

    async def submit(
        self, session_id: str = "s", *, durability: Durability = Durability.FULL, **changes: object
    ) -> Live:
        start = SessionStart(session_id, "", "wf", b"d" * 32, b"def", b"", now_us(), 60_000_000, durability=durability)
        _, live = await self.engine.submit(start._replace(**changes), context(session_id), self.plan)
        assert live is not None
        return live

    async def end(self, live: Live) -> SessionState:
        final = await live.wait(now_us() + 10_000_000)
        assert final is not None
        return final.state.state

    async def history(self, session_id: str = "s") -> list[str]:
        return [record.kind.name for record in await self.store.sessions.records(session_id, "", 0, 1000)]

    def command(self, action: Action) -> Command:
        return Command(now_us(), action, now_us(), "r", "me")

    async def crash(self) -> None:
        """Ends as a killed process does: nothing is recorded of what was under way."""
        self.ticker.cancel()
        await self.engine.drain(0)
        await self.store.close()


class Names:
    """All that the engine reads of a definition."""

    workflow = Workflow(workflow_id="wf")
    operation = OperationType("test.call", Workflow.DESCRIPTOR, Workflow.DESCRIPTOR, True, True)

    @property
    def steps(self) -> tuple[Names, ...]:
        return (self,) * 3


def now_us() -> int:
    return time.time_ns() // 1000


def context(session_id: str) -> SessionContext:
    return SessionContext(session_id, "", Names(), PostWorkflowExecuteRequest(), {})  # type: ignore[arg-type]


@asynccontextmanager
async def running(folder: Path, *steps: StepPlan) -> AsyncIterator[Bench]:
    bench = Bench(folder, *steps)
    try:
        yield bench
    finally:
        bench.runner.release.set()
        await bench.crash()


CHAIN = (StepPlan("a"), StepPlan("b", (0,)), StepPlan("c", (1,)))


async def test_a_chain_runs_and_is_durable_before_anybody_is_told(tmp_path: Path) -> None:
    """The end, the result and the whole history are in the store when the caller wakes."""
    async with running(tmp_path, *CHAIN) as bench:
        live = await bench.submit()

        assert await bench.end(live) is SessionState.SUCCEEDED
        assert bench.runner.calls == ["a#1", "b#1", "c#1"]
        row = await bench.store.sessions.read("s", "")
        assert Session.FromString(row.result).trace_id == "done"
        assert await bench.history() == ["SESSION_STARTED", *["STEP_STARTED", "STEP_SUCCEEDED"] * 3, "SESSION_ENDED"]
        assert (bench.heard.sessions, len(bench.engine)) == (["s SUCCEEDED"], 0)


async def test_branches_run_at_the_same_time(tmp_path: Path) -> None:
    """And the last of them goes on with what joins them."""
    async with running(tmp_path, StepPlan("a"), StepPlan("b"), StepPlan("c", (0, 1))) as bench:
        bench.runner.held = {"a", "b"}
        live = await bench.submit()
        await bench.runner.until("a#1")
        await bench.runner.until("b#1")
        bench.runner.release.set()

        assert await bench.end(live) is SessionState.SUCCEEDED
        assert bench.runner.calls == ["a#1", "b#1", "c#1"]


async def test_a_caller_that_leaves_does_not_stop_the_session(tmp_path: Path) -> None:
    """The work is the session's, not the caller's."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.held = {"a"}
        live = await bench.submit()
        caller = asyncio.ensure_future(live.wait(now_us() + 10_000_000))
        await bench.runner.until("a#1")
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        bench.runner.release.set()

        assert await bench.end(live) is SessionState.SUCCEEDED


async def test_a_caller_that_leaves_before_the_start_is_durable_leaves_a_session_that_runs(tmp_path: Path) -> None:
    """What is stored is carried out, and whoever is to know of it is told."""
    async with running(tmp_path, *CHAIN) as bench:
        told: list[Live] = []
        start = SessionStart("s", "", "wf", b"d" * 32, b"def", b"", now_us(), 60_000_000)
        submitting = asyncio.ensure_future(
            bench.engine.submit(start, context("s"), bench.plan, on_leave=told.append),
        )
        await asyncio.sleep(0)
        submitting.cancel()
        await asyncio.gather(submitting, return_exceptions=True)
        await bench.runner.until("a#1")

        assert submitting.cancelled()
        assert [live.state.session_id for live in told] == ["s"]
        assert await bench.end(told[0]) is SessionState.SUCCEEDED


async def test_a_caller_gets_the_session_as_it_stands_when_its_time_is_up(tmp_path: Path) -> None:
    """And the session goes on."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.held = {"a"}
        live = await bench.submit()

        assert await live.wait(now_us()) is None
        assert live.state.state is SessionState.RUNNING


async def test_a_failure_that_may_pass_is_tried_again(tmp_path: Path) -> None:
    """The next attempt has another key, and the history tells both."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.failures["a"] = [Unavailable(ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE, "gone")]
        live = await bench.submit()

        assert await bench.end(live) is SessionState.SUCCEEDED
        assert bench.runner.calls[:2] == ["a#1", "a#2"]
        assert bench.heard.steps[:2] == ["s/a#1 FAILED", "s/a#2 SUCCEEDED"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CoordinatorError(Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_TENSOR_INVALID, "wrong"), "TENSOR_INVALID"),
        (ValueError("/secret/path"), "INTERNAL"),
    ],
)
async def test_a_failed_step_is_the_cause_of_the_sessions_failure(
    tmp_path: Path, error: Exception, reason: str
) -> None:
    """An error that nobody expected does not show its text."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.failures["b"] = [error]
        live = await bench.submit()

        assert await bench.end(live) is SessionState.FAILED
        failure = Session.FromString((await bench.store.sessions.read("s", "")).result).failure
        assert (failure.reason_name, failure.cause.reason_name) == ("STEP_FAILED", reason)
        assert failure.cause.step_key == "s/b#1"
        assert "/secret" not in str(failure)


async def test_a_step_that_takes_too_long_is_cancelled(tmp_path: Path) -> None:
    """Its call ends, and the step counts as failed."""
    async with running(tmp_path, StepPlan("a", timeout_us=1000)) as bench:
        bench.runner.held = {"a"}
        live = await bench.submit()

        assert await bench.end(live) is SessionState.FAILED
        assert bench.runner.cancelled == ["a#1"]


async def test_the_budget_ends_a_session(tmp_path: Path) -> None:
    """TIMED_OUT, and the call that is out is cancelled."""
    async with running(tmp_path, StepPlan("a")) as bench:
        bench.runner.held = {"a"}
        live = await bench.submit(budget_us=1000)

        assert await bench.end(live) is SessionState.TIMED_OUT
        assert bench.runner.cancelled == ["a#1"]


async def test_cancel_reaches_a_call_that_runs_in_the_sessions_own_task(tmp_path: Path) -> None:
    """The receipt says ACKNOWLEDGED, and the task lives on to write the end."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.held = {"b"}
        live = await bench.submit()
        await bench.runner.until("b#1")
        await bench.engine.deliver("s", "", bench.command(Action.CANCEL))

        assert await bench.end(live) is SessionState.CANCELLED
        assert bench.runner.cancelled == ["b#1"]
        ending = ["COMMAND_APPLIED", "CALL_RECEIPT", "STEP_CANCELLED", "SESSION_ENDED"]
        assert (await bench.history())[-4:] == ending


async def test_a_call_that_ignores_cancel_is_left_behind(tmp_path: Path) -> None:
    """TERMINATE ends the session now; the late result changes nothing."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.held, bench.runner.stubborn = {"a"}, True
        live = await bench.submit()
        await bench.runner.until("a#1")
        await bench.engine.deliver("s", "", bench.command(Action.TERMINATE))
        before = await bench.history()
        bench.runner.release.set()
        await asyncio.sleep(0)

        assert await bench.end(live) is SessionState.TERMINATED
        assert await bench.history() == before


async def test_an_ended_session_is_retried_from_what_failed(tmp_path: Path) -> None:
    """Loaded from the store, in a new attempt, with outputs kept."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.failures["b"] = [CoordinatorError(Code.INTERNAL, ErrorReason.ERROR_REASON_INTERNAL, "no")]
        await bench.end(await bench.submit())
        await bench.engine.deliver("s", "", bench.command(Action.RETRY))
        live = bench.engine.live("s")
        assert live is not None

        assert await bench.end(live) is SessionState.SUCCEEDED
        assert bench.runner.calls == ["a#1", "b#1", "b#2", "c#1"]


async def test_an_illegal_command_names_what_would_be_legal(tmp_path: Path) -> None:
    """FAILED_PRECONDITION, for live sessions and for ended ones."""
    async with running(tmp_path, *CHAIN) as bench:
        await bench.end(await bench.submit())
        with pytest.raises(CoordinatorError) as caught:
            await bench.engine.deliver("s", "", bench.command(Action.RETRY))
        assert caught.value.metadata["state"] == "SUCCEEDED"
        bench.runner.held = {"a"}
        await bench.submit("t")
        with pytest.raises(CoordinatorError) as caught:
            await bench.engine.deliver("t", "", bench.command(Action.RESUME))
        assert caught.value.metadata["legal_actions"] == "PAUSE, CANCEL, TERMINATE"


async def test_a_foreach_runs_its_items(tmp_path: Path) -> None:
    """At most max_parallel at a time; one too wide fails the step."""
    async with running(tmp_path, StepPlan("a", foreach=True, max_parallel=2)) as bench:
        bench.runner.items = {0: Resolution(items_total=5)}
        assert await bench.end(await bench.submit()) is SessionState.SUCCEEDED
        assert sorted(bench.runner.calls) == [f"a[{item}]#1" for item in range(5)]

        bench.runner.items = {0: Resolution(items_total=10_001)}
        assert await bench.end(await bench.submit("t")) is SessionState.FAILED


async def test_large_results_are_stored_beside_the_steps_that_follow(tmp_path: Path) -> None:
    """Their bytes are artifacts, the history has them by digest, in order, before the end is told."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.padding = bytes(INLINE_BYTES)
        assert await bench.end(await bench.submit()) is SessionState.SUCCEEDED

        records = await bench.store.sessions.records("s", "", 0, 1000)
        assert [record.sequence for record in records] == list(range(1, 9))
        outputs = [record.output for record in records if record.output is not None]
        assert [output.data for output in outputs] == [b""] * 3
        assert await bench.store.artifacts.get(outputs[0].digest.hex()) == b"a#1" + bytes(INLINE_BYTES)


async def test_a_result_waits_for_the_artifact_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While it cannot be stored its record is not, either; once it can, nothing was lost."""
    async with running(tmp_path, StepPlan("a")) as bench:
        bench.runner.padding = bytes(INLINE_BYTES)
        blocker = tmp_path / "artifacts"
        blocker.write_text("in the way")
        live = await bench.submit()
        assert await live.wait(now_us() + 100_000) is None
        assert "STEP_SUCCEEDED" not in await bench.history()
        blocker.unlink()

        assert await bench.end(live) is SessionState.SUCCEEDED
        assert "waits for the artifact store" in caplog.text


async def test_a_drain_does_not_wait_for_room(tmp_path: Path) -> None:
    """A large result that cannot be stored is left to the next start, as are the records behind it."""
    async with running(tmp_path, *CHAIN) as bench:
        (tmp_path / "artifacts").write_text("no folder")
        bench.runner.padding = b"x" * INLINE_BYTES
        await bench.submit()
        await bench.runner.until("c#1")
        await asyncio.wait_for(bench.engine.drain(0), 10)

        assert (await bench.store.sessions.read("s", "")).state in (SessionState.PENDING, SessionState.RUNNING)


async def test_a_new_process_goes_on_where_the_old_one_was(tmp_path: Path) -> None:
    """What succeeded is not run again; what was out runs again under the same key."""
    old = Bench(tmp_path, *CHAIN)
    old.runner.held = {"b"}
    await old.submit()
    await old.runner.until("b#1")
    await old.crash()

    async with running(tmp_path, *CHAIN) as new:
        await new.store.charge_recovery()
        assert await new.engine.recover() == 1
        live = new.engine.live("s")
        assert live is not None
        assert await new.end(live) is SessionState.SUCCEEDED
        assert new.runner.calls == ["b#1", "c#1"]
        assert (await new.history()).count("STEP_SUCCEEDED") == 3


async def test_without_durability_nothing_is_stored(tmp_path: Path) -> None:
    """NONE gives the result and leaves no trace."""
    async with running(tmp_path, *CHAIN) as bench:
        live = await bench.submit(durability=Durability.NONE)

        assert await bench.end(live) is SessionState.SUCCEEDED
        with pytest.raises(CoordinatorError, match="no session"):
            await bench.store.sessions.read("s", "")


async def test_a_start_that_could_not_be_stored_is_told_as_what_it_is(tmp_path: Path) -> None:
    """Also where the session does not wait for it: its end is not said to be another coordinator's doing."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.held = {"c"}
        bench.store._database.writer.execute("PRAGMA max_page_count = 1")
        live = await bench.submit(durability=Durability.RESULT, request=b"x" * 100_000)
        while live.refused is None:  # noqa: ASYNC110  # nobody else is told
            await asyncio.sleep(0)
        bench.store._database.writer.execute("PRAGMA max_page_count = 1000000")
        bench.runner.release.set()
        with pytest.raises(CoordinatorError) as caught:
            await bench.end(live)

        assert caught.value.reason == ErrorReason.ERROR_REASON_STORE_FULL


async def test_a_server_that_drains_takes_no_session(tmp_path: Path) -> None:
    """UNAVAILABLE with a hint when to try again; what ran is there for the next start."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.held = {"a"}
        await bench.submit()
        await bench.engine.drain(0)
        with pytest.raises(Unavailable):
            await bench.submit("t")
        assert (await bench.store.sessions.read("s", "")).state in (SessionState.PENDING, SessionState.RUNNING)
