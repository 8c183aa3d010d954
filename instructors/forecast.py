"""What a session will take: time along its longest path, loads and memory of its models. Pure."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from processing_service.engine.records import Plan


class ModelSize(NamedTuple):
    """A model and the memory that it takes."""

    model_id: str
    model_version: str
    device: str
    size_bytes: int


class Loads(NamedTuple):
    """What a sequence of uses makes a device do."""

    loaded: tuple[tuple[ModelSize, ...], ...]
    """By use, the models that it has to wait for."""
    peak_bytes: Mapping[str, int]
    """Largest memory of the models in question at one time, by device."""


def order_of(plan: Plan) -> list[int]:
    """The steps in an order in which they could run one by one: what is written first goes first, if it may."""
    ended: set[int] = set()
    order: list[int] = []
    while len(order) < len(plan.steps):
        following = next(i for i, step in enumerate(plan.steps) if i not in ended and ended.issuperset(step.needs))
        ended.add(following)
        order.append(following)
    return order


def longest_path(plan: Plan, seconds: Sequence[float]) -> float:
    """When the last step ends that waits for nothing but the steps before it, in seconds.

    Args:
        seconds: what each step takes.
    """
    ends = [0.0] * len(plan.steps)
    for index in order_of(plan):
        ends[index] = seconds[index] + max((ends[needed] for needed in plan.steps[index].needs), default=0.0)
    return max(ends, default=0.0)


def loads_of(uses: Iterable[Sequence[ModelSize]], resident: Iterable[ModelSize], budgets: Mapping[str, int]) -> Loads:
    """The loads that these uses need, one after another, and the memory that they take.

    Each device gives up the model that was used least recently while there is no room for the next one, as the
    Inference service does. A model that is larger than its device's budget counts as loaded all the same.

    Args:
        uses: models that each step needs, in the order of the steps.
        resident: what is in memory now, least recently used first.
        budgets: bytes by device; a device that is not there has no bound.
    """
    memory: defaultdict[str, OrderedDict[tuple[str, str], int]] = defaultdict(OrderedDict)
    for model in resident:
        memory[model.device][model[:2]] = model.size_bytes
    ours: set[tuple[str, str]] = set()
    peaks: dict[str, int] = {}
    loaded: list[tuple[ModelSize, ...]] = []
    for models in uses:
        loaded.append(tuple(model for model in models if _touch(memory[model.device], model, budgets)))
        ours.update(model[:2] for model in models)
        for device in {model.device for model in models}:
            taken = sum(size for key, size in memory[device].items() if key in ours)
            peaks[device] = max(peaks.get(device, 0), taken)
    return Loads(tuple(loaded), peaks)


def _touch(held: OrderedDict[tuple[str, str], int], model: ModelSize, budgets: Mapping[str, int]) -> bool:
    """Brings a model into memory; False if it was there."""
    key = model[:2]
    if key in held:
        held.move_to_end(key)
        return False
    budget = budgets.get(model.device)
    while budget is not None and held and sum(held.values()) + model.size_bytes > budget:
        held.popitem(last=False)
    held[key] = model.size_bytes
    return True
