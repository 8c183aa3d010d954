"""The calls that README and reference show work as they are printed, and every RPC of the contract has one."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceServicer
from google.protobuf.descriptor import MethodDescriptor

from instructors.domains import CONTRACT
from processing_service.rpc.processing import ProcessingServicer
from tests.acceptance.documents import ROOT, Block, blocks_of, nameless_fences
from tests.acceptance.processes import Server

RPCS = ROOT / "docs" / "reference" / "rpcs.md"
FOLDERS = ("quickstart", "howto", "reference")
PAGES = [page for folder in FOLDERS for page in sorted((ROOT / "docs" / folder).glob("*.md"))]
DOCUMENTS = [page for page in (ROOT / "README.md", *PAGES) if blocks_of(page)]
READ = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN_ADDRESS = "localhost:50051"
NOT_FOUND = 5


@asynccontextmanager
async def server(folder: Path, models: Path) -> AsyncIterator[str]:
    """A server with embedded domains; its address."""
    process = Server("--listen", "localhost:0", "--store", str(folder / "store"), "--models", str(models))
    try:
        yield await process.start()
    finally:
        await process.kill()


def made_ready(folder: Path) -> Path:
    """A folder that has what the documents name, where what their lines write does no harm."""
    folder.mkdir()
    for name in ("docs", "examples", "protos", "scripts"):
        (folder / name).symlink_to(ROOT / name)
    return folder


async def run(block: Block, address: str, tools: Sequence[Path], folder: Path) -> list[str]:
    """Runs a block; what is not as the document shows it."""
    path = os.pathsep.join([*map(str, tools), os.environ["PATH"]])
    process = await asyncio.create_subprocess_exec(
        *(part.replace(SHOWN_ADDRESS, address) for part in block.command),
        cwd=folder,
        env=os.environ | {"PATH": path, "PROCESSING_SERVICE__CLIENT__ADDRESS": address},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    return list(block.faults(process.returncode, output.decode()))


@pytest.fixture(scope="module")
def grpcurl() -> Path:
    """The folder of grpcurl."""
    command = [ROOT / "scripts" / "grpcurl.sh"]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    if built.returncode:
        reason = (built.stderr.strip().splitlines() or ["no reason given"])[-1]
        names = ", ".join(str(path.relative_to(ROOT)) for path in DOCUMENTS if uses_grpcurl(path))
        pytest.skip(f"NOT RUN: the lines of {names} ({reason})")
    return Path(built.stdout.strip()).parent


def uses_grpcurl(document: Path) -> bool:
    return any("grpcurl -plaintext" in block.script for block in blocks_of(document))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
async def test_the_lines_of_a_document_work_as_printed(
    document: Path, request: pytest.FixtureRequest, tmp_path: Path, model_repository: Path
) -> None:
    """One after the other, against one fresh server."""
    tools = [Path(sys.executable).parent]
    if uses_grpcurl(document):
        tools.append(request.getfixturevalue("grpcurl"))
    folder = made_ready(tmp_path / "project")
    async with server(tmp_path, model_repository) as address:
        faults = [fault for block in blocks_of(document) for fault in await run(block, address, tools, folder)]
    assert not faults, "\n\n".join(faults)


@pytest.mark.parametrize("document", READ, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_block_of_a_document_names_its_language(document: Path) -> None:
    """A fence without one would never be run, and nobody would know."""
    assert nameless_fences(document) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("```\nls\n```\n", ["page.md:1"], id="no language"),
        pytest.param("one\n\n  ```sh\n  ls\n  ```\n", ["page.md:3"], id="indented"),
        pytest.param("~~~sh\nls\n~~~\n", ["page.md:1"], id="other marks"),
        pytest.param("````sh\n```\n````\n", ["page.md:1"], id="longer marks"),
        pytest.param("```sh\nls\n```\n\n```text\na ``` b\n```\n", [], id="with a language"),
    ],
)
def test_a_block_that_nobody_would_run_is_found(text: str, found: list[str], tmp_path: Path) -> None:
    """With the line where it begins."""
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")

    assert nameless_fences(page) == found


METHODS = [method for service in CONTRACT.values() for method in service.methods]


def is_served(method: MethodDescriptor) -> bool:
    """False for what a servicer inherits from its generated base; only the Processing service has such RPCs."""
    if method.containing_service.name != "ProcessingService":
        return True
    return getattr(ProcessingServicer, method.name) is not getattr(ProcessingServiceServicer, method.name)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_served_rpc_has_a_call(method: MethodDescriptor) -> None:
    """And one that is not served yet stands in the list of those."""
    name = f"{method.containing_service.full_name}/{method.name}"
    called = any(re.search(rf"{re.escape(name)}\b", block.script) for block in blocks_of(RPCS))
    listed = f"\n- `{method.name}`" in _unserved()
    assert (called, listed) == ((True, False) if is_served(method) else (False, True))


def _unserved() -> str:
    """The section of the RPCs that are not served yet."""
    return RPCS.read_text(encoding="utf-8").partition("\n## Not served yet\n")[2].partition("\n## ")[0]


def buf(*arguments: str) -> tuple[int, str]:
    """Runs `buf curl`; exit code and output."""
    tool = Path(sys.executable).with_name("buf")
    command = [tool, "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stdout + done.stderr


async def test_buf_curl_lists_calls_streams_and_is_refused(tmp_path: Path) -> None:
    """A second client by reflection: the services, a unary call, a stream, an error."""
    source = (ROOT / "examples" / "workflows" / "three-echoes.yaml").read_text(encoding="utf-8")
    started = {"workflow_id": "three-echoes", "session_id": "by-buf", "parameters": {"text": "hello"}}
    async with server(tmp_path, tmp_path / "models") as address:

        async def call(rpc: str, **request: object) -> tuple[int, str]:
            url = f"http://{address}/coordinator.processing.v1.ProcessingService/{rpc}"
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
