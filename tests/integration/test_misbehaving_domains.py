"""A domain behind a real channel that is silent, stubborn, late, garbled, too large or cut off."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from processing_service.server.hosting import Hosting
from processing_service.wire.errors import Code
from processing_service.wire.telemetry.hooks import Telemetry
from tests.coordinators import echo, outputs_of, reasons, serving, wired
from tests.cutting import Cutting
from tests.misbehaving import MIB, Misbehaving, there

ONCE = {"max_attempts": 1}
SAID = {"text": {"value": "${steps.say.echo.text}"}}
TEXT = {"text": {"value_type": "STRING"}}
FAILED, SUCCEEDED = pb.SESSION_STATE_FAILED, pb.SESSION_STATE_SUCCEEDED
CANCELLED, TIMED_OUT, TERMINATED = (
    pb.SESSION_STATE_CANCELLED,
    pb.SESSION_STATE_TIMED_OUT,
    pb.SESSION_STATE_TERMINATED,
)


@pytest.fixture
def domain():
    """Behind a channel, in this process."""
    return Misbehaving()


@pytest.fixture
async def coordinator(tmp_path, domain):
    """It calls the domain over a Unix socket."""
    async with (
        there(domain, f"unix:{tmp_path}/domain.sock") as address,
        serving(tmp_path, postprocessing_address=address, drain_grace=0.0) as served,
    ):
        yield served


async def say(coordinator, text, outputs=None, step=None, **fields):
    """Starts the session `s` of one step, which echoes the text."""
    made = echo(text="${parameters.text}", **({"retry": ONCE} | (step or {})))
    await coordinator.put("say", made, parameters=TEXT, outputs=outputs or {})
    await coordinator.execute("say", {"text": text}, session_id="s", background=True, **fields)


async def control(coordinator, action, **fields):
    """A command to the session."""
    request = pb.PostSessionControlRequest(session_id="s", control_action=action, **fields)
    return await coordinator.stub.PostSessionControl(request)


async def retried(coordinator, domain):
    """The session after a RETRY of it, with a domain that behaves by now."""
    domain.behaves = True
    domain.release.set()
    await control(coordinator, pb.CONTROL_ACTION_RETRY, timeout=Duration(seconds=60))
    session = await coordinator.ended("s")
    assert (session.state, session.attempt) == (SUCCEEDED, 2)
    return session


def kinds(events):
    """What happened, in order."""
    return [pb.EventKind.Name(event.kind).removeprefix("EVENT_KIND_") for event in events]


async def test_a_call_without_an_answer_ends_by_the_timeout_of_its_step(coordinator, domain):
    """Each try is cancelled at the domain; the last fails the step, within the budget; a RETRY goes on from there."""
    await say(coordinator, "silent", step={"timeout": "0.2s", "retry": {"max_attempts": 2, "initial_delay": "0.01s"}})
    session = await coordinator.ended("s")
    await domain.until(lambda: len(domain.cancelled) == 2)

    assert (session.state, reasons(session)) == (FAILED, ["STEP_FAILED", "STEP_TIMED_OUT"])
    assert session.failure.cause.status_code == Code.DEADLINE_EXCEEDED
    assert "within its timeout of 0.2 s" in session.failure.message
    assert domain.keys == ["s/say#1", "s/say#2"] == list(domain.cancelled)
    assert list(session.receipts) == []
    assert kinds(await coordinator.events("s")) == [
        "SESSION_STARTED",
        "STEP_STARTED",
        "STEP_RETRY_SCHEDULED",
        "STEP_STARTED",
        "STEP_FAILED",
        "SESSION_ENDED",
    ]
    await retried(coordinator, domain)
    assert domain.answered == ["s/say#3"]


async def test_a_call_without_an_answer_ends_with_the_budget(coordinator, domain):
    """The budget is the deadline that the domain sees, and what ends the session where the step names no timeout."""
    await say(coordinator, "silent", timeout=Duration(nanos=400_000_000))
    session = await coordinator.ended("s")
    await domain.until(lambda: domain.cancelled)

    assert (session.state, reasons(session)) == (TIMED_OUT, ["DEADLINE_EXCEEDED"])
    assert "budget of 0.4 s is used up" in session.failure.message
    assert 0 < domain.remaining[0] <= 0.4
    assert list(session.receipts) == []
    assert kinds(await coordinator.events("s")) == [
        "SESSION_STARTED",
        "STEP_STARTED",
        "STEP_CANCELLED",
        "SESSION_ENDED",
    ]
    await retried(coordinator, domain)


async def settled(coordinator, domain, ended):
    """Lets the stubborn call be answered now, after the end; nothing of the session changes by it."""
    events = await coordinator.events("s")
    domain.release.set()
    await domain.until(lambda: domain.answered)
    await coordinator.put("other", echo())
    assert (await coordinator.execute("other")).session.state == SUCCEEDED  # by now its answer would have come in, too

    assert await coordinator.session("s") == ended
    assert await coordinator.events("s") == events


async def test_a_domain_that_goes_on_after_a_cancel_changes_nothing(coordinator, domain):
    """It has heard of it, as the receipt says; what it answers later is no result, and a RETRY makes a new call."""
    await say(coordinator, "stubborn", outputs=SAID)
    await domain.until(lambda: domain.keys)
    await control(coordinator, pb.CONTROL_ACTION_CANCEL)
    ended = await coordinator.ended("s")
    await domain.until(lambda: domain.cancelled)

    assert (ended.state, reasons(ended)) == (CANCELLED, ["CANCELLED"])
    assert [(receipt.step_key, receipt.call_outcome) for receipt in ended.receipts] == [
        ("s/say#1", pb.CALL_OUTCOME_ACKNOWLEDGED)
    ]
    assert kinds(await coordinator.events("s"))[2:] == [
        "COMMAND_APPLIED",
        "CALL_RECEIPT",
        "STEP_CANCELLED",
        "SESSION_ENDED",
    ]
    await settled(coordinator, domain, ended)
    session = await retried(coordinator, domain)
    assert outputs_of(session) == {"text": "stubborn"}
    assert [key for key in domain.keys if key.startswith("s/")] == ["s/say#1", "s/say#2"]


@pytest.mark.parametrize("how", ["terminated", "its deadline is over"])
async def test_an_answer_after_the_end_changes_nothing(coordinator, domain, how):
    """Neither of a terminated session nor of one whose time is over; both can be retried."""
    timeout = Duration(seconds=60) if how == "terminated" else Duration(nanos=400_000_000)
    await say(coordinator, "stubborn", outputs=SAID, timeout=timeout)
    await domain.until(lambda: domain.keys)
    if how == "terminated":
        await control(coordinator, pb.CONTROL_ACTION_TERMINATE)
    ended = await coordinator.ended("s")
    await domain.until(lambda: domain.cancelled)

    assert ended.state == (TERMINATED if how == "terminated" else TIMED_OUT)
    assert list(ended.receipts) == []
    await settled(coordinator, domain, ended)
    assert outputs_of(await retried(coordinator, domain)) == {"text": "stubborn"}


async def test_the_late_answer_of_one_try_is_not_the_result_of_the_next(coordinator, domain):
    """Its step has timed out and another call is out; only what that one answers counts."""
    retry = {"max_attempts": 2, "initial_delay": "0.01s"}
    await say(coordinator, "stubborn", outputs=SAID, step={"timeout": "0.3s", "retry": retry})
    await domain.until(lambda: domain.cancelled)
    domain.release.set()
    session = await coordinator.ended("s")
    events = await coordinator.events("s")

    assert (session.state, outputs_of(session)) == (SUCCEEDED, {"text": "stubborn"})
    assert sorted(domain.answered) == ["s/say#1", "s/say#2"]
    assert [event.attempt for event in events if event.kind == pb.EVENT_KIND_STEP_SUCCEEDED] == [2]


async def test_an_embedded_call_that_ignores_its_cancel_is_left_behind(tmp_path, domain):
    """IGNORED once the grace is over, when the session is CANCELLED; its answer changes nothing, a RETRY runs again."""

    class Hosted(Hosting):
        def _postprocessing(self):
            return lambda server: server.add_generic_rpc_handlers((domain.handler(),))

    async with wired(tmp_path, Telemetry([]), host=Hosted) as (_, coordinator):
        await say(coordinator, "stubborn", outputs=SAID)
        await domain.until(lambda: domain.keys)
        reply = await control(coordinator, pb.CONTROL_ACTION_CANCEL)
        ended = await coordinator.ended("s")

        assert (reply.session.state, reply.session.in_flight_count) == (pb.SESSION_STATE_CANCELLING, 1)
        assert ended.state == CANCELLED
        (receipt,) = ended.receipts
        assert receipt.call_outcome == pb.CALL_OUTCOME_IGNORED
        assert receipt.elapsed.ToMilliseconds() >= 2000
        await settled(coordinator, domain, ended)
        assert outputs_of(await retried(coordinator, domain)) == {"text": "stubborn"}


async def test_a_result_above_the_limit_of_the_channel_fails_its_step(coordinator, domain):
    """PAYLOAD_TOO_LARGE names the domain and is not tried again; the channel goes on."""
    await say(coordinator, str(65 * MIB), step={"retry": {"max_attempts": 3}})
    session = await coordinator.ended("s")

    assert (session.state, reasons(session)) == (FAILED, ["STEP_FAILED", "PAYLOAD_TOO_LARGE"])
    assert session.failure.cause.status_code == Code.RESOURCE_EXHAUSTED
    assert "the postprocessing domain" in session.failure.message
    assert str(64 * MIB) in session.failure.message
    assert domain.keys == ["s/say#1"]
    await retried(coordinator, domain)


async def test_outputs_above_what_a_session_keeps_fail_it(coordinator, domain):
    """The step's result is stored, as an artifact; as readable outputs it is too large, also the second time."""
    await say(coordinator, str(2 * MIB), outputs=SAID)
    session = await coordinator.ended("s")
    await control(coordinator, pb.CONTROL_ACTION_RETRY)
    again = await coordinator.ended("s")

    assert (session.state, reasons(session)) == (FAILED, ["PAYLOAD_TOO_LARGE"])
    assert session.steps[0].outputs["response"].size_bytes > 2 * MIB
    assert f"at most {MIB} are allowed" in session.failure.message
    assert (again.state, again.attempt, reasons(again)) == (FAILED, 2, ["PAYLOAD_TOO_LARGE"])
    assert domain.keys == ["s/say#1"]


async def test_bytes_that_are_no_message_fail_the_step(coordinator, domain):
    """INTERNAL names domain and expected message; it is not tried again by itself."""
    await say(coordinator, "garbage", outputs=SAID, step={"retry": {"max_attempts": 3}})
    session = await coordinator.ended("s")

    assert (session.state, session.failure.cause.status_code) == (FAILED, Code.INTERNAL)
    assert "the postprocessing domain answered postprocessing.post_postprocessing_execute" in session.failure.message
    assert "PostPostprocessingExecuteResponse" in session.failure.message
    assert kinds(await coordinator.events("s"))[-2:] == ["STEP_FAILED", "SESSION_ENDED"]
    assert domain.keys == ["s/say#1"]
    assert outputs_of(await retried(coordinator, domain)) == {"text": "garbage"}


@asynccontextmanager
async def cut(tmp_path, domain, limits):
    """A coordinator whose connections to the domain break after so many bytes of answers each."""
    async with (
        there(domain, "127.0.0.1:0") as behind,
        Cutting(behind, limits) as hop,
        serving(tmp_path, postprocessing_address=hop.address, drain_grace=0.0) as served,
    ):
        yield served


async def test_a_connection_that_breaks_in_an_answer_is_an_attempt(tmp_path, domain):
    """The domain worked, so it is tried again only as often as the step says; half an answer is none."""
    async with cut(tmp_path, domain, [MIB]) as coordinator:
        await say(coordinator, str(3 * MIB), step={"retry": {"max_attempts": 2, "initial_delay": "0.01s"}})
        session = await coordinator.ended("s")

    assert session.state == SUCCEEDED
    assert domain.keys == ["s/say#1", "s/say#2"]
    assert session.steps[0].outputs["response"].size_bytes > 3 * MIB


async def test_a_connection_that_breaks_in_the_last_try_fails_the_step(tmp_path, domain):
    """DOMAIN_UNAVAILABLE in our words; a RETRY finds the domain again by a new connection."""
    async with cut(tmp_path, domain, [MIB]) as coordinator:
        await say(coordinator, str(3 * MIB))
        session = await coordinator.ended("s")
        again = await retried(coordinator, domain)

    assert (session.state, reasons(session)) == (FAILED, ["STEP_FAILED", "DOMAIN_UNAVAILABLE"])
    assert "the postprocessing domain cannot be reached" in session.failure.message
    assert [step.attempt for step in again.steps] == [2]


async def test_sessions_beside_bad_ones_are_not_disturbed(coordinator, domain):
    """Silent, stubborn and garbled calls are out at the same domain; good ones pass."""
    made = echo(text="${parameters.text}", retry=ONCE)
    await coordinator.put("say", made, parameters=TEXT, outputs=SAID)
    bad = [
        (await coordinator.execute("say", {"text": text}, background=True)).session.session_id
        for text in ("silent", "stubborn", "garbage") * 5
    ]
    good = await asyncio.gather(*(coordinator.execute("say", {"text": f"good {number}"}) for number in range(50)))

    assert [outputs_of(reply.session)["text"] for reply in good] == [f"good {number}" for number in range(50)]
    for session_id in bad:
        request = pb.DeleteProcessingSessionRequest(session_id=session_id, force=True)
        await coordinator.stub.DeleteProcessingSession(request)
    assert len(await coordinator.sessions()) == 50
