from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import Session

from processing_service.engine.events import Command
from processing_service.engine.live import Live
from processing_service.engine.records import Action, Durability, SessionState, StepPlan
from processing_service.engine.store.base import SessionStart
from processing_service.wire.errors import Code, CoordinatorError, Fenced, Unavailable
from tests.engines import CHAIN, context, now_us, running


async def test_a_chain_runs_and_is_durable_before_anybody_is_told(tmp_path: Path) -> None:
    """The end, the result and the whole history are in the store when the caller wakes."""
    async with running(tmp_path, *CHAIN) as bench:
        live = await bench.submit()

        assert await bench.end(live) is SessionState.SUCCEEDED
        assert bench.runner.calls == ["a#1", "b#1", "c#1"]
        row = await bench.store.sessions.read("s", "")
        assert Session.FromString(row.result).trace_id == "done"
        assert await bench.history() == ["SESSION_STARTED", *["STEP_STARTED", "STEP_SUCCEEDED"] * 3, "SESSION_ENDED"]
        assert (bench.heard.sessions, len(bench.engine.roster)) == (["s SUCCEEDED"], 0)


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


async def test_the_budget_ends_a_session(tmp_path: Path) -> None:
    """TIMED_OUT, and the call that is out is cancelled."""
    async with running(tmp_path, StepPlan("a")) as bench:
        bench.runner.held = {"a"}
        live = await bench.submit(budget_us=200_000)

        assert await bench.end(live) is SessionState.TIMED_OUT
        assert bench.runner.cancelled == ["a#1"]


@pytest.mark.parametrize("idempotent", [False, True])
@pytest.mark.parametrize("action", [Action.CANCEL, Action.TERMINATE])
async def test_a_session_that_ends_while_its_outputs_are_evaluated_has_none(
    tmp_path: Path, action: Action, *, idempotent: bool
) -> None:
    """Its caller is told why it ended, as the store says, and not what it would have come to."""
    async with running(tmp_path, StepPlan("a", idempotent=idempotent)) as bench:
        bench.runner.held = {"outputs"}
        live = await bench.submit()
        await bench.runner.until("outputs")
        bench.engine.post(live, bench.command(action))
        bench.runner.release.set()
        await bench.end(live)
        row = await bench.store.sessions.read("s", "")

        assert Session.FromString(row.result).HasField("failure")
        assert live.final is not None
        assert live.result == live.final.result == row.result


async def test_outputs_of_an_attempt_that_was_ended_do_not_end_the_next(tmp_path: Path) -> None:
    """They were evaluated until after a RETRY, which runs a step again that had ended well."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.held = {"outputs"}
        live = await bench.submit()
        await bench.runner.until("outputs")
        bench.engine.post(live, bench.command(Action.TERMINATE))
        bench.runner.queued = {"a"}
        again = bench.command(Action.RETRY)._replace(rerun=(0,))
        retrying = asyncio.ensure_future(bench.engine.deliver("s", "", again))  # the end is not durable yet
        await bench.runner.until("a#2")
        bench.runner.held = set()
        bench.runner.release.set()
        await retrying
        assert live.state.state is SessionState.RUNNING
        await bench.engine.deliver("s", "", bench.command(Action.PAUSE))
        bench.runner.queued = set()
        await bench.engine.deliver("s", "", bench.command(Action.RESUME))

        assert await bench.end(live) is SessionState.SUCCEEDED
        assert bench.runner.calls[3:] == ["a#2", "a#3", "b#2", "c#2"]


async def test_an_ended_session_is_retried_from_what_failed(tmp_path: Path) -> None:
    """Loaded from the store, in a new attempt, with outputs kept."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.failures["b"] = [CoordinatorError(Code.INTERNAL, ErrorReason.ERROR_REASON_INTERNAL, "no")]
        await bench.end(await bench.submit())
        await bench.engine.deliver("s", "", bench.command(Action.RETRY))
        live = bench.engine.roster.live("s", "")
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


async def test_a_command_happens_when_it_reaches_its_session(tmp_path: Path) -> None:
    """Not when it was accepted: the times of a history do not go back, and the pause counts from its acceptance."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.held = {"a"}
        live = await bench.submit()
        await bench.runner.until("a#1")
        accepted_us = live.state.started_us - 1000
        await bench.engine.deliver("s", "", Command(accepted_us, Action.PAUSE, accepted_us))

        times = [record.at for record in await bench.store.sessions.records("s", "", 0, 100)]
        assert times == sorted(times)
        assert live.state.paused_us == accepted_us


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


async def test_nothing_is_written_to_a_session_that_has_ended(tmp_path: Path) -> None:
    """A caller that leaves late may meet one that somebody else takes up at that moment."""
    async with running(tmp_path, *CHAIN) as bench:
        live = await bench.submit()
        await bench.end(live)
        before = await bench.history()
        bench.engine.post(live, bench.command(Action.CANCEL))
        await bench.engine.drain(0)

        assert await bench.history() == before


async def test_sessions_that_another_has_by_now_are_let_go_of(tmp_path: Path) -> None:
    """Their calls are cancelled, who waits is told why, and nothing begins here any more."""
    async with running(tmp_path, *CHAIN) as bench:
        bench.runner.held = {"a"}
        live = await bench.submit()
        await bench.runner.until("a#1")
        waiting = asyncio.ensure_future(live.wait(now_us() + 60_000_000))
        await asyncio.sleep(0)
        bench.engine.abandon(Fenced(""))
        with pytest.raises(Fenced):
            await waiting
        with pytest.raises(Unavailable):
            await bench.submit("t")

        assert (bench.runner.cancelled, len(bench.engine.roster)) == (["a#1"], 0)


async def test_an_end_that_a_retry_overtakes_is_not_told_as_the_next_one(tmp_path: Path) -> None:
    """Who waits is woken once the end of the last attempt is durable, and telemetry hears of it once."""
    async with running(tmp_path, StepPlan("a")) as bench:
        bench.runner.held = {"a"}
        live = await bench.submit()
        await bench.runner.until("a#1")
        bench.runner.held = set()
        both = (Action.TERMINATE, Action.RETRY)
        told = [asyncio.ensure_future(bench.engine.deliver("s", "", bench.command(action))) for action in both]

        assert await bench.end(live) is SessionState.SUCCEEDED
        await asyncio.gather(*told)
        assert (await bench.history()).count("SESSION_ENDED") == 2
        assert (await bench.store.sessions.read("s", "")).state is SessionState.SUCCEEDED
        assert (bench.heard.sessions, len(bench.engine.roster)) == (["s SUCCEEDED"], 0)


async def test_a_retry_of_a_session_that_is_removed_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    """Its caller hears that there is none, its call is cancelled, and the next of that id is not touched."""
    async with running(tmp_path, StepPlan("a")) as bench:
        bench.runner.held = {"a"}
        await bench.submit()
        await bench.engine.deliver("s", "", bench.command(Action.TERMINATE))
        removed = asyncio.ensure_future(bench.store.delete_session("s", ""))
        while not bench.store._writer._busy:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0)
        retried = asyncio.ensure_future(bench.engine.deliver("s", "", bench.command(Action.RETRY)))
        results = await asyncio.gather(removed, retried, return_exceptions=True)
        assert isinstance(results[1], CoordinatorError)
        assert (results[0], results[1].reason_name) == (True, "SESSION_NOT_FOUND")
        while bench.engine._tasks or len(bench.engine.roster):  # noqa: ASYNC110  # they tell nobody
            await asyncio.sleep(0)

        bench.runner.held = set()
        assert await bench.end(await bench.submit()) is SessionState.SUCCEEDED


async def test_a_command_that_comes_when_the_engine_has_let_go_is_refused(tmp_path: Path) -> None:
    """It would begin work that nobody waits for any more; the next process takes it."""
    async with running(tmp_path, StepPlan("a")) as bench:
        bench.runner.held = {"a"}
        await bench.submit()
        await bench.engine.deliver("s", "", bench.command(Action.TERMINATE))
        await bench.engine.drain(0)
        with pytest.raises(Unavailable) as refused:
            await bench.engine.deliver("s", "", bench.command(Action.RETRY))

        assert refused.value.reason_name == "SERVER_DRAINING"
        assert (len(bench.engine.roster), bench.engine._tasks) == (0, set())


@pytest.mark.parametrize("first", [Durability.FULL, Durability.NONE])
async def test_a_session_that_is_not_stored_takes_no_other_ones_place(tmp_path: Path, first: Durability) -> None:
    """Whichever of two of one id comes second is refused, and commands do not reach what is not stored."""
    second = Durability.NONE if first is Durability.FULL else Durability.FULL
    async with running(tmp_path, StepPlan("a")) as bench:
        bench.runner.held = {"a"}
        live = await bench.submit(durability=first)
        await bench.runner.until("a#1")
        with pytest.raises(CoordinatorError) as refused:
            await bench.submit(durability=second)

        assert refused.value.reason_name == "SESSION_ALREADY_EXISTS"
        assert bench.engine.roster.live("s", "") is live
        if first is Durability.NONE:
            with pytest.raises(CoordinatorError, match="durability NONE"):
                await bench.engine.deliver("s", "", bench.command(Action.PAUSE))
        bench.runner.release.set()
        assert await bench.end(live) is SessionState.SUCCEEDED
