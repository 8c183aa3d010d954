"""Residency keeps the budget, never evicts what is held, and nobody waits for ever."""

import asyncio
import threading
from pathlib import Path

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.domains.inference.residency import Residency
from processing_service.domains.models import ModelVersion
from processing_service.wire.errors import Code, CoordinatorError

MEBIBYTE = 1 << 20


class Loaded:
    """A model that takes no memory of its own."""

    def __init__(self):
        self.is_closed = False

    def run(self, inputs, output_names, stop):
        return []

    def close(self):
        self.is_closed = True


class Runtime:
    """Loads when the test lets it, and writes down what it did."""

    name, providers = "fake 1", ("cpu",)

    def __init__(self):
        self.loads = []
        self.faults = set()
        self.gate = threading.Event()
        self.gate.set()

    def load(self, model):
        self.gate.wait()
        self.loads.append(model.model_id)
        if model.model_id in self.faults:
            raise CoordinatorError(Code.FAILED_PRECONDITION, ErrorReason.ERROR_REASON_MODEL_INVALID, "broken")
        return Loaded()


def model(model_id, mebibytes=40, version="1"):
    return ModelVersion(model_id, version, Path(model_id), "", 0, mebibytes * MEBIBYTE)


@pytest.fixture
def runtime():
    return Runtime()


@pytest.fixture
async def residency(runtime):
    residency = Residency(runtime, {"cpu": 100 * MEBIBYTE}, patience=0.0)
    yield residency
    await residency.close()


async def use(residency, model_id, mebibytes=40):
    async with residency.hold(model(model_id, mebibytes), "call") as resident:
        residency.ran(resident)


def names(residency):
    return [resident.model.model_id for resident in residency.residents()]


async def turn():
    """Let everything go on that waits for no thread and no other task."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_order_of_use_decides_what_goes(residency, runtime):
    """With room for two, the one that was used longest ago is evicted, whatever the order of loads."""
    for model_id in ("a", "b", "a", "c", "a", "b"):
        await use(residency, model_id)

    assert runtime.loads == ["a", "b", "c", "b"]
    assert names(residency) == ["a", "b"]
    assert residency.budgets()["cpu"].eviction_count == 2


async def test_a_held_model_is_never_evicted(residency):
    """A load that finds no room waits until a lease ends; the held model runs undisturbed until then."""
    async with residency.hold(model("a", 60), "s-1/read") as held:
        waiting = asyncio.create_task(use(residency, "b", 60))
        await turn()
        assert not waiting.done()
        assert held.loaded is not None
    await waiting

    assert names(residency) == ["b"]


async def test_a_load_that_waits_is_not_starved(residency):
    """Calls of a busy model line up behind a load that has waited long enough, so its leases run out."""
    stop, overlaps = asyncio.Event(), []

    async def busy():
        while not stop.is_set():
            async with residency.hold(model("a", 60), "busy"):
                overlaps.append(1)
                await asyncio.sleep(0)

    callers = [asyncio.create_task(busy()) for _ in range(3)]
    await turn()
    async with asyncio.timeout(5):
        await use(residency, "b", 60)
    stop.set()
    await asyncio.gather(*callers)

    assert overlaps


async def test_concurrent_holds_are_one_load(residency, runtime):
    """Everybody who wants a model while it loads holds it when that load ends."""
    runtime.gate.clear()
    calls = [asyncio.create_task(use(residency, "a")) for _ in range(5)]
    await turn()
    runtime.gate.set()
    await asyncio.gather(*calls)

    assert runtime.loads == ["a"]


async def test_a_load_that_fails_fails_for_all_and_can_be_tried_again(residency, runtime):
    """Nothing of a failed load stays: the next call tries anew."""
    runtime.faults.add("a")
    results = await asyncio.gather(*(use(residency, "a") for _ in range(3)), return_exceptions=True)
    runtime.faults.clear()
    await use(residency, "a")

    assert [type(result) for result in results] == [CoordinatorError] * 3
    assert runtime.loads == ["a", "a"]


async def test_a_caller_that_leaves_does_not_stop_a_load_of_others(residency, runtime):
    """Cancelling one of two that wait for a load leaves the other its model."""
    runtime.gate.clear()
    first, second = (asyncio.create_task(use(residency, "a")) for _ in range(2))
    await turn()
    first.cancel()
    runtime.gate.set()
    await second

    assert names(residency) == ["a"]
    assert residency.residents()[0].holders == []


async def test_what_is_larger_than_the_budget_is_refused(residency, runtime):
    """A model that can never fit is MODEL_BUDGET_EXCEEDED with both numbers, and nothing is evicted for it."""
    await use(residency, "a")
    with pytest.raises(CoordinatorError) as caught:
        await use(residency, "b", 101)

    assert caught.value.reason == ErrorReason.ERROR_REASON_MODEL_BUDGET_EXCEEDED
    assert caught.value.metadata["needed_bytes"] == str(101 * MEBIBYTE)
    assert names(residency) == ["a"]


async def test_a_model_that_grows_pushes_out_what_does_not_fit_beside_it(residency):
    """When a run shows a model to be larger than it was known, others go until the budget holds again."""
    await use(residency, "a")
    async with residency.hold(model("b"), "call") as grown:
        grown.size.grown_bytes = 90 * MEBIBYTE
        residency.ran(grown)
    async with asyncio.timeout(5):
        while names(residency) != ["b"]:  # noqa: ASYNC110  # eviction goes on behind the call and has no event
            await asyncio.sleep(0.001)
    await use(residency, "a")
    assert names(residency) == ["a"]


async def test_a_model_that_takes_more_than_the_budget_runs_alone(residency):
    """What runs took before does not lock a model out: it loads when all others are gone."""
    async with residency.hold(model("b"), "call") as grown:
        grown.size.grown_bytes = 200 * MEBIBYTE
    await residency.unload("b", "", drain=False)
    await use(residency, "a")
    await use(residency, "b")

    assert names(residency) == ["b"]


async def test_unloading_all_versions_is_all_or_nothing(residency):
    """With one version held, none is unloaded; with drain all go, and new calls wait behind and load anew."""
    one, two = model("a", 40, "1"), model("a", 40, "2")
    async with residency.hold(one, "s-1/x"):
        await residency.load(two)
        with pytest.raises(CoordinatorError, match="s-1/x"):
            await residency.unload("a", "", drain=False)
        assert len(residency.residents()) == 2
        draining = asyncio.create_task(residency.unload("a", "", drain=True))
        await turn()
        behind = asyncio.create_task(residency.load(one))
        await turn()
        assert not draining.done()
    versions, _ = await draining
    _, loaded = await behind

    assert sorted(versions) == ["1", "2"]
    assert loaded


async def test_what_is_not_there_is_unloaded_already(residency):
    """Unloading a model that is not resident does nothing."""
    assert await residency.unload("a", "", drain=False) == ([], 0)


async def test_unloading_waits_for_a_load_that_goes_on(residency, runtime):
    """A drain that comes while the model loads ends with the model gone."""
    runtime.gate.clear()
    loading = asyncio.create_task(residency.load(model("a")))
    await turn()
    draining = asyncio.create_task(residency.unload("a", "", drain=True))
    await turn()
    runtime.gate.set()
    await loading
    await draining

    assert names(residency) == []


async def test_a_device_that_is_not_there_is_refused(residency):
    """A model for another device is MODEL_INVALID and names the devices that there are."""
    elsewhere = ModelVersion("a", "1", Path("a"), "", 0, 0, device="gpu")
    with pytest.raises(CoordinatorError, match="there is cpu"):
        await residency.load(elsewhere)
