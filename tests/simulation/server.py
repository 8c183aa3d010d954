"""One life of the server in a simulation: a real engine on the store in memory, and what its servicers do with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1 import processing_pb2 as pb

from instructors.repeats import Repeats
from processing_service.engine.base import SessionContext, StepCall, StepRunner
from processing_service.engine.events import Command
from processing_service.engine.live import Live
from processing_service.engine.local import LocalEngine
from processing_service.engine.observer import Observer
from processing_service.engine.records import Action, Plan, Record, SessionState
from processing_service.engine.store.base import RequestNote, SessionRow, SessionStart
from processing_service.wire.errors import Code, CoordinatorError
from processing_service.wire.telemetry.hooks import Telemetry
from tests.engines import context
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.store import MemoryStore

T = TypeVar("T")


class Lost(Exception):
    """The connection broke: whether the call was carried out nobody knows."""


class Server:
    """One life of the server. What is called from outside goes through `call`; it ends with `kill` or `stop`.

    Args:
        store: opens the store, in this process.
        plans: of the sessions by session_id, as their definitions are known to a real one.
        runner: makes the calls of steps.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        store: Callable[[], MemoryStore],
        plans: Mapping[str, Plan],
        runner: StepRunner,
    ) -> None:
        self.process = Process()
        self._loop, self._plans, self._runner = loop, plans, runner
        self._replies: dict[asyncio.Future[Any], None] = {}  # in order, where a set has none
        self.lives: dict[str, Live] = {}
        """Sessions that began or went on here."""
        self.serving = False
        self.process.context.run(self._open, store)

    def _open(self, store: Callable[[], MemoryStore]) -> None:
        self.store = store()
        self.engine = LocalEngine(
            self.store,
            self.store.artifacts,
            self._runner,
            self._revive,
            self._loop.wall_us,
            Observer(Telemetry()),
            lambda context: None,
        )
        self._repeats = Repeats(self.store, self._loop.wall_us)
        self.starting = self._loop.create_task(self._start())

    async def _start(self) -> None:
        await self.store.charge_recovery()
        await self.engine.recover()
        self._loop.create_task(self.engine.run())
        self.serving = True

    def _revive(self, row: SessionRow) -> tuple[SessionContext, Plan]:
        start = row.start
        made = context(start.session_id)
        made.parent_session_id, made.depth = start.parent_session_id, start.depth
        made.request.request_id = start.request_id
        return made, self._plans[start.session_id]

    async def call(self, work: Awaitable[T]) -> T:
        """What the server answers. Raises Lost if it dies before; a caller that leaves cancels what it began there."""
        if not (self.serving and self.process.alive):
            work.close()  # type: ignore[attr-defined]  # a coroutine
            raise Lost
        reply: asyncio.Future[T] = self._loop.create_future()
        self._replies[reply] = None
        task = self._loop.create_task(work, context=self.process.context.copy())  # type: ignore[arg-type]
        task.add_done_callback(partial(_answer, reply))
        try:
            return await reply
        except asyncio.CancelledError:
            self.process.context.copy().run(task.cancel)
            raise
        finally:
            del self._replies[reply]

    def kill(self) -> None:
        """kill -9."""
        self.process.alive = self.serving = False
        self.process.died_us, self._loop.lossy = self._loop.now_us, True
        for reply in self._replies:
            if not reply.done():
                reply.set_exception(Lost())

    async def stop(self, grace_s: float) -> None:
        """SIGTERM: what runs may end, the rest is left to the next start."""
        if self.serving:
            task = self._loop.create_task(self._drain(grace_s), context=self.process.context.copy())
            ended: asyncio.Future[None] = self._loop.create_future()
            self._replies[ended] = None
            task.add_done_callback(partial(_answer, ended))
            with suppress(Lost):
                await ended
        self.kill()

    async def _drain(self, grace_s: float) -> None:
        await self.engine.drain(grace_s)
        await self.store.drain()

    async def submit(self, start: SessionStart, plan: Plan) -> tuple[str, bool]:
        """Begins a session; its id, and whether it was begun before."""
        made, _ = self._revive(SessionRow(0, start, SessionState.PENDING, 1, 0, 0, 0, 0, 0, 0, 0, b""))
        opened, live = await self.engine.submit(start, made, plan)
        if live is not None:
            self.lives[opened.session_id] = live
        return opened.session_id, opened.repeated

    async def wait(self, session_id: str, until_us: int) -> SessionState | None:
        """How it ended, or None if it has not by then."""
        live = self.engine.roster.live(session_id, "")
        if live is not None:
            self.lives[session_id] = live
            final = await live.wait(until_us)
            return None if final is None else final.state.state
        state = (await self.store.read(session_id, "")).state
        return state if state.terminal else None

    async def control(self, session_id: str, action: Action, request_id: str, budget_us: int) -> bool:
        """Gives a command, once for a request_id; True if it was given now."""
        now_us = self._loop.now_us
        command = Command(now_us, action, now_us, request_id, timeout_us=budget_us)
        request = pb.PostSessionControlRequest(
            session_id=session_id,
            control_action=int(action),  # type: ignore[arg-type]
            request_id=request_id,
        )

        async def act(note: RequestNote | None) -> pb.PostSessionControlResponse:
            await self.engine.deliver(session_id, "", command, note)
            return pb.PostSessionControlResponse(applied=True)

        async def again(_: str) -> pb.PostSessionControlResponse:
            return pb.PostSessionControlResponse()

        reply = await self._repeats.once("", "PostSessionControl", request, session_id, act, again)
        return reply.applied

    async def watch(self, session_id: str, after: int) -> list[Record]:
        """What happened behind that number, once there is something."""
        while True:
            changed = asyncio.ensure_future(self.store.changed(session_id))
            if records := await self.store.records(session_id, "", after, 100):
                changed.cancel()
                return list(records)
            await changed

    async def child(self, call: StepCall, start: SessionStart, plan: Plan) -> bytes:
        """Runs a session as a step of another, to its end, and cancels it when its step is cancelled."""
        above = self.engine.roster.live(call.session.session_id, "")
        assert above is not None
        request_id = f"{call.key}@{above.state.created_us}"
        start = start._replace(request_id=request_id, request_digest=b"c" * 32)
        try:
            return await self._child(start, plan)
        except asyncio.CancelledError:
            child = self.engine.roster.begun_by(request_id, "")
            if child is not None and child.state.state < SessionState.CANCELLING:
                self._leave(child)
            raise

    async def _child(self, start: SessionStart, plan: Plan) -> bytes:
        made, _ = self._revive(SessionRow(0, start, SessionState.PENDING, 1, 0, 0, 0, 0, 0, 0, 0, b""))
        opened, live = await self.engine.submit(start, made, plan, (), self._leave)
        live = live or self.engine.roster.live(opened.session_id, "")
        if live is not None:
            self.lives[opened.session_id] = live
            try:
                await live.wait(1 << 60)
            except asyncio.CancelledError:
                self._leave(live)
                raise
            state = live.state.state
        else:
            state = (await self.store.read(opened.session_id, "")).state
        if state is SessionState.SUCCEEDED:
            return opened.session_id.encode()
        raise CoordinatorError(Code.ABORTED, ErrorReason.ERROR_REASON_STEP_FAILED, f"it ended {state.name}")

    def _leave(self, live: Live) -> None:
        now_us = self._loop.now_us
        self.engine.post(live, Command(now_us, Action.CANCEL, now_us, actor="caller"))


def _answer(reply: asyncio.Future[Any], task: asyncio.Task[Any]) -> None:
    if reply.done():
        if not task.cancelled():
            task.exception()  # nobody waits for it any more
    elif task.cancelled():
        reply.set_exception(Lost())
    elif (error := task.exception()) is not None:
        reply.set_exception(error)
    else:
        reply.set_result(task.result())
