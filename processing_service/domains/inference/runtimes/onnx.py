"""ONNX Runtime: how its sessions are set, and what its errors mean.

Its own error texts hold paths of the server and are logged, never sent.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.domains.inference.runtimes.base import Stop, Stopped
from processing_service.domains.models import ModelVersion
from processing_service.wire.errors import Code, CoordinatorError, nearest
from processing_service.wire.tensors import Array

_log = logging.getLogger(__name__)

_DEFAULT_PROVIDERS: Final = ("CPUExecutionProvider",)
_SILENT: Final = 4
_NODE: Final = re.compile(r"while running (\w{1,64}) node")
_OUT_OF_MEMORY: Final = ("Failed to allocate", "smaller than requested", "bad_alloc", "SafeInt")

_LOAD_FAULTS: Final = (
    ("External data", "it wants weights from a file that is missing, too short or outside its folder"),
    ("Absolute path", "it wants weights from a file outside its folder"),
    ("opset", "it needs a newer operator set than this runtime has"),
    ("IR version", "it needs a newer runtime: its file format is too new"),
    ("is not a registered function/op", "it uses an operator that this runtime does not have"),
)
_LOAD_CLASSES: Final = {
    "InvalidProtobuf": "the file is no ONNX model, or a damaged one",
    "InvalidGraph": "its graph is not valid, or uses an operator that this runtime does not have",
    "NotImplemented": "it uses an operator that its execution providers do not have",
    "NoSuchFile": "the file is gone",
}


@cache
def _library() -> Any:
    # The Linux wheel makes a device id and an event database in the user's cache folder when it is imported, and has
    # an upload address; only this variable, set before the import, keeps it from doing so.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


class OnnxRuntime:
    """Runs ONNX models in this process.

    Args:
        intra_op_threads: threads of one run, where the model does not say. One each is best where several runs are out
            at the same time.
    """

    def __init__(self, intra_op_threads: int = 1) -> None:
        self._intra_op_threads = intra_op_threads

    @property
    def name(self) -> str:
        """Name and version."""
        return f"onnxruntime {_library().__version__}"

    @property
    def providers(self) -> Sequence[str]:
        """Execution providers that this wheel has."""
        return tuple(_library().get_available_providers())

    def load(self, model: ModelVersion) -> OnnxModel:
        """Read the model's file; always by its path, because external data of a model that is given as bytes is
        looked for in the working directory.

        Raises:
            CoordinatorError: MODEL_INVALID or MODEL_OUT_OF_MEMORY.
        """
        providers = model.providers or _DEFAULT_PROVIDERS
        unknown = next((name for name in providers if name not in self.providers), None)
        if unknown is not None:
            near = nearest(unknown, self.providers)
            advice = f"; did you mean {near!r}?" if near else f"; there are {', '.join(self.providers)}"
            raise _invalid(model, f"there is no execution provider {unknown!r} here{advice}")
        try:
            session = _library().InferenceSession(str(model.path), self._options(model), providers=list(providers))
        except Exception as error:  # its classes have no common base
            _log.warning("onnxruntime could not load %s: %s", model.path, error)
            raise _load_error(model, error) from error
        return OnnxModel(model, session)

    def _options(self, model: ModelVersion) -> Any:
        options = _library().SessionOptions()
        options.intra_op_num_threads = model.intra_op_threads or self._intra_op_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _SILENT
        # A thread that spins while it waits takes the processor from the runs beside it and from the event loop.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Planning one block for all activations of a shape doubles the peak where shapes vary, and gains no time.
        # The arena stays on: it keeps the peak, so what is measured after a run is what the model takes.
        options.enable_mem_pattern = False
        return options


class OnnxModel:
    """An ONNX Runtime session."""

    def __init__(self, model: ModelVersion, session: Any) -> None:
        self._model = model
        self._session = session

    def run(self, inputs: Mapping[str, Array], output_names: Sequence[str], stop: Stop) -> list[Array]:
        """Run once; a stop is seen between two nodes.

        Raises:
            Stopped: `stop` was set.
            CoordinatorError: MODEL_RUN_FAILED or MODEL_OUT_OF_MEMORY.
        """
        options = _library().RunOptions()
        options.log_severity_level = _SILENT

        def terminate() -> None:
            options.terminate = True

        stop.call(terminate)
        try:
            outputs: list[Array] = self._session.run(list(output_names), dict(inputs), options)
        except Exception as error:  # its classes have no common base
            if stop.is_set():
                raise Stopped from error
            _log.warning("onnxruntime could not run %s: %s", self._model.path, error)
            raise _run_error(self._model, error) from error
        return outputs

    def close(self) -> None:
        """Drop the session; call it in a worker thread, it takes some milliseconds."""
        self._session = None


def _load_error(model: ModelVersion, error: Exception) -> CoordinatorError:
    text = str(error)
    if any(sign in text for sign in _OUT_OF_MEMORY):
        return _out_of_memory(model, "to load")
    fault = next((fault for sign, fault in _LOAD_FAULTS if sign in text), None)
    return _invalid(model, fault or _LOAD_CLASSES.get(type(error).__name__, "the runtime cannot load it"))


def _run_error(model: ModelVersion, error: Exception) -> CoordinatorError:
    text = str(error)
    if any(sign in text for sign in _OUT_OF_MEMORY):
        return _out_of_memory(model, "to run on inputs of this size; make them smaller")
    node = _NODE.search(text)
    where = f" in a node of type {node[1]}" if node else ""
    return CoordinatorError(
        Code.INTERNAL,
        ErrorReason.ERROR_REASON_MODEL_RUN_FAILED,
        f"{_name(model)} failed{where} on inputs that passed the checks; its model.yaml can state the limits of "
        "dynamic axes, and the server's log has the details",
        metadata={"model_id": model.model_id, "model_version": model.model_version},
    )


def _invalid(model: ModelVersion, what: str) -> CoordinatorError:
    return CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_MODEL_INVALID,
        f"{_name(model)} cannot be used: {what}",
        metadata={"model_id": model.model_id, "model_version": model.model_version},
    )


def _out_of_memory(model: ModelVersion, what: str) -> CoordinatorError:
    return CoordinatorError(
        Code.RESOURCE_EXHAUSTED,
        ErrorReason.ERROR_REASON_MODEL_OUT_OF_MEMORY,
        f"{_name(model)} needs more memory than there is {what}",
        metadata={"model_id": model.model_id, "model_version": model.model_version},
    )


def _name(model: ModelVersion) -> str:
    return f"model {model.model_id!r} version {model.model_version!r}"
