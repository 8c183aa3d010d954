"""The Model service over a real port: the repository, and what Inference has of it in memory."""

import grpc
import pytest
from coordinator.model.v1 import model_pb2 as pb
from coordinator.model.v1 import model_pb2_grpc
from coordinator.payload.v1.payload_pb2 import DataType

from processing_service.domains.model.repository import ModelRepository, RepositorySettings
from processing_service.domains.model.servicer import ModelServicer
from processing_service.wire.errors import Code
from processing_service.wire.interceptors.edge import Edge, EdgeInterceptor
from processing_service.wire.telemetry.hooks import Telemetry
from tests import onnx_models as onnx
from tests.model_services import error_of, serve


def names(reply):
    return [(model.model_id, model.model_version) for model in reply.models]


async def test_models_are_listed_by_page_newest_version_first(tmp_path):
    """Pages go on where the last ended, and a model that was added meanwhile moves nothing."""
    for model_id, version in (("b", "1"), ("a", "9"), ("a", "10"), ("c", "1")):
        onnx.put(tmp_path, model_id, onnx.doubling(), version)
    async with serve(tmp_path) as services:
        first = await services.model.GetModels(pb.GetModelsRequest(page_size=2))
        onnx.put(tmp_path, "aa", onnx.doubling())
        rest = await services.model.GetModels(pb.GetModelsRequest(page_size=9, page_token=first.next_page_token))

    assert names(first) == [("a", "10"), ("a", "9")]
    assert names(rest) == [("aa", "1"), ("b", "1"), ("c", "1")]
    assert (first.total_count, rest.next_page_token) == (4, "")


async def test_models_are_found_by_their_labels(tmp_path):
    """Only models that have all the labels are listed; a token of another filter is refused."""
    onnx.put(tmp_path, "a", onnx.doubling(), manifest="labels: {task: x, size: small}")
    onnx.put(tmp_path, "b", onnx.doubling(), manifest="labels: {task: x}")
    async with serve(tmp_path) as services:
        small = await services.model.GetModels(pb.GetModelsRequest(labels={"task": "x", "size": "small"}))
        page = await services.model.GetModels(pb.GetModelsRequest(page_size=1, labels={"task": "x"}))
        error = await error_of(services.model.GetModels(pb.GetModelsRequest(page_token=page.next_page_token)))

    assert names(small) == [("a", "1")]
    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_a_broken_model_is_listed_and_says_why_when_asked(tmp_path):
    """One model that cannot be used hides no other; GetModel tells what is wrong with it."""
    onnx.put(tmp_path, "broken", b"not a model")
    onnx.put(tmp_path, "good", onnx.doubling())
    async with serve(tmp_path) as services:
        listed = await services.model.GetModels(pb.GetModelsRequest())
        error = await error_of(services.model.GetModel(pb.GetModelRequest(model_id="broken")))

    assert names(listed) == [("broken", "1"), ("good", "1")]
    assert (error.code, error.reason_name) == (Code.FAILED_PRECONDITION, "MODEL_INVALID")
    assert error.metadata["repository_path"] == "broken/1/model.onnx"


async def test_a_model_is_described(model_repository):
    """Digest, size, inputs with their limits, outputs, labels and the file's own metadata."""
    async with serve(model_repository) as services:
        reply = await services.model.GetModel(pb.GetModelRequest(model_id="text-recognition"))
        listed = await services.model.GetModels(pb.GetModelsRequest(labels={"task": "text-recognition"}))

    (tensor,) = reply.model.inputs
    assert (tensor.name, tensor.data_type, tensor.normalized) == ("x", DataType.DATA_TYPE_FLOAT32, True)
    assert [axis.size for axis in tensor.axes] == [0, 3, 48, 0]
    assert (tensor.axes[3].min_size, tensor.axes[3].max_size) == (8, 3200)
    assert [axis.size for axis in reply.model.outputs[0].axes] == [0, 0, 18710]
    assert len(reply.model.metadata["character"].splitlines()) == 18708
    assert list(reply.model_versions) == ["1"]
    assert "character" not in listed.models[0].metadata


async def test_an_unknown_model_is_answered_with_the_nearest(tmp_path):
    """NOT_FOUND for a model and for a version, each with what is there."""
    onnx.put(tmp_path, "text-detection", onnx.doubling())
    async with serve(tmp_path) as services:
        model = await error_of(services.model.GetModel(pb.GetModelRequest(model_id="text-detction")))
        version = await error_of(
            services.model.GetModel(pb.GetModelRequest(model_id="text-detection", model_version="2"))
        )

    assert (model.reason_name, model.metadata["nearest"]) == ("MODEL_NOT_FOUND", "text-detection")
    assert (version.reason_name, version.metadata["nearest"]) == ("MODEL_NOT_FOUND", "text-detection/1")


async def test_loading_and_unloading_ask_inference(tmp_path):
    """A model is loaded once, shown in the cache, and unloaded; doing it again does nothing."""
    onnx.put(tmp_path, "doubling", onnx.doubling())
    load, unload = pb.PostModelLoadRequest(model_id="doubling"), pb.PostModelUnloadRequest(model_id="doubling")
    async with serve(tmp_path) as services:
        loads = [await services.model.PostModelLoad(load) for _ in range(2)]
        cache = await services.model.GetModelCache(pb.GetModelCacheRequest())
        unloads = [await services.model.PostModelUnload(unload) for _ in range(2)]

    assert [reply.loaded for reply in loads] == [True, False]
    assert [model.model_id for model in cache.models] == ["doubling"]
    assert cache.devices[0].used_bytes == cache.models[0].size_bytes > 0
    assert [list(reply.model_versions) for reply in unloads] == [["1"], []]


async def test_errors_of_inference_come_through(tmp_path):
    """What Inference answers is what the caller of Model gets, reason and facts."""
    onnx.put(tmp_path, "huge", onnx.doubling(), manifest="declared_size_bytes: 9000000000")
    async with serve(tmp_path) as services:
        huge = await error_of(services.model.PostModelLoad(pb.PostModelLoadRequest(model_id="huge")))
        unknown = await error_of(services.model.PostModelUnload(pb.PostModelUnloadRequest(model_id="hug")))

    assert (huge.code, huge.reason_name) == (Code.RESOURCE_EXHAUSTED, "MODEL_BUDGET_EXCEEDED")
    assert huge.metadata["needed_bytes"] == "9000000000"
    assert (unknown.reason_name, unknown.metadata["nearest"]) == ("MODEL_NOT_FOUND", "huge")


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("PostModelLoad", pb.PostModelLoadRequest(model_id="doubling")),
        ("PostModelUnload", pb.PostModelUnloadRequest(model_id="doubling")),
        ("GetModelCache", pb.GetModelCacheRequest()),
    ],
)
async def test_without_an_inference_service_residency_is_not_configured(tmp_path, method, request_):
    """A Model service of its own still lists models, and says what it lacks for the rest."""
    onnx.put(tmp_path, "doubling", onnx.doubling())
    server = grpc.aio.server(interceptors=(EdgeInterceptor(Edge(Telemetry())),))
    servicer = ModelServicer(ModelRepository(RepositorySettings(tmp_path)))
    model_pb2_grpc.add_ModelServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = model_pb2_grpc.ModelServiceStub(channel)
        error = await error_of(getattr(stub, method)(request_))
        listed = await stub.GetModels(pb.GetModelsRequest())
    await server.stop(0)

    assert (error.code, error.reason_name) == (Code.FAILED_PRECONDITION, "DOMAIN_NOT_CONFIGURED")
    assert names(listed) == [("doubling", "1")]
