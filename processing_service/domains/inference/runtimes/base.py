"""What a library that runs models must be able to do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from processing_service.domains.models import ModelVersion
from processing_service.wire.tensors import Array


class Stop:
    """Asks a run to end, from any thread; it ends at the next point where the library looks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._hooks: list[Callable[[], None]] = []

    def is_set(self) -> bool:
        """True once somebody asked."""
        return self._is_set

    def set(self) -> None:
        """Ask; more than once is once."""
        with self._lock:
            self._is_set, hooks, self._hooks = True, self._hooks, []
        for hook in hooks:
            hook()

    def call(self, hook: Callable[[], None]) -> None:
        """Call `hook` when somebody asks; at once if somebody has."""
        with self._lock:
            if not self._is_set:
                self._hooks.append(hook)
                return
        hook()


class Stopped(Exception):
    """The run ended because it was asked to; it has no result."""


class LoadedModel(Protocol):
    """A model in memory; several threads may run it at once."""

    def run(self, inputs: Mapping[str, Array], output_names: Sequence[str], stop: Stop) -> list[Array]:
        """The outputs of that name, in that order.

        Args:
            inputs: checked arrays in native byte order, by name.
            output_names: outputs wanted, by name.
            stop: ends the run early.

        Raises:
            Stopped: `stop` was set.
            CoordinatorError: MODEL_RUN_FAILED or MODEL_OUT_OF_MEMORY.
        """
        ...

    def close(self) -> None:
        """Give the memory back; nobody may be running it."""
        ...


class Runtime(Protocol):
    """A library that runs models."""

    @property
    def name(self) -> str:
        """Name and version, such as `onnxruntime 1.32.0`."""
        ...

    @property
    def providers(self) -> Sequence[str]:
        """Execution providers that can be used here."""
        ...

    def load(self, model: ModelVersion) -> LoadedModel:
        """Read the model's file into memory.

        Raises:
            CoordinatorError: MODEL_INVALID or MODEL_OUT_OF_MEMORY.
        """
        ...
