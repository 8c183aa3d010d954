"""ONNX Runtime stays silent, reads models by their path alone, and its faults are told in our words."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.domains.inference.runtimes.onnx import OnnxRuntime
from processing_service.domains.models import ModelVersion
from processing_service.wire.errors import Code, CoordinatorError
from tests import onnx_models as onnx

_SCRIPT = """
import sys
from pathlib import Path
import numpy
from processing_service.domains.inference.runtimes.base import Stop
from processing_service.domains.inference.runtimes.onnx import OnnxRuntime
from processing_service.domains.models import ModelVersion
model = ModelVersion("m", "1", Path(sys.argv[1]), "", 0, 0)
loaded = OnnxRuntime().load(model)
assert loaded.run({"x": numpy.ones((1, 3), numpy.float32)}, ["y"], Stop())[0].tolist() == [[2, 2, 2]]
loaded.close()
"""


def model_of(path):
    return ModelVersion("m", "1", path, "", 0, 0)


def test_nothing_is_written_for_telemetry(tmp_path):
    """A process that loads and runs a model leaves its user's home and cache folders empty."""
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.doubling())
    home = tmp_path / "home"
    home.mkdir()
    own = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"} | own

    subprocess.run([sys.executable, "-c", _SCRIPT, str(path)], env=environment, check=True)

    assert list(home.rglob("*")) == []


def constant_of(location):
    """A model whose external data hides in a node's attribute, where the repository does not look."""
    value = onnx.external("w", [1], location)
    attribute = onnx.field(5, onnx.field(1, "value") + onnx.field(5, value) + onnx.field(20, 4))
    node = onnx.field(2, "w") + onnx.field(3, "w") + onnx.field(4, "Constant") + attribute
    add = onnx.node("Add", ["x", "w"], ["y"])
    return onnx.model([node, add], [onnx.tensor_info("x", (1,))], [onnx.tensor_info("y", (1,))])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(constant_of("../secret"), id="external data outside its folder"),
        pytest.param(constant_of("/etc/passwd"), id="external data, absolute"),
        pytest.param(onnx.field(1, 8) + onnx.field(7, onnx.field(12, b"\xff")), id="damaged"),
        pytest.param(onnx.doubling().replace(onnx.field(2, 13), onnx.field(2, 99)), id="operator set"),
        pytest.param(onnx.doubling().replace(b"Add", b"Odd"), id="operator"),
        pytest.param(b"text", id="text"),
    ],
)
def test_what_cannot_be_loaded_is_told_without_paths(tmp_path, monkeypatch, content):
    """Each fault is MODEL_INVALID; neither the file's path nor the library's own text is in it."""
    (tmp_path / "secret").write_bytes(bytes(4))
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "model.onnx"
    path.write_bytes(content)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(CoordinatorError) as caught:
        OnnxRuntime().load(model_of(path))

    assert (caught.value.code, caught.value.reason) == (
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_MODEL_INVALID,
    )
    assert str(tmp_path) not in caught.value.message
    assert "onnxruntime" not in caught.value.message.lower()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_a_model_has_the_threads_that_it_asks_for(tmp_path):
    """A model that says 3 gets the calling thread and two more, whatever the runtime's own number is."""
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx.doubling())
    runtime, threads = OnnxRuntime(1), lambda: len(list(Path("/proc/self/task").iterdir()))
    runtime.load(model_of(path)).close()
    before = threads()

    loaded = runtime.load(replace(model_of(path), intra_op_threads=3))

    assert threads() == before + 2
    loaded.close()
