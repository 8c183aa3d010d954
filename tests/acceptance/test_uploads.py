"""Uploads to a process: what they take of its memory, and what is left of them when it dies."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import grpc
import pytest
from coordinator.payload.v1.payload_pb2 import Artifact
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub

from processing_service.client import CoordinatorClient
from tests.acceptance.processes import Server

UPLOADS, BYTES = 4, 50 << 20


def peak_bytes(server: Server) -> int:
    """The most memory that a process has had."""
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def parts(folder: Path) -> list[Path]:
    return list(folder.glob("store/artifacts/*.part"))


def server_in(folder: Path) -> Server:
    return Server("--store", str(folder / "store"), "--listen", f"unix:{folder}/s.sock", "--set", "drain_grace=0.1")


@pytest.mark.slow
async def test_uploads_pass_through_the_process(tmp_path: Path) -> None:
    """Four of 50 MiB at the same time take less than 100 MB, and come back as they were."""
    server = server_in(tmp_path)
    await server.start()
    try:
        async with CoordinatorClient(server.address) as client:
            await client.post_processing_artifact(b"warm" * 1000)
            before = peak_bytes(server)
            contents = [os.urandom(1 << 20) * (BYTES >> 20) for _ in range(UPLOADS)]
            stored = await asyncio.gather(*(client.post_processing_artifact(content) for content in contents))
            read = await asyncio.gather(*(client.read_artifact(reply.artifact.digest) for reply in stored))
            grown = peak_bytes(server) - before
    finally:
        await server.stop()

    assert read == contents
    assert grown < 100_000_000
    assert parts(tmp_path) == []


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_an_upload_that_its_process_does_not_survive_leaves_nothing(tmp_path: Path, end: str) -> None:
    """A stop takes its half with it; a kill leaves it to the next start."""
    server = server_in(tmp_path)
    await server.start()
    async with grpc.aio.insecure_channel(server.address) as channel:
        call = ProcessingServiceStub(channel).PostProcessingArtifact()
        await call.write(pb.PostProcessingArtifactRequest(artifact=Artifact(size_bytes=BYTES), data=b"x" * (2 << 20)))
        while not parts(tmp_path):  # noqa: ASYNC110  # nobody is told
            await asyncio.sleep(0.01)
        if end == "kill":
            await server.kill()
            assert len(parts(tmp_path)) == 1
            await server.start()
        code = await server.stop()
        with pytest.raises(grpc.aio.AioRpcError):
            await call

    assert code == 0
    assert parts(tmp_path) == []
    assert "Traceback" not in "\n".join(server.output)
