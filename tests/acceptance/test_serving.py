"""Processes as a user starts them: one store, one owner; a drain that ends well; stores that cannot be used."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from processing_service.client import CoordinatorClient
from processing_service.server.monitor import SERVICE
from tests.acceptance.processes import Server
from tests.coordinators import refused

ECHOES = (Path(__file__).parents[2] / "examples" / "workflows" / "three-echoes.yaml").read_text(encoding="utf-8")


def ends(*arguments: str, limits: tuple[int, int] | None = None) -> subprocess.CompletedProcess[str]:
    """A server that cannot start, perhaps because no file may grow past a number of bytes."""
    command = (sys.executable, "-m", "processing_service.cli", "serve", *arguments)
    limit = None if limits is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, preexec_fn=limit)


async def test_a_second_server_on_one_store_is_told_who_has_it(tmp_path: Path) -> None:
    """It ends with an exit code and the process id of the first, and the first goes on."""
    store = ("--store", str(tmp_path / "store"))
    first = Server(*store, "--listen", f"unix:{tmp_path}/first.sock")
    await first.start()
    try:
        second = ends(*store, "--listen", f"unix:{tmp_path}/second.sock")
        async with CoordinatorClient(first.address) as client:
            await client.put_processing_workflow(ECHOES)

        assert second.returncode != 0
        assert "STORE_LOCKED" in second.stderr
        assert f"process {first.pid}" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        assert await first.stop() == 0


def test_a_server_whose_port_is_taken_says_only_that(tmp_path: Path) -> None:
    """One error, without lines of the library below."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = ends("--listen", address, "--only", "postprocessing")

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[0] == f"error: cannot listen on {address!r}; is another server using it?"


async def test_a_server_that_is_told_to_stop_answers_what_is_under_way(tmp_path: Path) -> None:
    """SIGTERM: the call in flight gets its session, ended; the process ends with 0; nothing is left to take up."""
    arguments = ("--store", str(tmp_path / "store"), "--listen", f"unix:{tmp_path}/first.sock")
    server = Server(*arguments)
    await server.start()
    async with CoordinatorClient(server.address) as client:
        await client.put_processing_workflow(ECHOES)
        parameters = {"text": "to the end", "delay_seconds": "0.2s"}
        await client.post_workflow_execute("three-echoes", parameters, session_id="s", background=True)
        code = await server.stop()
    again = Server(*arguments)
    await again.start()
    try:
        async with CoordinatorClient(again.address) as client:
            session = (await client.get_processing_session("s")).session
    finally:
        await again.stop()

    assert code == 0
    assert session.state == pb.SESSION_STATE_SUCCEEDED
    assert not any("taken up" in line for line in again.output)


@pytest.mark.parametrize("only", [(), ("--only", "inference")])
async def test_a_server_without_models_says_so(tmp_path: Path, only: tuple[str, ...]) -> None:
    """In its log, with the folder and what makes one; it serves, because models may come later."""
    models, store = tmp_path / "nope", tmp_path / "store"
    server = Server("--store", str(store), "--listen", f"unix:{tmp_path}/s.sock", "--models", str(models), *only)
    await server.start()
    await server.kill()

    assert "".join(server.output).count(f"there is no folder '{models}'; `make models` makes") == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_server_that_is_told_twice_to_stop_stops_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """The first time it says how long it will wait; after the second the session goes on at the next start."""
    arguments = ("--store", str(tmp_path / "store"), "--listen", f"unix:{tmp_path}/first.sock")
    server = Server(*arguments, "--set", "drain_grace=3600")
    await server.start()
    async with CoordinatorClient(server.address) as client:
        await client.put_processing_workflow(ECHOES)
        parameters = {"text": "to the end", "delay_seconds": "5s"}
        await client.post_workflow_execute("three-echoes", parameters, session_id="s", background=True)
        server.tell(number)
        await server.says("draining: calls and sessions have 3600 s to end")
        code = await server.end(number)
    again = Server(*arguments)
    await again.start()
    await again.says("sessions taken up: 1")
    await again.kill()

    assert code == -number


@pytest.mark.parametrize("kind", ["newer", "no database", "another database", "a file"])
def test_a_store_that_cannot_be_used_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    """The process ends with an exit code and says what to do, without a path or a traceback; no byte is changed."""
    store = tmp_path / "store"
    if kind == "a file":
        file = store
    else:
        store.mkdir()
        file = store / "coordinator.sqlite"
    file.write_bytes(b"something else entirely" * 100)
    if kind in ("newer", "another database"):
        file.unlink()
        connection = sqlite3.connect(file)
        connection.executescript("PRAGMA user_version = 99" if kind == "newer" else "CREATE TABLE theirs (a)")
        connection.close()
    before = file.read_bytes()
    ended = ends("--store", str(store), "--listen", f"unix:{tmp_path}/s.sock")
    reason = {"newer": "STORE_TOO_NEW", "a file": "STORE_READ_ONLY"}.get(kind, "STORE_DAMAGED")

    assert ended.returncode == 1
    assert f"reason: {reason} (FAILED_PRECONDITION)" in ended.stderr
    assert (reason == "STORE_DAMAGED") == ("error: coordinator.sqlite in the folder of the store is " in ended.stderr)
    assert str(store) not in ended.stderr
    assert "Traceback" not in ended.stderr
    assert file.read_bytes() == before


@pytest.mark.slow
async def test_a_full_disk_is_told_and_survived(tmp_path: Path) -> None:
    """A start is refused by name; a server that runs is unwell from the first write that fails until there is room."""
    arguments = ("--store", str(tmp_path / "store"), "--listen", f"unix:{tmp_path}/s.sock")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    full = (20_000, limits[1])
    ended = await asyncio.to_thread(ends, *arguments, limits=full)
    server = Server(*arguments)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = ProcessingServiceStub(channel)
            told = aiter(HealthStub(channel).Watch(HealthCheckRequest(service=SERVICE)))
            seen = [(await anext(told)).status]
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, full)
            chunk = pb.PostProcessingArtifactRequest(data=b"x" * 1_000_000)
            error = await refused(stub.PostProcessingArtifact(iter([chunk])))
            seen.append((await anext(told)).status)
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, limits)
            seen.append((await anext(told)).status)
            await stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=ECHOES))
    finally:
        await server.stop()

    assert ended.returncode == 1
    assert "reason: STORE_FULL (RESOURCE_EXHAUSTED)" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert error.reason_name == "STORE_FULL"
    assert seen == [HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING, HealthCheckResponse.SERVING]
