"""The reply of PostWorkflowPlan: an outlook, priced by what is known of times and models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Final

from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from instructors.durations import LOAD, Durations
from instructors.forecast import ModelSize, loads_of, longest_path
from instructors.inventory import Stock
from instructors.needs import ModelName, StepNeeds
from instructors.outlook import Outlook

_SHARE: Final = 0.95
"""A step is expected to take what this share of its last calls took at most."""


class PlanReply:
    """Writes the reply.

    Args:
        stock: what there is of the models that are used.
        durations: what calls took lately.
        warnings: what is known to be said by now.
    """

    def __init__(self, outlook: Outlook, stock: Stock, durations: Durations, warnings: Sequence[str]) -> None:
        self._outlook, self._stock, self._durations = outlook, stock, durations
        self._warnings = list(warnings)
        self._unmeasured: list[str] = []
        uses = [tuple(map(self._size, names)) for names in outlook.uses()]
        self._loads = loads_of(uses, stock.resident, stock.budgets)
        self._used = tuple(dict.fromkeys(model for models in uses for model in models))
        self._loaded: Iterator[tuple[ModelSize, ...]] = iter(self._loads.loaded)

    def _size(self, name: ModelName) -> ModelSize:
        """A model that nothing is known of takes nothing, nowhere."""
        return self._stock.sizes.get(name) or ModelSize(*name, "", 0)

    def write(self, budget: float, *, fails: bool) -> pb.PostWorkflowPlanResponse:
        """The whole.

        Args:
            budget: what the session would have, in seconds.
            fails: whether a step is known to fail.
        """
        seconds = self._seconds(self._outlook)
        plan, needs = self._outlook.definition.plan, self._outlook.needs
        needed = longest_path(plan, [each or 0.0 for each in seconds])
        fits = [self._exists(), self._has_room(), self._is_in_time(needed, budget), not fails]
        self._tell_silence()
        return pb.PostWorkflowPlanResponse(
            steps=[_step(needs[index], seconds[index]) for index in self._outlook.order],
            models=[self._model(model) for model in self._used],
            load_count=sum(map(len, self._loads.loaded)),
            peak_bytes={device: peak for device, peak in self._loads.peak_bytes.items() if device},
            expected_duration=_duration(needed),
            feasible=all(fits),
            warnings=self._warnings,
        )

    def _seconds(self, outlook: Outlook) -> list[float | None]:
        """By step, what it is expected to take; None if that is not known."""
        found: list[float | None] = [None] * len(outlook.needs)
        for index in outlook.order:
            waits = sum(self._load_seconds(model) for model in next(self._loaded))
            child, need = outlook.children.get(index), outlook.needs[index]
            taken = 0.0 if need.idle else self._call_seconds(need)
            if child is not None:
                below = self._path_of(child, measured=taken is not None)
                taken = below if taken is None else taken
            elif taken is None:
                self._unmeasured.append(need.step.step_id)
            if taken is not None:
                plan = outlook.definition.plan.steps[index]
                found[index] = waits + taken * ceil(need.calls / (plan.max_parallel if plan.foreach else 1))
        return found

    def _path_of(self, child: Outlook, *, measured: bool) -> float:
        """What a session of a step takes by its steps; what of these is not known matters if it was never measured."""
        before = len(self._unmeasured)
        seconds = self._seconds(child)
        if measured:
            del self._unmeasured[before:]
        return longest_path(child.definition.plan, [each or 0.0 for each in seconds])

    def _call_seconds(self, need: StepNeeds) -> float | None:
        paces = [self._durations.of(need.step.kind, subject).quantile(_SHARE) for subject in need.subjects]
        return max(paces) if paces and all(paces) else None

    def _load_seconds(self, model: ModelSize) -> float:
        taken = self._durations.of(LOAD, model.model_id).quantile(_SHARE)
        if not taken and model.size_bytes:
            self._unmeasured.append(f"the load of model {model.model_id!r}")
        return taken

    def _model(self, model: ModelSize) -> pb.PlannedModel:
        resident = any(each[:2] == model[:2] for each in self._stock.resident)
        return pb.PlannedModel(
            model_id=model.model_id,
            model_version=model.model_version,
            resident=resident,
            size_bytes=model.size_bytes,
        )

    def _exists(self) -> bool:
        self._warnings += [error.message for error in self._stock.missing.values()]
        return not self._stock.missing

    def _has_room(self) -> bool:
        """False if a model alone is larger than its device allows."""
        budgets = self._stock.budgets
        large = [model for model in self._used if model.size_bytes > budgets.get(model.device, model.size_bytes)]
        for model in large:
            budget = budgets[model.device]
            text = f"takes {model.size_bytes} bytes, and {model.device} has {budget}; raise its budget"
            self._warnings.append(f"model {model.model_id!r} {text}")
        return not large

    def _is_in_time(self, needed: float, budget: float) -> bool:
        if self._unmeasured:
            names = ", ".join(dict.fromkeys(self._unmeasured))
            self._warnings.append(f"not measured yet, and left out of expected_duration: {names}")
        if needed > budget:
            text = f"it takes {needed:.3g} s, as its steps did lately, and its budget is {budget:g} s"
            self._warnings.append(f"{text}; give it a longer timeout")
        return needed <= budget

    def _tell_silence(self) -> None:
        for domain, error in self._stock.silent.items():
            what = "every model counts as a load" if domain == "inference" else "versions and sizes are not known"
            self._warnings.append(f"the {domain} domain could not be asked, so {what}: {error.message}")


def _step(need: StepNeeds, seconds: float | None) -> pb.PlannedStep:
    """One line of the plan. What a rerun would take over is said here, too, as reuse_decision and reason."""
    step = pb.PlannedStep(step_id=need.step.step_id, operation=need.step.operation.name, reason=need.idle)
    if len(need.models) == 1:
        step.model_id = need.models[0].model_id
    if seconds is not None and not need.idle:
        step.expected_duration.CopyFrom(_duration(seconds))
    return step


def _duration(seconds: float) -> Duration:
    made = Duration()
    made.FromMicroseconds(round(seconds * 1e6))
    return made
