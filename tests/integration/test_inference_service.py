"""The Inference service over a real port: real ONNX Runtime, the catalog's models and tiny ones."""

import asyncio

import numpy as np
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.inference.v1 import inference_pb2 as pb
from coordinator.inference.v1.inference_pb2 import Reduction, ReductionKind
from coordinator.payload.v1.payload_pb2 import DataType, Tensor

from processing_service.domains.inference.settings import InferenceSettings
from processing_service.wire.errors import Code
from processing_service.wire.tensors import from_array, to_array
from tests import onnx_models as onnx
from tests.model_services import error_of, serve

ONES = np.ones((2, 3), np.float32)
SQUARE = np.ones((400, 400), np.float32)
FOREVER = onnx.slow(rounds=10_000)
"""A run that takes about ten seconds if nobody stops it."""


def execute(model_id, reductions=(), output_names=(), **inputs):
    return pb.PostInferenceExecuteRequest(
        model_id=model_id,
        inputs={
            name: value if isinstance(value, Tensor) else from_array(np.asarray(value))
            for name, value in inputs.items()
        },
        reductions=reductions,
        output_names=output_names,
    )


def outputs_of(reply):
    return {name: to_array(tensor, name) for name, tensor in reply.outputs.items()}


async def until(condition, seconds=30):
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for is the service's state, which has no event
            await asyncio.sleep(0.005)


async def test_a_model_runs(tmp_path):
    """Inputs go in by name, outputs come out by name, with what ran and how long it took."""
    onnx.put(tmp_path, "doubling", onnx.doubling())
    async with serve(tmp_path) as services:
        reply = await services.inference.PostInferenceExecute(execute("doubling", x=ONES))

    assert outputs_of(reply)["y"].tolist() == [[2, 2, 2], [2, 2, 2]]
    assert (reply.model_version, reply.batch_size, len(reply.model_digest)) == ("1", 1, 64)
    assert reply.loading.nanos > 0
    assert reply.computing.nanos > 0


async def test_text_is_found_read_and_turned(model_repository):
    """The catalog's three models take UINT8 images and give what their descriptions say."""
    image = np.full((64, 192, 3), 255, np.uint8)
    line = np.full((48, 320, 3), 255, np.uint8)
    best = [
        Reduction(output_name="output", reduction_kind=ReductionKind.REDUCTION_KIND_ARGMAX, axis=-1, name="index"),
        Reduction(output_name="output", reduction_kind=ReductionKind.REDUCTION_KIND_MAX, axis=-1, name="probability"),
    ]
    async with serve(model_repository) as services:
        run = services.inference.PostInferenceExecute
        found = outputs_of(await run(execute("text-detection", input=image)))
        read = outputs_of(await run(execute("text-recognition", best, input=line)))
        turned = outputs_of(await run(execute("text-orientation", (), ["output"], x=line[:, :192])))

    assert found["fetch_name_0"].shape == (1, 1, 64, 192)
    assert (read["index"].shape, read["index"].dtype) == ((1, 40), np.int32)
    assert read["probability"].shape == (1, 40)
    assert turned["output"].sum() == pytest.approx(1)


async def test_an_image_is_normalised_as_the_model_wants_it(model_repository):
    """UINT8 in RGB gives bit for bit what the same image gives as FLOAT32 in BGR from -1 to 1."""
    image = np.random.default_rng(1).integers(0, 256, (32, 64, 3), np.uint8)
    ready = (image[..., ::-1].astype(np.float32) * np.float32(2 / 255) - np.float32(1)).transpose(2, 0, 1)[None]
    async with serve(model_repository) as services:
        given = outputs_of(await services.inference.PostInferenceExecute(execute("text-detection", x=image)))
        wanted = outputs_of(await services.inference.PostInferenceExecute(execute("text-detection", x=ready)))

    np.testing.assert_allclose(given["fetch_name_0"], wanted["fetch_name_0"], atol=1e-6)


BAD_INPUTS = [
    pytest.param({"x": ONES.astype(np.float64)}, "TENSOR_INVALID", "inputs[x].data_type", id="element type"),
    pytest.param({"x": ONES[0]}, "TENSOR_INVALID", "inputs[x].shape", id="rank"),
    pytest.param({"x": np.ones((2, 4), np.float32)}, "TENSOR_INVALID", "inputs[x].shape[1]", id="static axis"),
    pytest.param({"x": np.ones((10, 3), np.float32)}, "TENSOR_INVALID", "inputs[x].shape[0]", id="too long"),
    pytest.param({"x": np.ones((3, 3), np.float32)}, "TENSOR_INVALID", "inputs[x].shape[0]", id="no multiple"),
    pytest.param({"x": np.ones((0, 3), np.float32)}, "TENSOR_INVALID", "inputs[x].shape[0]", id="empty"),
    pytest.param({"x": ONES * np.nan}, "TENSOR_INVALID", "inputs[x].data", id="NaN"),
    pytest.param(
        {"x": Tensor(data_type=DataType.DATA_TYPE_FLOAT32, shape=[2, 3], data=b"\0" * 23)},
        "TENSOR_INVALID",
        "inputs[x].data",
        id="byte length",
    ),
    pytest.param({}, "FIELD_REQUIRED", "inputs[x]", id="missing"),
    pytest.param({"x": ONES, "z": ONES}, "FIELD_UNKNOWN", "inputs[z]", id="unknown"),
    pytest.param({"x": ONES, "input": ONES}, "FIELD_CONFLICT", None, id="twice"),
]


@pytest.mark.parametrize(("inputs", "reason", "field_path"), BAD_INPUTS)
async def test_inputs_are_checked_before_the_model_sees_them(tmp_path, inputs, reason, field_path):
    """What does not fit is INVALID_ARGUMENT with the path of the field, and the model is not even loaded for it."""
    limits = "inputs: {x: {axes: {0: {max_size: 8, multiple_of: 2}}}}"
    onnx.put(tmp_path, "doubling", onnx.doubling(), manifest=limits)
    async with serve(tmp_path) as services:
        error = await error_of(services.inference.PostInferenceExecute(execute("doubling", **inputs)))
        cache = await services.inference.GetInferenceCache(pb.GetInferenceCacheRequest())

    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, reason)
    assert field_path is None or [violation.field_path for violation in error.violations] == [field_path]
    assert "NaN" in error.message or not cache.models


@pytest.mark.parametrize(
    ("image", "field_path"),
    [
        pytest.param(np.zeros((33, 64, 3), np.uint8), "inputs[input].shape[0]", id="height"),
        pytest.param(np.zeros((32, 47, 3), np.uint8), "inputs[input].shape[1]", id="width"),
        pytest.param(np.zeros((2, 32, 64, 3), np.uint8), "inputs[input].shape[0]", id="too many"),
        pytest.param(np.zeros((32, 64), np.uint8), "inputs[input].shape", id="grey"),
        pytest.param(np.zeros((32, 64, 4), np.uint8), "inputs[input].shape", id="four channels"),
        pytest.param(np.zeros((1, 3, 32, 64), np.float64), "inputs[input].data_type", id="element type"),
    ],
)
async def test_an_image_is_checked_on_its_own_axes(model_repository, image, field_path):
    """A fault of an image is named by the image's axis, not by the model's."""
    async with serve(model_repository) as services:
        error = await error_of(services.inference.PostInferenceExecute(execute("text-detection", input=image)))

    assert error.reason == ErrorReason.ERROR_REASON_TENSOR_INVALID
    assert [violation.field_path for violation in error.violations] == [field_path]


def reduction(kind, **fields):
    return Reduction(output_name="y", reduction_kind=kind, **fields)


@pytest.mark.parametrize(
    ("reductions", "output_names", "reason", "field_path"),
    [
        pytest.param([], ["z"], "FIELD_UNKNOWN", "output_names[0]", id="unknown output"),
        pytest.param([reduction(0)], [], "FIELD_REQUIRED", "reductions[0].reduction_kind", id="no kind"),
        pytest.param(
            [reduction(ReductionKind.REDUCTION_KIND_ARGMAX, axis=2)],
            [],
            "FIELD_INVALID",
            "reductions[0].axis",
            id="axis",
        ),
        pytest.param(
            [reduction(ReductionKind.REDUCTION_KIND_TOP_K)], [], "FIELD_INVALID", "reductions[0].top_k", id="no top_k"
        ),
        pytest.param(
            [reduction(ReductionKind.REDUCTION_KIND_TOP_K, axis=1, top_k=4)],
            [],
            "FIELD_INVALID",
            "reductions[0].top_k",
            id="top_k above the axis",
        ),
        pytest.param(
            [reduction(ReductionKind.REDUCTION_KIND_MAX), reduction(ReductionKind.REDUCTION_KIND_ARGMAX)],
            [],
            "FIELD_CONFLICT",
            "reductions[1].name",
            id="two of one name",
        ),
    ],
)
async def test_reductions_are_checked(tmp_path, reductions, output_names, reason, field_path):
    """A reduction that the output cannot have is INVALID_ARGUMENT with its path."""
    onnx.put(tmp_path, "doubling", onnx.doubling())
    async with serve(tmp_path) as services:
        request = execute("doubling", reductions, output_names, x=ONES)
        error = await error_of(services.inference.PostInferenceExecute(request))

    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, reason)
    assert [violation.field_path for violation in error.violations] == [field_path]


async def test_an_unknown_model_is_answered_with_the_nearest(tmp_path):
    """A mistyped model is NOT_FOUND with the name that was meant."""
    onnx.put(tmp_path, "doubling", onnx.doubling())
    async with serve(tmp_path) as services:
        error = await error_of(services.inference.PostInferenceExecute(execute("dubling", x=ONES)))

    assert (error.reason, error.metadata["nearest"]) == (ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, "doubling")


async def test_a_model_that_was_replaced_since_it_was_pinned_does_not_run(tmp_path):
    """Who pins a digest gets that model or an error that names both."""
    onnx.put(tmp_path, "doubling", onnx.doubling())
    request = execute("doubling", x=ONES)
    request.model_digest = "0" * 64
    async with serve(tmp_path) as services:
        error = await error_of(services.inference.PostInferenceExecute(request))

    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, "DIGEST_MISMATCH")


def one_node(operator, inputs=("x",), initializers=(), **attributes):
    return onnx.model(
        [onnx.node(operator, inputs, ["y"], **attributes)],
        [onnx.tensor_info("x", ("n", 3))],
        [onnx.tensor_info("y", ("n", 3))],
        initializers,
    )


def int64s(name, *values):
    return onnx.constant(name, [len(values)], np.array(values, "<i8").tobytes(), onnx.INT64)


@pytest.mark.parametrize(
    ("content", "manifest", "code", "reason"),
    [
        pytest.param(one_node("NoSuchThing"), "", Code.FAILED_PRECONDITION, "MODEL_INVALID", id="unknown operator"),
        pytest.param(onnx.doubling(element=onnx.STRING), "", Code.FAILED_PRECONDITION, "MODEL_INVALID", id="strings"),
        pytest.param(onnx.doubling(), "device: gpu", Code.FAILED_PRECONDITION, "MODEL_INVALID", id="device"),
        pytest.param(onnx.doubling(), "providers: [CPU]", Code.FAILED_PRECONDITION, "MODEL_INVALID", id="provider"),
        pytest.param(
            onnx.doubling(),
            "declared_size_bytes: 9000000000",
            Code.RESOURCE_EXHAUSTED,
            "MODEL_BUDGET_EXCEEDED",
            id="budget",
        ),
        pytest.param(
            one_node("Reshape", ("x", "s"), [int64s("s", 5, 5)]), "", Code.INTERNAL, "MODEL_RUN_FAILED", id="run"
        ),
        pytest.param(
            one_node("Expand", ("x", "s"), [int64s("s", 1 << 38, 1, 3)]),
            "",
            Code.RESOURCE_EXHAUSTED,
            "MODEL_OUT_OF_MEMORY",
            id="memory",
        ),
    ],
)
async def test_a_model_that_cannot_run_says_why_without_a_path(tmp_path, content, manifest, code, reason):
    """What the runtime refuses is translated: a status, a reason, and no path of the server."""
    onnx.put(tmp_path, "broken", content, manifest=manifest)
    async with serve(tmp_path) as services:
        error = await error_of(services.inference.PostInferenceExecute(execute("broken", x=ONES)))
        cache = await services.inference.GetInferenceCache(pb.GetInferenceCacheRequest())

    assert (error.code, error.reason_name) == (code, reason)
    assert str(tmp_path) not in error.message
    assert "onnxruntime_src" not in error.message
    assert all(not model.holders for model in cache.models)


async def test_a_reply_above_the_limit_is_refused(tmp_path):
    """Outputs that no message can carry are RESOURCE_EXHAUSTED, and the message says what helps."""
    onnx.put(tmp_path, "doubling", onnx.doubling())
    async with serve(tmp_path, InferenceSettings(max_message_bytes=20)) as services:
        error = await error_of(services.inference.PostInferenceExecute(execute("doubling", x=ONES)))
        largest = [reduction(ReductionKind.REDUCTION_KIND_MAX, axis=1)]
        reduced = await services.inference.PostInferenceExecute(execute("doubling", largest, x=ONES))

    assert (error.code, error.reason_name) == (Code.RESOURCE_EXHAUSTED, "PAYLOAD_TOO_LARGE")
    assert outputs_of(reduced)["y"].tolist() == [2, 2]


async def test_a_cancelled_call_stops_its_run(tmp_path):
    """When the caller goes, the run ends within a second, its lease with it, and the model can be used again."""
    onnx.put(tmp_path, "slow", FOREVER)
    async with serve(tmp_path, InferenceSettings(workers=1)) as services:
        await services.inference.PostInferenceLoad(pb.PostInferenceLoadRequest(model_id="slow"))
        (resident,) = services.servicer.residency.residents()
        call = services.inference.PostInferenceExecute(execute("slow", x=SQUARE))
        await until(lambda: resident.holders)
        call.cancel()
        await until(lambda: not resident.holders, seconds=1)

        assert services.servicer.sessions.in_flight_count == 0
        reply = await services.inference.PostInferenceUnload(pb.PostInferenceUnloadRequest(model_id="slow"))
        assert list(reply.model_versions) == ["1"]


async def test_a_call_that_waits_can_be_cancelled(tmp_path):
    """A call that no worker has begun goes at once, and what runs is not disturbed."""
    onnx.put(tmp_path, "slow", FOREVER)
    async with serve(tmp_path, InferenceSettings(workers=1)) as services:
        first = services.inference.PostInferenceExecute(execute("slow", x=SQUARE))
        await until(lambda: services.servicer.sessions.in_flight_count == 1)
        second = services.inference.PostInferenceExecute(execute("slow", x=SQUARE))
        await until(lambda: services.servicer.sessions.in_flight_count == 2)
        second.cancel()
        await until(lambda: services.servicer.sessions.in_flight_count == 1)

        assert not first.done()
        first.cancel()


async def test_a_model_takes_no_more_workers_than_it_may(tmp_path):
    """A second run of a model that runs once at a time leaves the other worker to other models."""
    onnx.put(tmp_path, "slow", FOREVER, manifest="max_parallel: 1")
    onnx.put(tmp_path, "doubling", onnx.doubling())
    async with serve(tmp_path, InferenceSettings(workers=2)) as services:
        run = services.inference.PostInferenceExecute
        calls = [run(execute("slow", x=SQUARE)) for _ in range(2)]
        await until(lambda: [len(each.holders) for each in services.servicer.residency.residents()] == [2])
        async with asyncio.timeout(5):
            await run(execute("doubling", x=ONES))
        for call in calls:
            call.cancel()
        await until(lambda: not services.servicer.sessions.in_flight_count)


async def test_a_deleted_session_cancels_its_runs(tmp_path):
    """DeleteInferenceSession ends the record and what runs for it: the caller gets CANCELLED with the reason."""
    onnx.put(tmp_path, "slow", FOREVER)
    async with serve(tmp_path) as services:
        made = await services.inference.PostInferenceSession(
            pb.PostInferenceSessionRequest(model_id="slow", session_id="s-1", workflow_id="w")
        )
        request = execute("slow", x=SQUARE)
        request.inference_session_id = made.inference_session.inference_session_id
        calls = [
            services.inference.PostInferenceExecute(request),
            services.inference.PostInferenceExecute(
                execute("slow", x=SQUARE), metadata=(("coordinator-session-id", "s-1"),)
            ),
        ]
        await until(lambda: services.servicer.sessions.in_flight_count == 2)
        reply = await services.inference.DeleteInferenceSession(pb.DeleteInferenceSessionRequest(session_id="s-1"))
        errors = [await error_of(call) for call in calls]
        again = await services.inference.DeleteInferenceSession(pb.DeleteInferenceSessionRequest(session_id="s-1"))

    assert (reply.deleted_count, reply.cancelled_count) == (1, 2)
    assert [(error.code, error.reason_name) for error in errors] == [(Code.CANCELLED, "CANCELLED")] * 2
    assert (again.deleted_count, again.cancelled_count) == (0, 0)


async def test_sessions_are_recorded_and_listed_by_page(tmp_path):
    """A record pins version and digest, counts runs, and is found by model and by processing session."""
    onnx.put(tmp_path, "doubling", onnx.doubling())
    async with serve(tmp_path) as services:
        stub = services.inference
        made = [
            await stub.PostInferenceSession(pb.PostInferenceSessionRequest(model_id="doubling", session_id=session_id))
            for session_id in ("s-1", "s-2", "s-1")
        ]
        onnx.put(tmp_path, "doubling", onnx.doubling(), version="2")
        request = execute("doubling", x=ONES)
        request.inference_session_id = made[0].inference_session.inference_session_id
        ran = await stub.PostInferenceExecute(request)
        first = await stub.GetInferenceSessions(pb.GetInferenceSessionsRequest(page_size=2))
        rest = await stub.GetInferenceSessions(
            pb.GetInferenceSessionsRequest(page_size=2, page_token=first.next_page_token)
        )
        filtered = await stub.GetInferenceSessions(pb.GetInferenceSessionsRequest(session_id="s-1"))
        wrong = await error_of(
            stub.GetInferenceSessions(pb.GetInferenceSessionsRequest(model_id="x", page_token=first.next_page_token))
        )
        unknown = await error_of(
            stub.GetInferenceSession(pb.GetInferenceSessionRequest(inference_session_id="is-gone"))
        )

    ids = [each.inference_session.inference_session_id for each in made]
    assert [each.inference_session_id for each in (*first.inference_sessions, *rest.inference_sessions)] == ids
    assert (first.total_count, rest.next_page_token) == (3, "")
    assert [each.inference_session_id for each in filtered.inference_sessions] == [ids[0], ids[2]]
    assert first.inference_sessions[0].run_count == 1
    assert ran.model_version == "1"
    assert wrong.reason_name == "PAGE_TOKEN_INVALID"
    assert unknown.reason_name == "INFERENCE_SESSION_NOT_FOUND"


async def test_a_request_id_gives_the_first_answer_again(tmp_path):
    """The same request_id makes one session; with other content it is refused."""
    onnx.put(tmp_path, "doubling", onnx.doubling())
    request = pb.PostInferenceSessionRequest(model_id="doubling", request_id="r-1")
    other = pb.PostInferenceSessionRequest(model_id="doubling", request_id="r-1", workflow_id="w")
    async with serve(tmp_path) as services:
        first = await services.inference.PostInferenceSession(request)
        second = await services.inference.PostInferenceSession(request)
        error = await error_of(services.inference.PostInferenceSession(other))

    assert first == second
    assert (error.code, error.reason_name) == (Code.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_concurrent_loads_are_one_load(tmp_path):
    """Whoever asks for a model while it loads waits for that load."""
    onnx.put(tmp_path, "heavy", onnx.heavy(16))
    async with serve(tmp_path) as services:
        load = pb.PostInferenceLoadRequest(model_id="heavy")
        loads = [services.inference.PostInferenceLoad(load) for _ in range(4)]
        runs = [services.inference.PostInferenceExecute(execute("heavy", x=ONES[0, :1])) for _ in range(4)]
        replies = await asyncio.gather(*loads)
        await asyncio.gather(*runs)
        cache = await services.inference.GetInferenceCache(pb.GetInferenceCacheRequest())

    assert sum(reply.loaded for reply in replies) <= 1
    assert (cache.devices[0].load_count, cache.models[0].run_count) == (1, 4)


async def test_the_least_recently_used_model_goes_first(tmp_path):
    """With room for two models the one that was used longest ago makes room for the third."""
    for model_id in ("a", "b", "c"):
        onnx.put(tmp_path, model_id, onnx.doubling(), manifest="declared_size_bytes: 40000000")
    async with serve(tmp_path, InferenceSettings(memory_budget_bytes=100_000_000)) as services:
        for model_id in ("a", "b", "a", "c"):
            await services.inference.PostInferenceExecute(execute(model_id, x=ONES))
        cache = await services.inference.GetInferenceCache(pb.GetInferenceCacheRequest())

    assert [model.model_id for model in cache.models] == ["a", "c"]
    assert (cache.devices[0].load_count, cache.devices[0].eviction_count) == (3, 1)


async def test_a_held_model_is_not_unloaded(tmp_path):
    """Unloading names the calls that hold the model by their step keys; with drain it waits for them."""
    onnx.put(tmp_path, "slow", FOREVER)
    unload = pb.PostInferenceUnloadRequest(model_id="slow")
    drain = pb.PostInferenceUnloadRequest(model_id="slow", drain=True)
    async with serve(tmp_path) as services:
        key = (("coordinator-idempotency-key", "s-1/read[3]"),)
        await services.inference.PostInferenceLoad(pb.PostInferenceLoadRequest(model_id="slow"))
        (resident,) = services.servicer.residency.residents()
        holding = services.inference.PostInferenceExecute(execute("slow", x=SQUARE), metadata=key)
        await until(lambda: resident.holders)
        error = await error_of(services.inference.PostInferenceUnload(unload))
        draining = services.inference.PostInferenceUnload(drain)
        await until(lambda: resident.leaving)
        holding.cancel()
        drained = await draining

    assert (error.code, error.reason_name) == (Code.FAILED_PRECONDITION, "MODEL_IN_USE")
    assert error.metadata["holders"] == "s-1/read[3]"
    assert list(drained.model_versions) == ["1"]


async def test_a_drain_that_is_given_up_leaves_the_model_usable(tmp_path):
    """When the deadline of a drain passes, the model stays and new calls run."""
    onnx.put(tmp_path, "slow", FOREVER)
    async with serve(tmp_path) as services:
        holding = services.inference.PostInferenceExecute(execute("slow", x=SQUARE))
        await until(lambda: any(resident.holders for resident in services.servicer.residency.residents()))
        error = await error_of(
            services.inference.PostInferenceUnload(
                pb.PostInferenceUnloadRequest(model_id="slow", drain=True), timeout=0.1
            )
        )
        (resident,) = services.servicer.residency.residents()
        await until(lambda: not resident.leaving)
        holding.cancel()

    assert error.code == Code.DEADLINE_EXCEEDED


async def test_more_calls_than_are_taken_are_refused(tmp_path):
    """The call above the limit is SERVER_OVERLOADED and says when to come again."""
    onnx.put(tmp_path, "slow", FOREVER)
    async with serve(tmp_path, InferenceSettings(max_in_flight=1)) as services:
        holding = services.inference.PostInferenceExecute(execute("slow", x=SQUARE))
        await until(lambda: services.servicer.sessions.in_flight_count == 1)
        error = await error_of(services.inference.PostInferenceExecute(execute("slow", x=SQUARE)))
        holding.cancel()

    assert (error.code, error.reason_name) == (Code.RESOURCE_EXHAUSTED, "SERVER_OVERLOADED")
    assert error.retry_delay == 1.0


async def test_concurrent_runs_give_what_single_ones_give(model_repository):
    """Two runs side by side are bit for bit the runs one after the other."""
    lines = [np.random.default_rng(seed).integers(0, 256, (48, 160, 3), np.uint8) for seed in range(4)]
    async with serve(model_repository) as services:
        run = services.inference.PostInferenceExecute
        alone = [await run(execute("text-recognition", x=line)) for line in lines]
        together = await asyncio.gather(*(run(execute("text-recognition", x=line)) for line in lines))

    assert [reply.outputs for reply in together] == [reply.outputs for reply in alone]


async def test_calls_that_wait_together_run_as_one_batch(tmp_path):
    """With batching on, calls that wait for the one worker run together, and each gets what it would get alone."""
    onnx.put(tmp_path, "doubling", onnx.doubling(), manifest="batching: {enabled: true, max_batch_size: 9}")
    onnx.put(tmp_path, "slow", FOREVER)
    arrays = [np.full((1 + index % 2, 3), index, np.float32) for index in range(6)]
    async with serve(tmp_path, InferenceSettings(workers=1)) as services:
        await services.inference.PostInferenceLoad(pb.PostInferenceLoadRequest(model_id="doubling"))
        (resident,) = services.servicer.residency.residents()
        busy = services.inference.PostInferenceExecute(execute("slow", x=SQUARE))
        await until(lambda: any(each.holders for each in services.servicer.residency.residents()))
        calls = [services.inference.PostInferenceExecute(execute("doubling", x=array)) for array in arrays]
        await until(lambda: len(resident.holders) == len(arrays))
        busy.cancel()
        replies = await asyncio.gather(*calls)

    assert [outputs_of(reply)["y"].tolist() for reply in replies] == [(2 * array).tolist() for array in arrays]
    assert [reply.batch_size for reply in replies] == [6] * 6


async def test_a_batch_that_nobody_wants_is_stopped(tmp_path):
    """A batch goes on while one of its callers is there, and ends within a second when the last has gone."""
    onnx.put(tmp_path, "slow", FOREVER, manifest="batching: {enabled: true, max_batch_size: 800}")
    async with serve(tmp_path, InferenceSettings(workers=1)) as services:
        await services.inference.PostInferenceLoad(pb.PostInferenceLoadRequest(model_id="slow"))
        (resident,) = services.servicer.residency.residents()
        calls = [services.inference.PostInferenceExecute(execute("slow", x=SQUARE)) for _ in range(2)]
        await until(lambda: len(resident.holders) == 2)
        calls[0].cancel()
        await until(lambda: len(resident.holders) == 1)
        calls[1].cancel()
        await until(lambda: not resident.holders)

        reply = await services.inference.PostInferenceUnload(pb.PostInferenceUnloadRequest(model_id="slow"))
        assert list(reply.model_versions) == ["1"]


async def test_one_bad_member_does_not_spoil_a_batch(tmp_path):
    """NaN in one call of a batch is that call's error alone."""
    manifest = "batching: {enabled: true, max_batch_size: 4, max_delay: 0.2}"
    onnx.put(tmp_path, "doubling", onnx.doubling(), manifest=manifest)
    async with serve(tmp_path) as services:
        run = services.inference.PostInferenceExecute
        good, bad = run(execute("doubling", x=ONES)), run(execute("doubling", x=ONES * np.nan))
        error = await error_of(bad)
        reply = await good

    assert error.reason == ErrorReason.ERROR_REASON_TENSOR_INVALID
    assert outputs_of(reply)["y"].tolist() == (2 * ONES).tolist()


async def test_capabilities_tell_what_there_is(tmp_path):
    """Runtime and version, providers, budgets, element types, reductions and limits."""
    async with serve(tmp_path, InferenceSettings(workers=3)) as services:
        reply = await services.inference.GetInferenceCapabilities(pb.GetInferenceCapabilitiesRequest())

    assert reply.runtimes[0].startswith("onnxruntime 1.")
    assert "CPUExecutionProvider" in reply.providers
    assert (len(reply.data_types), len(reply.reduction_kinds), reply.max_parallel) == (12, 5, 3)
    assert reply.devices[0].device == "cpu"


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("PostInferenceExecute", pb.PostInferenceExecuteRequest()),
        ("PostInferenceSession", pb.PostInferenceSessionRequest()),
        ("PostInferenceLoad", pb.PostInferenceLoadRequest()),
        ("PostInferenceUnload", pb.PostInferenceUnloadRequest()),
        ("DeleteInferenceSession", pb.DeleteInferenceSessionRequest()),
    ],
)
async def test_a_request_must_say_what_it_is_about(tmp_path, method, request_):
    """A request without the id it needs is FIELD_REQUIRED."""
    async with serve(tmp_path) as services:
        error = await error_of(getattr(services.inference, method)(request_))

    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, "FIELD_REQUIRED")
