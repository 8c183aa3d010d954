"""Which models are in memory: one byte budget a device, leases, shared loads, eviction of what nobody holds.

All state is touched on the event loop alone; loading and closing run in one thread, so that the memory that each takes
can be told apart. A model that must go while calls hold it is *leaving*: new calls wait behind it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from processing_service.domains.inference.measurement import Key, Meter
from processing_service.domains.inference.memory import give_back, resident_bytes
from processing_service.domains.inference.residents import (
    Budget,
    Resident,
    in_use,
    key_of,
    matches,
    no_device,
    too_large,
)
from processing_service.domains.inference.runtimes.base import LoadedModel, Runtime
from processing_service.domains.models import ModelVersion
from processing_service.wire.telemetry.hooks import ModelLoaded, ModelUnloaded, Telemetry

T = TypeVar("T")


class Residency:
    """Keeps models in memory within a budget for each device.

    Args:
        runtime: loads them.
        budgets: bytes by device.
        patience: seconds that a load waits for room before calls of the least recently used model wait behind it.
        telemetry: told of loads and unloads.
    """

    def __init__(
        self,
        runtime: Runtime,
        budgets: Mapping[str, int],
        patience: float = 1.0,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._runtime = runtime
        self._telemetry = telemetry or Telemetry()
        self._budgets = {device: Budget(size) for device, size in budgets.items()}
        self._patience = patience
        self._residents: dict[Key, Resident] = {}
        self._loads: dict[Key, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "model-loader")
        self._trims: set[asyncio.Task[None]] = set()
        self._uses = 0
        self.meter = Meter()

    @asynccontextmanager
    async def hold(self, model: ModelVersion, holder: str) -> AsyncIterator[Resident]:
        """The model, in memory and held: it is not evicted or unloaded before the block ends.

        Raises:
            CoordinatorError: MODEL_INVALID, MODEL_OUT_OF_MEMORY or MODEL_BUDGET_EXCEEDED.
        """
        resident = await self._enter(model, holder)
        try:
            await self._ready(resident)
            yield resident
        finally:
            resident.holders.remove(holder)
            self._notify()

    async def load(self, model: ModelVersion) -> tuple[Resident, bool]:
        """The model in memory, and whether this call put it there.

        Raises:
            CoordinatorError: MODEL_INVALID, MODEL_OUT_OF_MEMORY or MODEL_BUDGET_EXCEEDED.
        """
        known = self._residents.get(key_of(model))
        async with self.hold(model, "load") as resident:
            return resident, resident is not known

    async def unload(self, model_id: str, model_version: str, drain: bool) -> tuple[list[str], int]:
        """Unload that version, or all of the model if empty; returns the versions and the bytes that came back.

        Args:
            model_id: name of the model.
            model_version: empty = all that are resident.
            drain: wait until no call holds them; new calls wait behind.

        Raises:
            CoordinatorError: MODEL_IN_USE with the holders, without `drain`; then nothing is unloaded.
        """
        found = [each for each in self._residents.values() if matches(each.model, model_id, model_version)]
        held = [each for each in found if each.holders]
        if held and not drain:
            raise in_use(held)
        freed = 0
        for resident in found:
            freed += await self._leave(resident)
        return [resident.model.model_version for resident in found], freed

    def ran(self, resident: Resident) -> None:
        """Count a run, and evict what no longer fits beside the model if it turned out larger than it was known."""
        resident.used_at = time.time()
        resident.run_count += 1
        self._touch(resident)
        device = resident.model.device
        if self.used_bytes(device) > self._budgets[device].budget_bytes:
            task = asyncio.create_task(self._trim(device))
            self._trims.add(task)
            task.add_done_callback(self._trims.discard)

    def residents(self) -> list[Resident]:
        """What is in memory, least recently used first."""
        return sorted((each for each in self._residents.values() if each.loaded), key=lambda each: each.use)

    def budgets(self) -> Mapping[str, Budget]:
        """The budgets, by device."""
        return self._budgets

    def used_bytes(self, device: str) -> int:
        """Memory that the resident models of the device count for."""
        return sum(each.size_bytes for each in self._on(device))

    async def close(self) -> None:
        """Unload everything; no call may hold a model."""
        await asyncio.gather(*self._loads.values(), *self._trims, return_exceptions=True)
        for resident in self.residents():
            await self._drop(resident)
        self._thread.shutdown()

    async def _enter(self, model: ModelVersion, holder: str) -> Resident:
        while True:
            resident = self._residents.get(key_of(model))
            if resident is None:
                resident = self._begin(model)
            if not resident.leaving:
                resident.holders.append(holder)
                return resident
            await self._change()

    def _begin(self, model: ModelVersion) -> Resident:
        budget = self._budgets.get(model.device)
        if budget is None:
            raise no_device(model, self._budgets)
        resident = Resident(model, self.meter.size(key_of(model)))
        certain = max(model.declared_size_bytes, resident.size.loaded_bytes)
        if certain > budget.budget_bytes:
            raise too_large(model, certain, budget.budget_bytes)
        self._residents[key_of(model)] = resident
        load = self._loads[key_of(model)] = asyncio.create_task(self._load(resident))
        # Whoever waited for it may be gone when it fails.
        load.add_done_callback(lambda done: done.cancelled() or done.exception())
        return resident

    async def _ready(self, resident: Resident) -> None:
        load = self._loads.get(key_of(resident.model))
        if load is not None:
            await asyncio.shield(load)

    async def _load(self, resident: Resident) -> None:
        key = key_of(resident.model)
        budget = self._budgets[resident.model.device]
        try:
            async with self._turn:
                await self._make_room(resident)
                with self.meter.loading(resident.size, resident.model.file_size_bytes):
                    started = time.perf_counter()
                    resident.loaded = await self._in_thread(lambda: self._runtime.load(resident.model))
                    resident.load_seconds = time.perf_counter() - started
            resident.loaded_at = time.time()
            budget.load_count += 1
            self._touch(resident)
            self._tell_loaded(resident)
        except BaseException:
            del self._residents[key]
            raise
        finally:
            del self._loads[key]
            self._notify()

    def _tell_loaded(self, resident: Resident) -> None:
        model = resident.model
        self._telemetry.emit(
            ModelLoaded(
                model.model_id,
                model.model_version,
                resident.load_seconds,
                resident.size_bytes,
                self.used_bytes(model.device),
                len(self.residents()),
            )
        )

    async def _make_room(self, resident: Resident) -> None:
        """Evict until the model fits. One that has run and then took more than the whole budget may load alone."""
        device = resident.model.device
        budget = self._budgets[device]
        need = min(resident.size_bytes, budget.budget_bytes)
        waits_since = time.monotonic()
        while self.used_bytes(device) + need > budget.budget_bytes:
            if await self._evict(device):
                continue
            if time.monotonic() - waits_since < self._patience:
                await self._change(self._patience)
            else:
                await self._ask(self._on(device)[0])

    async def _evict(self, device: str, spare: int = 0) -> bool:
        """Drop the least recently used model that nobody holds, never the `spare` last used; False if there is none."""
        candidates = self._on(device)
        victim = next((each for each in candidates[: len(candidates) - spare] if not each.holders), None)
        if victim is None:
            return False
        self._budgets[device].eviction_count += 1
        await self._drop(victim, evicted=True)
        return True

    async def _ask(self, resident: Resident) -> None:
        """Let new calls of a model wait until holders or residents change."""
        resident.leaving += 1
        await self._change()
        resident.leaving -= 1
        self._notify()

    async def _trim(self, device: str) -> None:
        """Evict what no longer fits beside a model that has just grown."""
        async with self._turn:
            while self.used_bytes(device) > self._budgets[device].budget_bytes:
                if not await self._evict(device, spare=1):
                    return

    async def _leave(self, resident: Resident) -> int:
        """Wait until nobody holds it, then drop it; returns the bytes that came back."""
        resident.leaving += 1
        try:
            while resident.holders or key_of(resident.model) in self._loads:
                await self._change()
            return await self._drop(resident)
        finally:
            resident.leaving -= 1
            self._notify()

    async def _drop(self, resident: Resident, *, evicted: bool = False) -> int:
        key = key_of(resident.model)
        if self._residents.get(key) is not resident or resident.loaded is None:
            return 0
        del self._residents[key]
        loaded, resident.loaded = resident.loaded, None
        with self.meter.disturbed():
            freed = await asyncio.shield(self._in_thread(lambda: _close(loaded)))
        model, resident_bytes = resident.model, self.used_bytes(resident.model.device)
        self._telemetry.emit(
            ModelUnloaded(model.model_id, model.model_version, evicted, resident_bytes, len(self.residents()))
        )
        self._notify()
        return freed

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _on(self, device: str) -> list[Resident]:
        return [each for each in self.residents() if each.model.device == device]

    def _touch(self, resident: Resident) -> None:
        self._uses += 1
        resident.use = self._uses

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _change(self, seconds: float | None = None) -> None:
        """Wait until holders or residents change."""
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return


def _close(loaded: LoadedModel) -> int:
    before = resident_bytes()
    loaded.close()
    give_back()
    return max(0, before - resident_bytes())
