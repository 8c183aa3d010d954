"""Checks of a definition that need no operation: names, limits, the order of steps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from coordinator.processing.v1.processing_pb2 import RetryPolicy, Workflow, WorkflowStep
from google.protobuf.duration_pb2 import Duration

from processing_service.engine.definitions.faults import Faults
from processing_service.wire.errors import nearest
from processing_service.wire.naming import NAME, fold, rotate, words

MAX_STEPS: Final = 200
MAX_NAMED: Final = 200
"""Most parameters, and most outputs."""
MAX_BINDINGS: Final = 2000
MAX_MESSAGE_BYTES: Final = 2 << 20
"""Longest serialised definition, in bytes."""
MAX_LABELS: Final = 32
MAX_PARALLEL: Final = 64
MAX_ATTEMPTS: Final = 100
MAX_MULTIPLIER: Final = 100.0
MAX_NAME: Final = 64
"""Longest name of a step, parameter or output, in characters."""
MAX_TIMEOUT_US: Final = 30 * 24 * 3600 * 1_000_000
"""Longest duration of a definition, in microseconds."""

_NANOS: Final = 1_000_000_000
"""Of a second; a duration has fewer beside its seconds."""
_MAX_WORKFLOW_ID: Final = 128
_WORKFLOW_ID: Final = re.compile(r"[a-z]+[0-9]*(-[a-z]+[0-9]*)*")
_CEL_WORDS: Final = frozenset({"in", "true", "false", "null"})


def check_bounds(workflow: Workflow, faults: Faults) -> bool:
    """False if there is more of it than should be looked at one by one."""
    faulty = False
    for name, limit in (
        ("steps", MAX_STEPS),
        ("parameters", MAX_NAMED),
        ("outputs", MAX_NAMED),
        ("labels", MAX_LABELS),
    ):
        count = len(getattr(workflow, name))
        if count > limit:
            faults.add(name, f"{count} {name}, at most {limit} are taken; make a workflow of some of them")
            faulty = True
    if workflow.ByteSize() > MAX_MESSAGE_BYTES:
        faults.add("workflow", f"longer than {MAX_MESSAGE_BYTES} bytes")
        return False
    if workflow.SerializeToString().count(b"${") > MAX_BINDINGS:
        faults.add("workflow", f"has more than {MAX_BINDINGS} bindings")
        return False
    return not faulty


def check_shape(workflow: Workflow, faults: Faults) -> None:
    """Names, durations and limits."""
    _check_workflow_id(workflow.workflow_id, faults)
    _check_names("parameters", workflow.parameters, faults)
    _check_names("outputs", workflow.outputs, faults)
    if workflow.HasField("timeout"):
        _check_duration("timeout", workflow.timeout, faults)
    if not workflow.steps:
        faults.add("steps", "there must be at least one step")
    first: dict[str, int] = {}
    for index, step in enumerate(workflow.steps):
        path = f"steps[{index}]"
        _check_step(path, step, faults)
        key = fold(step.step_id)
        if step.step_id and first.setdefault(key, index) != index:
            other = workflow.steps[first[key]].step_id
            same = "is the name of another step too" if other == step.step_id else f"is too much like {other!r}"
            faults.add(f"{path}.step_id", f"{step.step_id!r} {same}, steps[{first[key]}]")


def check_order(step_ids: Sequence[str], needs: Mapping[str, Iterable[str]], faults: Faults) -> None:
    """Names a cycle, if steps wait for each other."""
    cycle = find_cycle(step_ids, needs)
    if cycle:
        path = f"steps[{step_ids.index(cycle[0])}]"
        if len(cycle) == 1:
            faults.add(path, f"step {cycle[0]!r} waits for itself")
        else:
            faults.add(
                path, f"steps wait for each other: {' -> '.join([*cycle, cycle[0]])}; remove one of these bindings"
            )


def find_cycle(step_ids: Sequence[str], needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Steps of which each needs the next and the last the first; empty if there is no such cycle."""
    left = {step_id: {need for need in needs.get(step_id, ()) if need in needs} for step_id in step_ids}
    while free := [step_id for step_id, wanted in left.items() if not wanted]:
        for step_id in free:
            del left[step_id]
        for wanted in left.values():
            wanted.difference_update(free)
    if not left:
        return []
    # Every step that is left needs one that is left, so going on from need to need comes back.
    trail: dict[str, None] = {}
    current = next(iter(left))
    while current not in trail:
        trail[current] = None
        current = min(left[current])
    walked = list(trail)
    return walked[walked.index(current) :]


def _check_workflow_id(workflow_id: str, faults: Faults) -> None:
    if not workflow_id:
        faults.add("workflow_id", "is required")
    elif not _WORKFLOW_ID.fullmatch(workflow_id) or len(workflow_id) > _MAX_WORKFLOW_ID:
        spelled = "-".join(words(workflow_id.replace("-", "_")))
        text = "must be lower-case words, digits only at their ends, joined by '-', at most 128 characters"
        faults.add("workflow_id", text, spelled if _WORKFLOW_ID.fullmatch(spelled) else "")


def _check_names(section: str, names: Iterable[str], faults: Faults) -> None:
    first: dict[str, str] = {}
    for name in sorted(names):
        _check_name(f"{section}.{name[:MAX_NAME]}", name, faults)
        if first.setdefault(fold(name), name) != name:
            faults.add(f"{section}.{name}", f"differs from {first[fold(name)]!r} by no more than case and '_'")


def _check_name(path: str, name: str, faults: Faults) -> None:
    if not name:
        faults.add(path, "is required")
    elif name in _CEL_WORDS:
        faults.add(path, f"{name!r} is a word of the expression language", f"{name}_value")
    elif not NAME.fullmatch(name) or len(name) > MAX_NAME:
        spelled = rotate(words(name[:MAX_NAME]))
        text = f"must be lower-case words, digits only at their ends, joined by '_', at most {MAX_NAME} characters"
        faults.add(path, text, spelled if NAME.fullmatch(spelled) and spelled != name else "")


def _check_step(path: str, step: WorkflowStep, faults: Faults) -> None:
    _check_name(f"{path}.step_id", step.step_id, faults)
    for name in ("timeout", "max_queued"):
        if step.HasField(name):
            _check_duration(f"{path}.{name}", getattr(step, name), faults)
    if not 0 <= step.foreach.max_parallel <= MAX_PARALLEL:
        faults.add(f"{path}.foreach.max_parallel", f"must be from 1 to {MAX_PARALLEL}, or 0 for 4")
    if step.HasField("foreach") and not step.foreach.items:
        faults.add(f"{path}.foreach.items", "is required: a binding to a list")
    if step.HasField("retry"):
        _check_retry(f"{path}.retry", step.retry, faults)


def _check_retry(path: str, retry: RetryPolicy, faults: Faults) -> None:
    if not 0 <= retry.max_attempts <= MAX_ATTEMPTS:
        faults.add(f"{path}.max_attempts", f"must be from 1 to {MAX_ATTEMPTS}, or 0 for 3")
    if retry.multiplier and not 1 <= retry.multiplier <= MAX_MULTIPLIER:
        faults.add(f"{path}.multiplier", f"must be from 1 to {MAX_MULTIPLIER:g}, or 0 for 2")
    for name in ("initial_delay", "max_delay"):
        if retry.HasField(name):
            _check_duration(f"{path}.{name}", getattr(retry, name), faults)


def _check_duration(path: str, duration: Duration, faults: Faults) -> None:
    if not 0 < duration.ToMicroseconds() <= MAX_TIMEOUT_US or not 0 <= duration.nanos < _NANOS:
        faults.add(path, f"must be more than 0s and at most {MAX_TIMEOUT_US // 1_000_000}s")


def check_dependencies(workflow: Workflow, faults: Faults) -> None:
    """Every step of `depends_on` exists."""
    known = [step.step_id for step in workflow.steps]
    for index, step in enumerate(workflow.steps):
        for number, name in enumerate(step.depends_on):
            if name not in known and not faults.full:
                faults.add(f"steps[{index}].depends_on[{number}]", f"there is no step {name!r}", nearest(name, known))
