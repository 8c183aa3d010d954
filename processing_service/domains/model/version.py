"""One version of one model as it lies in its folder: the model file and what model.yaml adds to it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import DataType

from processing_service.domains.model import manifest, onnx_file
from processing_service.domains.models import Axis, Batching, ModelVersion, Normalization, TensorSpec
from processing_service.wire.errors import Code, CoordinatorError, Violation, nearest

MODEL_FILE: Final = "model.onnx"
MANIFEST_FILE: Final = "model.yaml"


def read_version(model_id: str, version: str, folder: Path) -> ModelVersion:
    """What is in this folder, the model file hashed and model.yaml checked against it.

    Raises:
        CoordinatorError: MODEL_INVALID with what is wrong, and in which file of the repository.
    """
    invalid = partial(_invalid, model_id, version)
    path = folder / MODEL_FILE
    try:
        declared = manifest.read(folder / MANIFEST_FILE)
        header = onnx_file.read(path)
        digest = digest_of(path)
        size = path.stat().st_size
    except manifest.ManifestError as error:
        raise invalid(MANIFEST_FILE, f"{MANIFEST_FILE}: {error}", error.violations) from error
    except onnx_file.OnnxFileError as error:
        raise invalid(MODEL_FILE, f"{MODEL_FILE} cannot be used: {error}") from error
    except OSError as error:
        raise invalid("", f"its files cannot be read ({type(error).__name__})") from error
    if declared.checksum and declared.checksum != digest:
        text = f"{MODEL_FILE} has SHA-256 {digest}, but {MANIFEST_FILE} wants {declared.checksum}"
        raise invalid(MODEL_FILE, text)
    outside = next((name for name in header.external_locations if not _is_inside(folder, name)), None)
    if outside is not None:
        text = f"{MODEL_FILE} wants weights from {outside!r}, which is not a file in the model's folder"
        raise invalid(MODEL_FILE, text)
    faults = [fault for name, section in declared.inputs.items() for fault in _faults(name, section, header.inputs)]
    if declared.batching.enabled and not all(spec.axes and not spec.axes[0].size for spec in header.inputs):
        faults.append(Violation("batching.enabled", "axis 0 of each input must be dynamic to run requests as a batch"))
    if faults:
        raise invalid(MANIFEST_FILE, f"{MANIFEST_FILE}: {manifest.ManifestError(faults)}", faults)
    return ModelVersion(
        model_id=model_id,
        model_version=version,
        path=path,
        digest=digest,
        file_size_bytes=size,
        declared_size_bytes=declared.declared_size_bytes or size,
        inputs=tuple(_with_section(spec, declared.inputs.get(spec.name)) for spec in header.inputs),
        outputs=header.outputs,
        device=declared.device,
        providers=tuple(declared.providers),
        intra_op_threads=declared.intra_op_threads,
        max_parallel=declared.max_parallel,
        labels=declared.labels,
        metadata=header.metadata,
        batching=Batching(declared.batching.enabled, declared.batching.max_batch_size, declared.batching.max_delay),
    )


def digest_of(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_inside(folder: Path, location: str) -> bool:
    if "\0" in location:
        return False
    target = (folder / location).resolve()
    return target.is_relative_to(folder.resolve()) and target.is_file()


def _faults(name: str, section: manifest.InputSection, inputs: tuple[TensorSpec, ...]) -> list[Violation]:
    """What model.yaml says of an input that the model file contradicts."""
    spec = next((spec for spec in inputs if spec.name == name), None)
    if spec is None:
        return [Violation(f"inputs.{name}", "the model has no such input", nearest(name, (s.name for s in inputs)))]
    faults = []
    axes = spec.axes or ()
    for index in section.axes:
        if not 0 <= index < len(axes):
            faults.append(Violation(f"inputs.{name}.axes.{index}", f"the input has {len(axes)} axes"))
        elif axes[index].size:
            faults.append(Violation(f"inputs.{name}.axes.{index}", f"this axis is always {axes[index].size}"))
    is_image = len(axes) == 4 and axes[1].size in (0, 3) and spec.data_type == DataType.DATA_TYPE_FLOAT32
    if section.normalization and not is_image:
        faults.append(Violation(f"inputs.{name}.normalization", "the input is not FLOAT32 [n, 3, height, width]"))
    return faults


def _with_section(spec: TensorSpec, section: manifest.InputSection | None) -> TensorSpec:
    if section is None:
        return spec
    axes = spec.axes and tuple(_axis(axis, section.axes.get(index)) for index, axis in enumerate(spec.axes))
    normalization = Normalization(**section.normalization.model_dump()) if section.normalization else None
    return replace(spec, axes=axes, normalization=normalization, allow_nan=section.allow_nan)


def _axis(axis: Axis, limits: manifest.AxisLimits | None) -> Axis:
    return replace(axis, **limits.model_dump()) if limits else axis


def _invalid(
    model_id: str, version: str, file: str, what: str, violations: list[Violation] | None = None
) -> CoordinatorError:
    path = f"{model_id}/{version}/{file}".rstrip("/")
    return CoordinatorError(
        Code.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_MODEL_INVALID,
        f"model {model_id!r} version {version!r}: {what}",
        metadata={"model_id": model_id, "model_version": version, "repository_path": path},
        violations=violations or (),
    )
