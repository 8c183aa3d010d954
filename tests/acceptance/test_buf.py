"""buf, a client in Go that knows the contract by reflection alone."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from instructors.domains import CONTRACT
from tests.acceptance.processes import Server
from tests.acceptance.test_reference import ROOT, server

NOT_FOUND = 5
SERVICE = "coordinator.processing.v1.ProcessingService"
TOOL = Path(sys.executable).with_name("buf")
CURL = (TOOL, "curl", "--protocol", "grpc", "--http2-prior-knowledge")


def buf(*arguments: str) -> tuple[int, str]:
    """Runs `buf curl`; exit code and output."""
    done = subprocess.run([*CURL, *arguments], capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stdout + done.stderr


async def test_buf_curl_lists_calls_streams_and_is_refused(tmp_path: Path) -> None:
    """A second client by reflection: the services, a unary call, a stream, an error."""
    source = (ROOT / "examples" / "workflows" / "three-echoes.yaml").read_text(encoding="utf-8")
    started = {"workflow_id": "three-echoes", "session_id": "by-buf", "parameters": {"text": "hello"}}
    async with server(tmp_path, tmp_path / "models") as address:

        async def call(rpc: str, **request: object) -> tuple[int, str]:
            url = f"http://{address}/{SERVICE}/{rpc}"
            return await asyncio.to_thread(buf, "-d", json.dumps(request), url)

        listed = await asyncio.to_thread(buf, "--list-services", f"http://{address}")
        stored = await call("PutProcessingWorkflow", source=source)
        ended = await call("PostWorkflowExecute", **started)
        watched = await call("WatchProcessingSession", session_id="by-buf", after_sequence="0")
        refused = await call("PostWorkflowExecute", workflow_id="three-ecos")
    assert [code for code, _ in (listed, stored, ended, watched)] == [0] * 4
    assert {service.full_name for service in CONTRACT.values()} | {"grpc.health.v1.Health"} <= set(listed[1].split())
    assert json.loads(ended[1])["session"]["outputs"] == {"text": "hello"}
    assert watched[1].count('"event"') == 8
    assert refused[0] == 8 * NOT_FOUND
    assert "did you mean 'three-echoes'?" in refused[1]


@pytest.mark.parametrize("protocol", ["grpc-v1", "grpc-v1alpha"])
async def test_either_reflection_describes_a_call(protocol: str, tmp_path: Path) -> None:
    """A client that knows one version alone lists the services and makes a call."""
    async with server(tmp_path, tmp_path / "models") as address:
        known = ("--reflect-protocol", protocol)
        listed = await asyncio.to_thread(buf, *known, "--list-services", f"http://{address}")
        told = await asyncio.to_thread(buf, *known, "-d", "{}", f"http://{address}/{SERVICE}/GetProcessingContract")

    assert listed[0] == 0
    assert SERVICE in listed[1].split()
    assert (told[0], "contractVersion" in json.loads(told[1])) == (0, True)


async def test_health_is_watched(tmp_path: Path) -> None:
    """A watch of health is told that the server serves, and before it goes that it no longer does."""
    process = Server(
        "--listen", "localhost:0", "--store", str(tmp_path / "store"), "--models", str(tmp_path / "models")
    )
    address = await process.start()
    url = f"http://{address}/grpc.health.v1.Health/Watch"
    watch = await asyncio.create_subprocess_exec(
        *CURL, "-d", json.dumps({"service": SERVICE}), url, stdout=asyncio.subprocess.PIPE
    )
    assert watch.stdout is not None
    try:
        while "SERVING" not in (first := (await watch.stdout.readline()).decode()):
            assert first, "the watch ended before it told anything"
        await process.stop()
        rest = (await watch.stdout.read()).decode()
        await watch.wait()
    finally:
        await process.kill()

    assert '"SERVING"' in first
    assert '"NOT_SERVING"' in rest
