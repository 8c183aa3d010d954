"""Every RPC that changes something may be sent twice: the first answer comes again, and other content is refused."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from coordinator.inference.v1 import inference_pb2
from coordinator.inference.v1.inference_pb2_grpc import InferenceServiceStub
from coordinator.model.v1 import model_pb2
from coordinator.model.v1.model_pb2_grpc import ModelServiceStub
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from processing_service.wire.errors import Code
from tests import onnx_models as onnx
from tests.coordinators import echo, refused, serving

SERVICES = {
    ProcessingServiceStub: pb.DESCRIPTOR.services_by_name["ProcessingService"],
    ModelServiceStub: model_pb2.DESCRIPTOR.services_by_name["ModelService"],
    InferenceServiceStub: inference_pb2.DESCRIPTOR.services_by_name["InferenceService"],
}
METHODS = {method.name: method for service in SERVICES.values() for method in service.methods}
STUBS = {method.name: stub for stub, service in SERVICES.items() for method in service.methods}

OTHERWISE = {
    "PostInferenceExecute": "a call of a step, which carries an idempotency key as metadata",
    "PostProcessingArtifact": "content is named by its digest, so that the same again changes nothing",
}
"""RPCs that change something and have no request_id, and why."""
BATCHES = {name for name in METHODS if "Batch" in name}


class Case(NamedTuple):
    """One RPC."""

    rpc: str
    fields: dict[str, Any]
    other: dict[str, Any]
    """What differs in a request with other content."""
    same: Callable[[Any], Any] = lambda reply: reply
    """What of both answers is equal."""
    deed: Callable[[Any], bool] = lambda reply: True
    """Whether the answer says that it was done, and not that there was nothing to do."""


LIVE = {"session_id": "live"}
DOUBLING = {"model_id": "doubling"}
CASES = [
    Case(
        "PutProcessingWorkflow",
        {"source": json.dumps({"workflow_id": "w", "steps": [echo()]})},
        {"source": json.dumps({"workflow_id": "w", "steps": [echo(text="bye")]})},
        lambda reply: reply.workflow,
        lambda reply: reply.changed,
    ),
    Case("DeleteProcessingWorkflow", {"workflow_id": "spare"}, {"workflow_id": "say"}),
    Case(
        "PostWorkflowExecute",
        {"workflow_id": "say"},
        {"priority": 7},
        lambda reply: reply.session.session_id,
    ),
    Case(
        "PostSessionControl",
        LIVE | {"control_action": "CONTROL_ACTION_PAUSE"},
        {"control_action": "CONTROL_ACTION_CANCEL"},
        lambda reply: (reply.session.session_id, reply.applied),
        lambda reply: reply.applied,
    ),
    Case("DeleteProcessingSession", {"session_id": "ended"}, LIVE, lambda reply: True),
    Case(
        "PostCommandExecute",
        {"operation": "model.post_model_load", "parameters": DOUBLING},
        {"parameters": {"model_id": "other"}},
        lambda reply: reply,
        lambda reply: reply.result["loaded"],
    ),
    Case("PostModelLoad", DOUBLING, {"model_version": "1"}, deed=lambda reply: reply.loaded),
    Case("PostModelUnload", {"model_id": "resident"}, {"drain": True}, deed=lambda reply: reply.model_versions),
    Case("PostInferenceSession", DOUBLING, {"workflow_id": "w"}),
    Case("DeleteInferenceSession", {"session_id": "held"}, LIVE, deed=lambda reply: reply.deleted_count == 1),
    Case("PostInferenceLoad", DOUBLING, {"model_version": "1"}, deed=lambda reply: reply.loaded),
    Case("PostInferenceUnload", {"model_id": "resident"}, {"drain": True}, deed=lambda reply: reply.model_versions),
]


def test_no_rpc_is_left_out():
    """Each that may change something is a case here, has no request_id for a reason, or is one of batches."""
    changing = {
        name
        for name, method in METHODS.items()
        if method.GetOptions().idempotency_level != MethodOptions.NO_SIDE_EFFECTS
    }
    assert {case.rpc for case in CASES} | set(OTHERWISE) == changing - BATCHES
    takes = {name for name in changing if "request_id" in METHODS[name].input_type.fields_by_name}
    assert takes == changing - set(OTHERWISE)


@pytest.fixture
async def prepared(tmp_path):
    """A workflow to delete, sessions that run and have ended, models in and out of memory, an inference session."""
    async with serving(tmp_path, drain_grace=0.0) as coordinator:
        await prepare(coordinator, tmp_path)
        yield coordinator


async def prepare(coordinator, tmp_path):
    """Fills a coordinator."""
    for name in ("doubling", "resident", "other"):
        onnx.put(tmp_path / "models", name, onnx.doubling())
    await coordinator.put("say", echo())
    await coordinator.put("spare", echo())
    await coordinator.put("wait", echo(delay="60s"))
    await coordinator.execute("say", session_id="ended")
    await coordinator.execute("wait", session_id="live", background=True)
    models = ModelServiceStub(coordinator.channel)
    await models.PostModelLoad(model_pb2.PostModelLoadRequest(model_id="resident"))
    held = inference_pb2.PostInferenceSessionRequest(model_id="resident", session_id="held")
    await coordinator.inference.PostInferenceSession(held)


def request_of(case: Case, changes: dict[str, Any]) -> Message:
    """The request, with changes."""
    message = GetMessageClass(METHODS[case.rpc].input_type)()
    return ParseDict(case.fields | {"request_id": "r-1"} | changes, message)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rpc)
async def test_a_request_that_comes_twice_gets_its_first_answer(prepared, case):
    """It is carried out once; with other content it is refused, and told both digests."""
    call = getattr(STUBS[case.rpc](prepared.channel), case.rpc)
    first = await call(request_of(case, {}))
    again = await call(request_of(case, {}))
    assert case.deed(first)
    assert case.same(again) == case.same(first)

    error = await refused(call(request_of(case, case.other)))
    assert (error.code, error.reason_name) == (Code.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    digests = error.metadata["first_digest"], error.metadata["digest"]
    assert [len(bytes.fromhex(digest)) for digest in digests] == [32, 32]
    assert digests[0] != digests[1]
    assert all(digest[:12] in error.message for digest in digests)
