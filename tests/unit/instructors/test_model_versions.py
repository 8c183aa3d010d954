"""Which version of a model a request would run on, and which one it ran on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from coordinator.inference.v1.inference_pb2 import PostInferenceExecuteRequest, PostInferenceExecuteResponse
from coordinator.model.v1.model_pb2_grpc import add_ModelServiceServicer_to_server
from coordinator.postprocessing.v1.postprocessing_pb2 import PostPostprocessingExecuteRequest

from benchmarks.reuse import Models
from instructors.domains import CONTRACT, Domain, Domains
from instructors.model import Pin
from instructors.model_versions import ModelVersion, ModelVersions, model_then
from instructors.registry import Instructors
from processing_service.wire.callcontext import CallContext
from processing_service.wire.channels import InProcessChannel, InProcessServer
from processing_service.wire.interceptors.edge import Edge
from processing_service.wire.telemetry.hooks import Telemetry

RUNS = SimpleNamespace(pins=("model_version", "model_digest", "inference_session_id"))
"""A step whose request can be bound to a digest."""
NAMES = SimpleNamespace(pins=())
"""A step of a domain that has models of its own."""
OURS, PIN = Pin("reader", "1", "d" * 64), Pin("reader", "2", "e" * 64)


@pytest.fixture
def models():
    """A repository with the model `reader`."""
    found = Models()
    found.digests["reader"] = OURS.model_digest
    return found


@pytest.fixture
def versions(models):
    server = InProcessServer(Edge(Telemetry()).wrap)
    add_ModelServiceServicer_to_server(models, server)
    return ModelVersions(Instructors(Domains([Domain("model", CONTRACT["model"], InProcessChannel(server))])))


def request(model_id="reader", **fields):
    return PostInferenceExecuteRequest(model_id=model_id, **fields)


@pytest.mark.parametrize(
    ("step", "asked", "pin", "expected"),
    [
        pytest.param(RUNS, request(""), PIN, ModelVersion(""), id="no model"),
        pytest.param(RUNS, PostPostprocessingExecuteRequest(), None, ModelVersion(""), id="no such field"),
        pytest.param(RUNS, request(), None, ModelVersion(OURS.text, OURS), id="the newest"),
        pytest.param(RUNS, request(), PIN, ModelVersion(PIN.text, PIN), id="the session's"),
        pytest.param(RUNS, request(model_version="1"), PIN, ModelVersion(OURS.text, OURS), id="another version of it"),
        pytest.param(RUNS, request(model_digest="f" * 64), PIN, ModelVersion(None), id="a digest that it has not"),
        pytest.param(RUNS, request("nobody"), PIN, ModelVersion(None), id="one that cannot run"),
        pytest.param(NAMES, request("nobody"), PIN, ModelVersion(""), id="a name of theirs"),
        pytest.param(NAMES, request(), None, ModelVersion(None), id="ours, but it cannot be bound to it"),
    ],
)
async def test_what_a_request_would_run_on(versions, step, asked, pin, expected):
    """The session's model, else what the repository says; None where nobody can be sure."""
    assert await versions.now(step, asked, pin, CallContext()) == expected


async def test_a_repository_that_does_not_answer_leaves_it_open():
    """Then nothing is taken; the call itself will say what is wrong."""
    versions = ModelVersions(Instructors(Domains([Domain("model", CONTRACT["model"], None)])))
    assert await versions.now(NAMES, request(), None, CallContext()) == ModelVersion(None)


@pytest.mark.parametrize(
    ("step", "asked", "reply", "pin", "expected"),
    [
        pytest.param(RUNS, request(""), None, PIN, "", id="no model"),
        pytest.param(
            RUNS,
            request(),
            PostInferenceExecuteResponse(model_version="7", model_digest="f"),
            PIN,
            "7@f",
            id="the reply says it",
        ),
        pytest.param(RUNS, request(), PostInferenceExecuteResponse(), PIN, PIN.text, id="the session says it"),
        pytest.param(RUNS, request(model_version="1"), None, PIN, None, id="not the session's version"),
        pytest.param(RUNS, request(), None, None, None, id="nobody says it"),
        pytest.param(NAMES, request(), None, None, "", id="a name of theirs"),
    ],
)
def test_what_a_call_ran_on(step, asked, reply, pin, expected):
    """Its reply knows best; None where it is not known any more."""
    assert model_then(step, asked, reply, pin) == expected
