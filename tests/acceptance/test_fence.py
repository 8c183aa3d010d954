"""Two servers and one store: the lock keeps the second out; without it, the epoch keeps the first from writing."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from processing_service.client import CoordinatorClient
from processing_service.engine.store.sqlite.faults import FILE_NAME
from processing_service.server.monitor import SERVICE
from tests.acceptance.processes import Server
from tests.acceptance.test_serving import ECHOES, ends
from tests.coordinators import execution, refused

pytestmark = pytest.mark.slow


@asynccontextmanager
async def server(folder: Path, name: str) -> AsyncIterator[Server]:
    """One of those that serve from the same store, on a socket of its own."""
    made = Server(*arguments(folder, name))
    await made.start()
    try:
        yield made
    finally:
        await made.kill()


def arguments(folder: Path, name: str) -> tuple[str, ...]:
    return ("--store", str(folder / "store"), "--listen", f"unix:{folder}/{name}.sock")


async def test_a_server_that_is_asleep_keeps_its_store(tmp_path: Path) -> None:
    """SIGSTOP for as long as one likes: the kernel's lock is no lease. It goes on where it was."""
    async with server(tmp_path, "first") as first, CoordinatorClient(first.address) as client:
        await client.put_processing_workflow(ECHOES)
        await client.post_workflow_execute("three-echoes", {"text": "a"}, session_id="s", background=True)
        first.tell(signal.SIGSTOP)
        second = ends(*arguments(tmp_path, "second"))
        first.tell(signal.SIGCONT)
        async for _ in client.watch_session("s"):
            pass

        assert (second.returncode, "STORE_LOCKED" in second.stderr) == (1, True)
        assert (await client.get_processing_session("s")).session.state == pb.SESSION_STATE_SUCCEEDED


async def test_an_old_owner_that_wakes_writes_nothing(tmp_path: Path) -> None:
    """Its lock was removed by hand meanwhile, and another has the store: all of its clients are told UNAVAILABLE."""
    slow = {"text": "a", "delay_seconds": "1.5s"}
    async with server(tmp_path, "first") as first, grpc.aio.insecure_channel(first.address) as channel:
        stub = ProcessingServiceStub(channel)
        async with CoordinatorClient(first.address) as client:
            await client.put_processing_workflow(ECHOES)
            await client.post_workflow_execute("three-echoes", slow, session_id="s", background=True)
        waiting = asyncio.ensure_future(refused(stub.PostWorkflowExecute(execution("three-echoes", slow))))
        await _until_sessions(stub, 2)
        _put_to_sleep(first, tmp_path / "store" / FILE_NAME)
        (tmp_path / "store" / "lock").unlink()
        async with server(tmp_path, "second") as second, CoordinatorClient(second.address) as other:
            first.tell(signal.SIGCONT)
            written = [
                stub.PostWorkflowExecute(execution("three-echoes", slow, session_id="of-the-first")),
                stub.PostSessionControl(
                    pb.PostSessionControlRequest(session_id="s", control_action=pb.CONTROL_ACTION_TERMINATE)
                ),
                stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=ECHOES.replace("hello", "bye"))),
            ]
            told = [await waiting, *[await refused(call) for call in written]]
            await _until_not_serving(channel)
            late = await refused(stub.PostWorkflowExecute(execution("three-echoes", slow, session_id="later")))
            names = [session.session_id async for session in other.get_processing_sessions()]
            for name in names:
                async for _ in other.watch_session(name):
                    pass
            ended = [(await other.get_processing_session(name)).session for name in names]
            events = [event async for event in other.get_processing_session_events("s")]

    assert {error.code.name for error in (*told, late)} == {"UNAVAILABLE"}
    assert "SESSION_FENCED" in {error.reason_name for error in told}
    assert {error.reason_name for error in (*told, late)} <= {"SESSION_FENCED", "SERVER_DRAINING"}
    assert [session.state for session in ended] == [pb.SESSION_STATE_SUCCEEDED] * 2
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    results = [event.step_id for event in events if event.kind == pb.EVENT_KIND_STEP_SUCCEEDED]
    assert results == ["first", "second", "third"]
    assert not [event for event in events if event.kind == pb.EVENT_KIND_COMMAND_APPLIED]


async def _until_sessions(stub: ProcessingServiceStub, count: int) -> None:
    while len((await stub.GetProcessingSessions(pb.GetProcessingSessionsRequest())).sessions) < count:  # noqa: ASYNC110
        await asyncio.sleep(0)


def _put_to_sleep(server: Server, database: Path) -> None:
    """Stops it between two transactions: in one it has SQLite's own lock, and no other gets in at all."""
    while True:
        server.tell(signal.SIGSTOP)
        while Path(f"/proc/{server.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "T":
            time.sleep(0.001)
        connection = sqlite3.connect(database, timeout=0, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            server.tell(signal.SIGCONT)
            time.sleep(0.01)
        else:
            return
        finally:
            connection.close()


async def _until_not_serving(channel: grpc.aio.Channel) -> None:
    async for reply in HealthStub(channel).Watch(HealthCheckRequest(service=SERVICE)):
        if reply.status == HealthCheckResponse.NOT_SERVING:
            return
