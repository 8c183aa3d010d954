"""The client against the whole service in this process."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.client import CoordinatorClient
from processing_service.config import Settings
from processing_service.domains.model.repository import RepositorySettings
from processing_service.engine.store.sqlite.store import StoreSettings
from processing_service.server import running
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.listener import ListenerSettings
from tests import onnx_models as onnx

ECHOES = Path(__file__).parents[2] / "examples" / "workflows" / "three-echoes.yaml"


@pytest.fixture
async def client(tmp_path):
    version = tmp_path / "models" / "doubling" / "1"
    version.mkdir(parents=True)
    (version / "model.onnx").write_bytes(onnx.doubling())
    settings = Settings(
        listener=ListenerSettings("127.0.0.1:0"),
        store=StoreSettings(tmp_path / "store"),
        model=RepositorySettings(tmp_path / "models"),
    )
    async with running(settings) as process, CoordinatorClient(process.address) as client:
        await client.put_processing_workflow(ECHOES.read_text(encoding="utf-8"))
        yield client


async def test_workflow_runs_to_its_end(client):
    """A workflow that was put is listed, runs, and its outputs are Python values."""
    session = await client.execute_workflow("three-echoes", {"text": "hi"})

    assert session.state == pb.SESSION_STATE_SUCCEEDED
    assert client.outputs_of(session)["text"] == "hi"
    assert [workflow.workflow_id async for workflow in client.get_processing_workflows()] == ["three-echoes"]
    assert [one.session_id async for one in client.get_processing_sessions()] == [session.session_id]


async def test_watch_is_the_history(client):
    """What a watch shows from the start on is the stored history, number by number."""
    started = await client.post_workflow_execute("three-echoes", {"delay_seconds": "0.05s"}, background=True)
    session_id = started.session.session_id

    seen = [update.event async for update in client.watch_session(session_id, 0) if update.HasField("event")]

    assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
    assert seen == [event async for event in client.get_processing_session_events(session_id)]


async def test_repeated_start_is_one_session(client):
    """The same request_id gives the first session again."""
    first, second = [await client.post_workflow_execute("three-echoes", request_id="once") for _ in range(2)]

    assert first.session.session_id == second.session.session_id
    assert second.repeated_request


async def test_artifact_goes_and_comes(client, tmp_path):
    """Content above the limit of a message goes up in chunks and comes back equal."""
    content = np.random.default_rng(1).bytes(6 << 20)

    stored = await client.post_processing_artifact(content, media_type="image/png")
    path = await client.download_artifact(stored.artifact.digest, tmp_path / "page.png")

    assert path.read_bytes() == content
    assert stored.created


async def test_models_are_loaded_and_unloaded(client):
    """The repository is listed, a model loaded, seen in memory, unloaded."""
    (model,) = [model async for model in client.get_models()]
    loaded = await client.post_model_load(model.model_id)
    resident = [one.model_id for one in (await client.get_model_cache()).models]
    unloaded = await client.post_model_unload(model.model_id)

    assert model.file_size_bytes == len(onnx.doubling())
    assert loaded.loaded
    assert resident == ["doubling"]
    assert list(unloaded.model_versions) == ["1"]


async def test_command_carries_tensors(client):
    """An operation is called by name, with an array in and a tensor out."""
    array = np.ones((2, 3), np.float32)
    parameters = {"model_id": "doubling", "inputs.x": array}

    reply = await client.post_command_execute("inference.post_inference_execute", parameters)

    outputs = client.outputs_of(pb.Session(payloads=reply.payloads))
    np.testing.assert_array_equal(await outputs.array("outputs.y"), array * 2)


async def test_nearest_name_comes_back(client):
    """Unknown names come back with the nearest one that exists."""
    for call, reason, near in (
        (client.execute_workflow("three-echos"), ErrorReason.ERROR_REASON_WORKFLOW_NOT_FOUND, "three-echoes"),
        (client.execute_workflow("three-echoes", {"txt": 1}), ErrorReason.ERROR_REASON_FIELD_UNKNOWN, "text"),
        (client.get_model("doublin"), ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, "doubling"),
        (client.post_command_execute("model.get_modle"), ErrorReason.ERROR_REASON_OPERATION_NOT_FOUND, "get_model"),
    ):
        with pytest.raises(CoordinatorError) as caught:
            await call
        assert caught.value.reason == reason
        assert near in str(caught.value)


async def test_many_callers_share_a_client(client):
    """One client serves many tasks at once, each with its own session."""
    sessions = await asyncio.gather(*(client.execute_workflow("three-echoes", {"text": str(n)}) for n in range(20)))

    assert [client.outputs_of(session)["text"] for session in sessions] == [str(n) for n in range(20)]
