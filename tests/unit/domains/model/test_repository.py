"""The repository tells what lies in its folder, and refuses what cannot be used, without a path of the server."""

import hashlib
import os

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.domains.model.repository import ModelRepository, RepositorySettings, version_key
from processing_service.domains.models import Axis, Batching
from processing_service.wire.errors import Code, CoordinatorError
from tests import onnx_models as onnx


@pytest.fixture
def repository(tmp_path):
    return ModelRepository(RepositorySettings(tmp_path / "models"))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "models"


def test_a_repository_without_models_says_what_it_lacks(repository, folder):
    """The folder, or models in it; one that can be seen is enough."""
    absent = repository.lack()
    folder.mkdir()
    empty = repository.lack()
    onnx.put(folder, "doubling", onnx.doubling(), "1")

    assert absent.startswith(f"there is no folder '{folder}'; ")
    assert empty.startswith(f"there are no models in '{folder}'; ")
    assert repository.lack() == ""


def test_versions_sort_by_number_then_by_text():
    """10 is newer than 9, 1.10 newer than 1.9, and any number newer than a text."""
    versions = ["10", "beta", "1.9", "2-rc", "1.10", "9", "v11"]

    assert sorted(versions, key=version_key) == ["beta", "1.9", "1.10", "2-rc", "9", "10", "v11"]


def test_an_empty_version_is_the_newest(repository, folder):
    """Who names no version gets the newest."""
    for version in ("2", "10", "1"):
        onnx.put(folder, "doubling", onnx.doubling(), version)

    assert repository.resolve("doubling", "").model_version == "10"
    assert repository.versions("doubling") == ["10", "2", "1"]


def test_the_model_is_described_by_its_file_and_its_manifest(repository, folder):
    """Digest, size and inputs come from the file, limits and labels from model.yaml."""
    content = onnx.doubling(("n", 3))
    onnx.put(
        folder,
        "doubling",
        content,
        manifest="""
declared_size_bytes: 1000
labels: {task: test}
intra_op_threads: 2
max_parallel: 1
inputs: {x: {axes: {0: {min_size: 2, max_size: 8, multiple_of: 2}}}}
batching: {enabled: true, max_batch_size: 4}
""",
    )

    found = repository.resolve("doubling", "1")

    assert found.digest == hashlib.sha256(content).hexdigest()
    assert (found.file_size_bytes, found.declared_size_bytes) == (len(content), 1000)
    assert found.inputs[0].axes == (Axis(min_size=2, max_size=8, multiple_of=2), Axis(size=3))
    assert found.labels == {"task": "test"}
    assert (found.intra_op_threads, found.max_parallel) == (2, 1)
    assert found.batching == Batching(enabled=True, max_batch_size=4)


def test_a_model_that_changes_on_disk_is_read_anew(repository, folder):
    """What is kept of a file is dropped when the file changes."""
    path = onnx.put(folder, "doubling", onnx.doubling()) / "model.onnx"
    first = repository.resolve("doubling", "")
    changed = path.with_name("new")
    changed.write_bytes(onnx.doubling(("n", 4)))
    os.replace(changed, path)

    assert repository.resolve("doubling", "").digest != first.digest


def test_an_unknown_model_is_answered_with_the_nearest(repository, folder):
    """A mistyped name is NOT_FOUND with the name that was meant."""
    onnx.put(folder, "text-detection", onnx.doubling())

    with pytest.raises(CoordinatorError) as caught:
        repository.resolve("text-detektion", "")

    assert (caught.value.code, caught.value.reason) == (Code.NOT_FOUND, ErrorReason.ERROR_REASON_MODEL_NOT_FOUND)
    assert caught.value.metadata["nearest"] == "text-detection"


@pytest.mark.parametrize(
    ("model_id", "version"), [("../secret", ""), ("a/../../secret", ""), ("ok", "../../secret/1"), ("", ""), (".", "")]
)
def test_a_name_cannot_leave_the_folder(repository, folder, tmp_path, model_id, version):
    """A name with a path in it is no model, even where that path leads to one."""
    onnx.put(folder, "ok", onnx.doubling())
    onnx.put(tmp_path, "secret", onnx.doubling())

    with pytest.raises(CoordinatorError) as caught:
        repository.resolve(model_id, version)

    assert caught.value.reason == ErrorReason.ERROR_REASON_MODEL_NOT_FOUND


def external(location):
    weights = onnx.external("w", [1], location)
    return onnx.model(
        [onnx.node("Add", ["x", "w"], ["y"])], [onnx.tensor_info("x", (1,))], [onnx.tensor_info("y", (1,))], [weights]
    )


UNUSABLE = [
    pytest.param(b"", "", id="empty"),
    pytest.param(b"some text", "", id="text"),
    pytest.param(onnx.doubling()[:-9], "", id="truncated"),
    pytest.param(external("../../secret"), "", id="external data above"),
    pytest.param(external("/etc/passwd"), "", id="external data, absolute"),
    pytest.param(external("link"), "", id="external data by a link"),
    pytest.param(external("gone"), "", id="external data missing"),
    pytest.param(external("a\0b"), "", id="external data, no name"),
    pytest.param(onnx.doubling(), f"checksum: {'f' * 64}", id="checksum"),
    pytest.param(onnx.doubling(), "devise: cpu", id="unknown key"),
    pytest.param(onnx.doubling(), "inputs: {z: {}}", id="unknown input"),
    pytest.param(onnx.doubling(), "inputs: {x: {axes: {1: {max_size: 9}}}}", id="limit of a static axis"),
    pytest.param(onnx.doubling(), "inputs: {x: {axes: {7: {max_size: 9}}}}", id="limit of no axis"),
    pytest.param(onnx.doubling(), "inputs: {x: {normalization: {}}}", id="normalization of no image"),
    pytest.param(onnx.doubling((1, 3)), "batching: {enabled: true}", id="batching of a static axis"),
]


@pytest.mark.parametrize(("content", "manifest"), UNUSABLE)
def test_what_cannot_be_used_is_refused_without_a_path(repository, folder, tmp_path, content, manifest):
    """A model that cannot be used is MODEL_INVALID, in words that hold no path of the server."""
    (tmp_path / "secret").write_bytes(bytes(4))
    version = onnx.put(folder, "broken", content, manifest=manifest)
    (version / "link").symlink_to(tmp_path / "secret")

    with pytest.raises(CoordinatorError) as caught:
        repository.resolve("broken", "")

    assert (caught.value.code, caught.value.reason) == (
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_MODEL_INVALID,
    )
    assert str(tmp_path) not in str(caught.value)
    file = "model.onnx" if not manifest or manifest.startswith("checksum") else "model.yaml"
    assert caught.value.metadata == {
        "model_id": "broken",
        "model_version": "1",
        "repository_path": f"broken/1/{file}",
    }
    assert len(repository.describe("broken", "1").digest) == 64


def test_external_data_inside_the_folder_is_allowed(repository, folder):
    """Weights beside the model file are part of the model."""
    (onnx.put(folder, "split", external("weights.bin")) / "weights.bin").write_bytes(bytes(4))

    assert repository.resolve("split", "").model_id == "split"
