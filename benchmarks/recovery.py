"""kill -9 with many open sessions: how long until the domain has been asked the first call of each again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import grpc
from coordinator.postprocessing.v1.postprocessing_pb2 import PostPostprocessingExecuteRequest
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub

from benchmarks.calls import put_workflow
from benchmarks.options import Options
from benchmarks.rounds import Foreign, closed_loop, tell
from benchmarks.rows import Row, Spread, Target
from benchmarks.servers import ROOT, channel_to, serving
from processing_service.client.retries import new_request_id

ROWS: Final = ("recovery",)
_SERVICE: Final = "coordinator.postprocessing.v1.PostprocessingService"
_DESCRIPTORS: Final = ROOT / "generated" / "python" / "coordinator" / "coordinator.binpb"
_OPEN: Final = 1_000
_KILLS: Final = 5
"""At most: a session that has seen more is given up."""
_PATIENCE_S: Final = 60.0
_SOURCE: Final = """
workflow_id: waits
steps:
  - step_id: wait
    operation: waiting.post_postprocessing_execute
    parameters: {echo: {text: hello}}
"""


class WaitingDomain:
    """Answers nothing, and notes whose calls have come."""

    def __init__(self) -> None:
        self._sessions: set[str] = set()
        self._wanted = 0
        self._all = asyncio.Event()
        self.seen_at = 0.0
        """When the last of those that were waited for had come."""

    async def PostPostprocessingExecute(self, request: object, context: Any) -> None:
        """Waits until it is cancelled."""
        self._sessions.add(dict(context.invocation_metadata())["coordinator-session-id"])
        if len(self._sessions) == self._wanted:
            self.seen_at = perf_counter()
            self._all.set()
        await asyncio.Event().wait()

    def forget(self, wanted: int) -> None:
        """Begins to note anew."""
        self._sessions.clear()
        self._wanted = wanted
        self._all.clear()

    async def all_seen(self) -> None:
        """Returns when so many sessions have asked."""
        await asyncio.wait_for(self._all.wait(), _PATIENCE_S)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Its address, for as long as the context lasts."""
        server = grpc.aio.server()
        method = grpc.unary_unary_rpc_method_handler(
            self.PostPostprocessingExecute, PostPostprocessingExecuteRequest.FromString
        )
        handler = grpc.method_handlers_generic_handler(_SERVICE, {"PostPostprocessingExecute": method})
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(0)


async def measure(options: Options) -> list[Row]:
    """The one row."""
    domain, taken, others = WaitingDomain(), [], []
    async with domain.serving() as address:
        flags = ("--only", "processing", "--config", str(_settings(options.folder, address)))
        await _begin(options.folder / "coordinator", flags, domain)
        for _ in range(min(options.rounds, _KILLS)):
            domain.forget(_OPEN)
            foreign, started = Foreign([]), perf_counter()
            async with serving(options.folder / "coordinator", *flags) as server:
                await domain.all_seen()
                taken.append(domain.seen_at - started)
                others.append(max(0.0, foreign.cores() - _cores(server, started)))
                tell(f"recovery: {taken[-1]:.2f} s, serving after {server.startup:.2f} s")
                server.process.kill()
    what = f"kill -9 with {_OPEN:,} open sessions: start to the last first call"
    return [Row("recovery", what, Spread.of(taken), Target("<", 2, "s"), foreign=max(others))]


def _settings(folder: Path, address: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings.toml"
    path.write_text(
        f'[[foreign_domains]]\nname = "waiting"\nservice_name = "{_SERVICE}"\nmax_in_flight = {_OPEN}\n'
        f'descriptor_set_file = "{_DESCRIPTORS}"\n[foreign_domains.channel]\naddress = "{address}"\n',
        encoding="utf-8",
    )
    return path


async def _begin(folder: Path, flags: tuple[str, ...], domain: WaitingDomain) -> None:
    """Starts the sessions, and kills the server once the domain has been asked by all."""
    domain.forget(_OPEN)
    async with serving(folder, *flags) as server, channel_to(server) as channel:
        await put_workflow(channel, _SOURCE)
        execute = ProcessingServiceStub(channel).PostWorkflowExecute

        async def start() -> None:
            request = pb.PostWorkflowExecuteRequest(workflow_id="waits", background=True, request_id=new_request_id())
            request.timeout.seconds = 3600
            await execute(request, timeout=_PATIENCE_S)

        await closed_loop(64, start, count=_OPEN)
        await domain.all_seen()
        server.process.kill()


def _cores(server: Any, started: float) -> float:
    """CPU of the server since it started, in cores."""
    times = server.process.cpu_times()
    return float(times.user + times.system) / (perf_counter() - started)
