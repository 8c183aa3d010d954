"""model.yaml: what the repository cannot read from the model file itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from processing_service.wire.errors import Violation, nearest

MAX_BYTES = 64 * 1024
"""Largest model.yaml, in bytes."""

# YAML has lists where these have tuples, so they are the only ones that are not strict.
Triple = Annotated[tuple[float, float, float], Field(strict=False)]
Divisor = Annotated[float, Field(gt=0)]
Divisors = Annotated[tuple[Divisor, Divisor, Divisor], Field(strict=False)]


class ManifestError(ValueError):
    """model.yaml cannot be used; `violations` say where and why."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(map(_sentence, violations)))
        self.violations = violations


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class AxisLimits(_Section):
    """Which sizes a dynamic axis takes."""

    min_size: int = Field(default=1, ge=0)
    """Smallest size, in elements."""

    max_size: int = Field(default=0, ge=0)
    """Largest size, in elements; 0 = no limit but memory."""

    multiple_of: int = Field(default=1, ge=1)
    """The size must be a multiple of this, in elements."""


class NormalizationSection(_Section):
    """How UINT8 images in RGB become the input: (value * scale - mean) / std, by channel of the model's order."""

    channel_order: Literal["RGB", "BGR"] = "RGB"
    """Order of the channels that the model takes."""

    scale: float = 1 / 255
    """What a value from 0 to 255 is multiplied with first."""

    mean: Triple = (0.0, 0.0, 0.0)
    """Subtracted."""

    std: Divisors = (1.0, 1.0, 1.0)
    """Divides."""


class InputSection(_Section):
    """What one input takes."""

    axes: dict[int, AxisLimits] = {}
    """Limits of dynamic axes, by their index from 0."""

    normalization: NormalizationSection | None = None
    """Set where the input is made from UINT8 images."""

    allow_nan: bool = False
    """True where NaN is a value for the model."""


class BatchingSection(_Section):
    """Whether requests that wait together run as one batch along axis 0."""

    enabled: bool = False
    max_batch_size: int = Field(default=8, ge=2, le=1024)
    """Most rows of a batch."""

    max_delay: float = Field(default=0.0, ge=0, le=1)
    """Seconds that a request waits for others before it asks for a worker."""


class Manifest(_Section):
    """The keys of model.yaml; each may be left out."""

    declared_size_bytes: int = Field(default=0, ge=0)
    """Memory that the model takes, in bytes; 0 = the size of its file."""

    device: str = "cpu"
    providers: list[str] = []
    """Execution providers, best first; empty = the runtime's own choice for the device."""

    intra_op_threads: int = Field(default=0, ge=0, le=1024)
    """Threads of one run; 0 = as the Inference service is set."""

    max_parallel: int = Field(default=0, ge=0)
    """Runs of this model at the same time; 0 = as many as the Inference service has workers."""

    labels: dict[str, str] = {}
    checksum: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    """SHA-256 that the model file must have, 64 lower-case hexadecimal digits."""

    inputs: dict[str, InputSection] = {}
    """By name in the model file."""

    batching: BatchingSection = BatchingSection()


_SECTIONS = (Manifest, InputSection, AxisLimits, NormalizationSection, BatchingSection)
_KEYS = {key for section in _SECTIONS for key in section.model_fields}


def read(path: Path) -> Manifest:
    """The manifest in this file; the defaults if there is no such file.

    Raises:
        ManifestError: it is no YAML, too large, or has a key or a value that does not fit.
    """
    if not path.exists():
        return Manifest()
    if path.stat().st_size > MAX_BYTES:
        raise ManifestError([Violation("", f"it is larger than {MAX_BYTES} bytes")])
    return parse(path.read_bytes())


def parse(text: str | bytes) -> Manifest:
    """The manifest in this YAML text.

    Raises:
        ManifestError: it is no YAML, or has a key or a value that does not fit.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ManifestError([Violation("", f"{where}{error.problem or 'not YAML'}")]) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ManifestError([Violation("", "it is not YAML text in UTF-8")]) from error
    try:
        return Manifest.model_validate({} if content is None else content)
    except ValidationError as error:
        raise ManifestError([_violation(fault) for fault in error.errors()]) from error


def _violation(fault: Any) -> Violation:
    path = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        key = str(fault["loc"][-1])
        return Violation(path, "there is no such key", nearest(key, _KEYS - {key}))
    return Violation(path, str(fault["msg"]))


def _sentence(violation: Violation) -> str:
    advice = f"; did you mean {violation.suggestion!r}?" if violation.suggestion else ""
    return f"{violation.field_path}: {violation.description}{advice}".removeprefix(": ")
