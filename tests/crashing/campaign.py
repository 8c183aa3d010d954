"""One campaign: clients at work while their server is killed at a point, again and again, and what is left is held to
the promises."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.crashing.action import Action
from tests.crashing.actions import load
from tests.crashing.client import BrokenPromiseError, Client
from tests.crashing.evidence import gather
from tests.crashing.points import BY_HARNESS, POINTS
from tests.crashing.servers import Server
from tests.crashing.site import Site
from tests.crashing.workflows import SHAPES

KILLS: Final = 3
"""Kills of one campaign: no call may be out at more than five."""
PATIENCE_S: Final = 60.0
"""How long all may take to end after the last kill, in seconds."""


@dataclass(slots=True)
class Report:
    """What came of a campaign, or of several."""

    campaigns: int = 0
    sessions: int = 0
    executions: int = 0
    batches: int = 0
    cells: int = 0
    broken: int = 0
    """Calls of clients that broke and were made again."""
    cuts: int = 0
    """Watch streams that broke or were cut, and went on."""
    kills: int = 0
    void: int = 0
    """Servers that were to die at the point and did not come by it; they were killed all the same."""
    faults: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Adds another."""
        for name in (
            "campaigns",
            "sessions",
            "executions",
            "batches",
            "cells",
            "broken",
            "cuts",
            "kills",
            "void",
            "faults",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        return (
            f"{self.kills} kills ({self.void} beside the point), {self.sessions} sessions, "
            f"{self.cells} cells of {self.batches} batches, {self.executions} executions, "
            f"{self.broken} broken calls, {self.cuts} cut watches, "
            f"{len(self.faults)} violations"
        )


class Campaign:
    """Kills at one point.

    Args:
        point: its name.
        seed: makes the load, and on which pass the server dies.
        fault: what is broken in the server on purpose; empty for nothing.
        patience: how long all may take to end after the last kill, in seconds.
    """

    def __init__(
        self, site: Site, point: str, seed: int, *, kills: int = KILLS, fault: str = "", patience: float = PATIENCE_S
    ) -> None:
        self._site, self._name, self._point = site, point, POINTS[point]
        self._kills, self._fault, self._patience = kills, fault, patience
        self._seed = seed
        self._random = Random(f"{point} {seed}")
        self._prefix = f"{point}-{next(site.numbers)}"
        self._logged = site.log.stat().st_size
        self._folder = site.new_folder(self._prefix)
        self._actions: list[Action] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._answers = 0
        self._answered = asyncio.Event()
        self.report = Report(campaigns=1)

    async def run(self) -> Report:
        """Makes it."""
        client = Client(self._site.address(self._folder), self._cut_after, self._on_start)
        try:
            await self._kill_all(client)
            self._start()
            await self._until_over()
            await self._judge(client)
        finally:
            await self._site.nursery.kill()
            await client.close()
        self.report.faults = [f"{self._name} --seed {self._seed}: {fault}" for fault in self.report.faults]
        return self.report

    async def _kill_all(self, client: Client) -> None:
        stored = asyncio.ensure_future(_put_all(client))
        self._tasks.append(stored)
        if self._point.at_start:
            self._begin(client, stored)
            await self._kill_from_outside()
        for _ in range(self._kills):
            if not self._point.at_start:
                self._begin(client, stored)
            if self._name == BY_HARNESS:
                await self._kill_from_outside()
            else:
                await self._until_dead(self._start(passes=self._random.randint(1, self._point.most)))

    def _start(self, passes: int = 0) -> Server:
        """Starts the server, to die on that pass of the point, if any."""
        arguments, point = self._site.arguments(self._folder), self._name if passes else ""
        return self._site.nursery.start(arguments, point=point, passes=passes, fault=self._fault)

    def _begin(self, client: Client, stored: asyncio.Future[None]) -> None:
        """More clients."""

        async def act(action: Action) -> None:
            await stored
            await action.act(client)

        actions = load(f"{self._prefix}-{len(self._actions)}", self._random, batches=self._point.batches)
        self._actions += actions
        self._tasks += [asyncio.create_task(act(action), name=action.name) for action in actions]

    async def _kill_from_outside(self) -> None:
        """Kills when so many starts were answered."""
        self._answers = self._random.randint(1, 10)
        self._answered.clear()
        server = self._start()
        await self._first_of(asyncio.ensure_future(self._answered.wait()))
        await self._until_dead(server, at_once=True)

    def _cut_after(self) -> int:
        return self._random.choice((2, 3, 5, 99, 99, 99))

    def _on_start(self) -> None:
        self._answers -= 1
        if not self._answers:
            self._answered.set()

    async def _until_dead(self, server: Server, *, at_once: bool = False) -> None:
        """Waits for the end of a server, and makes it once the clients have nothing more to ask."""
        if not at_once:
            await self._first_of(server.ended)
            self.report.void += not server.ended.done()
        await server.kill()
        self.report.kills += 1
        if server.ended.result() != -9:
            self.report.faults.append(f"the server of {self._prefix} ended with {server.ended.result()}")

    async def _first_of(self, awaited: asyncio.Future[Any]) -> None:
        """Waits for that, or until the clients have nothing more to ask."""
        done = asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.wait([awaited, done], timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)

    async def _until_over(self) -> None:
        _, late = await asyncio.wait(self._tasks, timeout=self._patience)
        for task in self._tasks:
            if task in late:
                task.cancel()
                self.report.faults.append(f"G1: {task.get_name()} did not come to its end")
            elif error := task.exception():
                shown = error if isinstance(error, BrokenPromiseError) else f"{type(error).__name__} {error}"
                self.report.faults.append(f"{shown} (client {task.get_name()})")

    async def _judge(self, client: Client) -> None:
        evidence = await gather(client, self._site.log, self._logged, self.report.kills)
        self.report.faults += evidence.faults(self._actions)
        self.report.sessions += len(evidence.told)
        self.report.executions += len(evidence.executions)
        self.report.broken += client.broken
        self.report.cuts += client.batch_cuts + sum(told.cuts for told in evidence.told.values())
        self.report.batches += len(evidence.batches)
        self.report.cells += sum(len(found.cells) for found in evidence.batches.values())


async def _put_all(client: Client) -> None:
    for shape in SHAPES.values():
        await client.put(shape.source)
