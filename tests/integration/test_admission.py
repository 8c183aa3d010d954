"""Steps wait for their models in an order that needs few loads, and say why they wait: real models, real services."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import numpy as np
import pytest
from coordinator.inference.v1 import inference_pb2
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from instructors.admission_settings import AdmissionSettings
from instructors.foreign import ForeignDomain
from processing_service.domains.inference.settings import InferenceSettings
from processing_service.wire.channels import ChannelSettings
from processing_service.wire.tensors import from_array
from tests import onnx_models as onnx
from tests.coordinators import echo, reasons, serving

MIB = 1 << 20
PARAMETERS = {"model": {"value_type": "STRING"}, "x": {"value_type": "TENSOR"}}
FOREVER = "forever"
"""A model whose run ends when it is cancelled."""


def infer(step_id="run", domain="inference", **parts):
    """A step that runs the session's model."""
    return {
        "step_id": step_id,
        "operation": f"{domain}.post_inference_execute",
        "parameters": {"model_id": "${parameters.model}", "inputs": {"x": "${parameters.x}"}},
        **parts,
    }


def put_models(folder, *names):
    """Models of which one fits into the memory."""
    manifest = f"declared_size_bytes: {300 * MIB}\n"
    onnx.put(folder / "models", FOREVER, onnx.slow(rounds=10_000), manifest=manifest)
    for name in names:
        onnx.put(folder / "models", name, onnx.doubling(("n", 400)), manifest=manifest)


ONE_ROOM = InferenceSettings(memory_budget_bytes=400 * MIB, workers=1)


@asynccontextmanager
async def one_room(folder, calls_per_worker=2, **changes):
    """A coordinator whose Inference has room for one model."""
    put_models(folder, "a", "b", "c")
    admission = AdmissionSettings(calls_per_worker=calls_per_worker)
    changes = {"inference": ONE_ROOM, "admission": admission, "drain_grace": 0.0} | changes
    async with serving(folder, **changes) as coordinator:
        await coordinator.put("infer", infer(), parameters=PARAMETERS)
        yield coordinator


async def run(coordinator, model, rows=1, workflow_id="infer", **fields):
    """Starts a session that runs a model; its id."""
    x = Datum(tensor=from_array(np.zeros((rows, 400), np.float32)))
    reply = await coordinator.execute(workflow_id, {"model": model}, payloads={"x": x}, background=True, **fields)
    return reply.session.session_id


async def waits(coordinator, session_id, reason, step=0):
    """The status of a step as soon as it waits for that reason."""
    while True:
        status = (await coordinator.session(session_id)).steps[step]
        if status.wait_reason == reason:
            return status
        assert status.state in (pb.STEP_STATE_WAITING, pb.STEP_STATE_RUNNING), status
        await asyncio.sleep(0.01)


async def holding(coordinator, inference=None, workflow_id="infer"):
    """A session whose call holds all room until it is cancelled; its id."""
    session_id = await run(coordinator, FOREVER, 1000, workflow_id)
    await held(inference or coordinator.inference)
    return session_id


async def held(inference):
    """Returns once a call holds a model."""
    while not any(model.holders for model in (await resident(inference)).models):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def resident(inference):
    return await inference.GetInferenceCache(inference_pb2.GetInferenceCacheRequest())


async def loads(inference):
    return (await resident(inference)).devices[0].load_count


def control(coordinator, session_id, action):
    request = pb.PostSessionControlRequest(session_id=session_id, control_action=action)
    return coordinator.stub.PostSessionControl(request)


async def cancel(coordinator, session_id):
    await control(coordinator, session_id, pb.CONTROL_ACTION_CANCEL)


async def ended(coordinator, *session_ids):
    return [await coordinator.ended(session_id) for session_id in session_ids]


@pytest.mark.parametrize("calls_per_worker", [1, 8])
async def test_eight_calls_of_three_models_in_turn_cost_three_loads(tmp_path, calls_per_worker):
    """A B A A C A B C with room for one model, by Inference's own count."""
    async with one_room(tmp_path, calls_per_worker) as coordinator:
        holder = await holding(coordinator)
        before = await loads(coordinator.inference)
        sessions = []
        for model in "abaacabc":
            sessions.append(await run(coordinator, model))
            await waits(coordinator, sessions[-1], pb.WAIT_REASON_LEASE)
        await cancel(coordinator, holder)
        found = await ended(coordinator, *sessions)

        assert {session.state for session in found} == {pb.SESSION_STATE_SUCCEEDED}
        assert await loads(coordinator.inference) - before == 3


async def test_two_inference_processes_have_a_gate_each(tmp_path):
    """What one has in memory says nothing of the other: each loads its own models once, in its own order."""
    put_models(tmp_path / "apart", "d", "e")
    async with serving(tmp_path / "apart", only="inference", inference=ONE_ROOM) as apart:
        second = ForeignDomain("second", ChannelSettings(apart.address), "coordinator.inference.v1.InferenceService")
        async with one_room(tmp_path, foreign_domains=(second,)) as coordinator:
            await coordinator.put("infer-there", infer(domain="second"), parameters=PARAMETERS)
            holder = await holding(coordinator)
            there = await holding(coordinator, apart.inference, "infer-there")
            before = await loads(coordinator.inference), await loads(apart.inference)
            sessions = []
            for here, other in zip("abab", "dede", strict=True):
                sessions += [await run(coordinator, here), await run(coordinator, other, 1, "infer-there")]
            await cancel(coordinator, there)
            found = await ended(coordinator, *sessions[1::2])
            waiting = await waits(coordinator, sessions[0], pb.WAIT_REASON_LEASE)
            await cancel(coordinator, holder)
            found += await ended(coordinator, *sessions[::2])

            assert waiting.queue_position == 1
            assert {session.state for session in found} == {pb.SESSION_STATE_SUCCEEDED}
            assert await loads(coordinator.inference) - before[0] == 2
            assert 2 <= await loads(apart.inference) - before[1] <= 3  # its models are not in our repository


async def test_a_step_says_that_calls_hold_the_memory(tmp_path):
    """LEASE, since when, and its place among those that wait for the same model; a watcher is told, too."""
    async with one_room(tmp_path) as coordinator:
        holder = await holding(coordinator)
        first = await run(coordinator, "a")
        await waits(coordinator, first, pb.WAIT_REASON_LEASE)
        second = await run(coordinator, "a")
        status, behind = [await waits(coordinator, each, pb.WAIT_REASON_LEASE) for each in (first, second)]
        async for update in coordinator.watch(first):
            if "waits for its model 'a'" in update.session_progress.message:
                message = update.session_progress.message
                break
        await cancel(coordinator, holder)
        (session, _) = await ended(coordinator, first, second)

        assert (status.queue_position, behind.queue_position) == (1, 2)
        assert status.state == pb.STEP_STATE_RUNNING
        assert session.created_at.ToMicroseconds() < status.waiting_since.ToMicroseconds()
        assert "calls hold the memory with 'forever'" in message
        assert not session.steps[0].wait_reason


async def test_a_step_says_that_as_many_calls_are_out_as_may(tmp_path):
    """LIMIT: its model is in memory, and the worker has enough to do."""
    async with one_room(tmp_path, calls_per_worker=1) as coordinator:
        holder = await holding(coordinator)
        other = await run(coordinator, FOREVER, timeout=Duration(seconds=60))

        assert (await waits(coordinator, other, pb.WAIT_REASON_LIMIT)).queue_position == 1
        await cancel(coordinator, other)
        await cancel(coordinator, holder)


async def test_a_step_says_that_its_model_is_being_loaded(tmp_path):
    """MODEL_LOAD, from when its call is out until its model is in memory; here somebody else's call is in the way."""
    async with one_room(tmp_path) as coordinator:
        inputs = {"x": from_array(np.zeros((1000, 400), np.float32))}
        call = coordinator.inference.PostInferenceExecute(
            inference_pb2.PostInferenceExecuteRequest(model_id=FOREVER, inputs=inputs)
        )
        await held(coordinator.inference)
        session_id = await run(coordinator, "a")
        status = await waits(coordinator, session_id, pb.WAIT_REASON_MODEL_LOAD)
        call.cancel()
        (session,) = await ended(coordinator, session_id)

        assert status.queue_position == 0
        assert session.state == pb.SESSION_STATE_SUCCEEDED


async def test_a_step_says_that_another_comes_first_or_that_it_is_paused(tmp_path):
    """DEPENDENCY, and PAUSED once its session is."""
    async with serving(tmp_path, drain_grace=0.0) as coordinator:
        await coordinator.put("two", echo("first", delay="0.3s"), echo("second", depends_on=["first"]))
        session_id = (await coordinator.execute("two", background=True)).session.session_id

        await waits(coordinator, session_id, pb.WAIT_REASON_DEPENDENCY, step=1)
        await control(coordinator, session_id, pb.CONTROL_ACTION_PAUSE)
        await waits(coordinator, session_id, pb.WAIT_REASON_PAUSED, step=1)


async def test_a_step_says_that_it_will_be_tried_again(tmp_path):
    """RETRY_DELAY, here because its domain is away."""
    async with serving(tmp_path, drain_grace=0.0, postprocessing_address=f"unix:{tmp_path}/none.sock") as coordinator:
        await coordinator.put("one", echo())
        session_id = (await coordinator.execute("one", background=True)).session.session_id

        assert (await waits(coordinator, session_id, pb.WAIT_REASON_RETRY_DELAY)).HasField("waiting_since")


async def test_a_step_that_waits_for_its_model_pauses_at_once(tmp_path):
    """Its session is PAUSED while the room is still held, its call does not leave, and it goes on after RESUME."""
    async with one_room(tmp_path) as coordinator:
        holder = await holding(coordinator)
        session_id = await run(coordinator, "a")
        await waits(coordinator, session_id, pb.WAIT_REASON_LEASE)
        await control(coordinator, session_id, pb.CONTROL_ACTION_PAUSE)
        paused = await waits(coordinator, session_id, pb.WAIT_REASON_PAUSED)
        state = (await coordinator.session(session_id)).state
        await cancel(coordinator, holder)
        before = await loads(coordinator.inference)
        await control(coordinator, session_id, pb.CONTROL_ACTION_RESUME)
        (session,) = await ended(coordinator, session_id)
        told = [event.message for event in await coordinator.events(session_id) if event.message]

        assert (state, paused.state) == (pb.SESSION_STATE_PAUSED, pb.STEP_STATE_WAITING)
        assert session.state == pb.SESSION_STATE_SUCCEEDED
        assert await loads(coordinator.inference) - before == 1
        assert any("taken back before it left" in message for message in told)


async def test_a_pause_stops_the_clock_of_max_queued(tmp_path):
    """What a step had waited before counts, the pause does not."""
    async with one_room(tmp_path) as coordinator:
        await coordinator.put("impatient", infer(max_queued="1s", retry={"max_attempts": 1}), parameters=PARAMETERS)
        holder = await holding(coordinator)
        session_id = await run(coordinator, "a", workflow_id="impatient")
        await waits(coordinator, session_id, pb.WAIT_REASON_LEASE)
        await control(coordinator, session_id, pb.CONTROL_ACTION_PAUSE)
        await waits(coordinator, session_id, pb.WAIT_REASON_PAUSED)
        await asyncio.sleep(1.1)  # the pause is longer than max_queued
        await control(coordinator, session_id, pb.CONTROL_ACTION_RESUME)
        await waits(coordinator, session_id, pb.WAIT_REASON_LEASE)
        (session,) = await ended(coordinator, session_id)
        await cancel(coordinator, holder)

        assert reasons(session) == ["STEP_FAILED", "STEP_QUEUED_TOO_LONG"]
        assert session.failure.cause.metadata["model_id"] == "a"
        assert "its model 'a'" in session.failure.cause.message


async def test_a_step_that_is_cancelled_while_it_waits_leaves_no_trace(tmp_path):
    """The one behind it takes its place, and nothing is loaded for it."""
    async with one_room(tmp_path) as coordinator:
        holder = await holding(coordinator)
        first, second = await run(coordinator, "a"), await run(coordinator, "b")
        for session_id in (first, second):
            await waits(coordinator, session_id, pb.WAIT_REASON_LEASE)
        before = await loads(coordinator.inference)
        await cancel(coordinator, first)
        assert (await ended(coordinator, first))[0].state == pb.SESSION_STATE_CANCELLED
        await cancel(coordinator, holder)
        (session,) = await ended(coordinator, second)

        assert session.state == pb.SESSION_STATE_SUCCEEDED
        assert await loads(coordinator.inference) - before == 1


async def test_a_session_of_higher_priority_goes_first(tmp_path):
    """Though it came later and needs a load as well."""
    async with one_room(tmp_path, calls_per_worker=1) as coordinator:
        holder = await holding(coordinator)
        low, high = await run(coordinator, "a", priority=2), await run(coordinator, "b", priority=8)
        for session_id in (low, high):
            await waits(coordinator, session_id, pb.WAIT_REASON_LEASE)
        await cancel(coordinator, holder)
        first, last = await ended(coordinator, high, low)

        assert first.ended_at.ToMicroseconds() < last.ended_at.ToMicroseconds()


async def test_an_inference_domain_that_is_away_does_not_wedge_the_gate(tmp_path):
    """The step goes out and fails as one without a gate does."""
    async with serving(tmp_path, inference_address=f"unix:{tmp_path}/none.sock") as coordinator:
        onnx.put(tmp_path / "models", "a", onnx.doubling(("n", 400)))
        await coordinator.put("infer", infer(timeout="1s"), parameters=PARAMETERS)
        (session,) = await ended(coordinator, await run(coordinator, "a"))

        assert reasons(session) == ["STEP_FAILED", "DOMAIN_UNAVAILABLE"]


@pytest.mark.slow
async def test_an_inference_domain_that_comes_back_is_ordered_again(tmp_path):
    """Steps that wait at its gate while it goes away go out, and wait for it as all others do."""
    address = f"unix:{tmp_path}/inference.sock"
    put_models(tmp_path / "apart", "a")

    def there():
        return serving_at(tmp_path / "apart", address)

    put_models(tmp_path, "a")
    async with AsyncExitStack() as first:
        inference = await first.enter_async_context(there())  # before the coordinator: its gate knows it from the start
        async with serving(tmp_path, inference_address=address, drain_grace=0.0) as coordinator:
            await coordinator.put("infer", infer(), parameters=PARAMETERS)
            holder = await holding(coordinator, inference)
            session_id = await run(coordinator, "a")
            await waits(coordinator, session_id, pb.WAIT_REASON_LEASE)
            await first.aclose()
            await cancel(coordinator, holder)  # else it would be tried again, too
            async with there():
                (session,) = await ended(coordinator, session_id)

            assert session.state == pb.SESSION_STATE_SUCCEEDED


@asynccontextmanager
async def serving_at(folder, address):
    """An Inference process on that socket; its stub."""
    from processing_service.wire.listener import ListenerSettings

    listener = ListenerSettings(address)
    async with serving(folder, only="inference", inference=ONE_ROOM, listener=listener, drain_grace=0.0) as served:
        yield served.inference
