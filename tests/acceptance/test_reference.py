"""The calls that README and reference show work as they are printed, and every RPC of the contract has one."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf.descriptor import MethodDescriptor

from instructors.domains import CONTRACT
from tests.acceptance.documents import ROOT, Block, blocks_of, nameless_fences
from tests.acceptance.processes import Server

RPCS = ROOT / "docs" / "reference" / "rpcs.md"
FOLDERS = ("quickstart", "howto", "reference")
PAGES = [page for folder in FOLDERS for page in sorted((ROOT / "docs" / folder).glob("*.md"))]
TOUR = ROOT / "examples" / "clients" / "grpcurl.md"
DOCUMENTS = [page for page in (ROOT / "README.md", *PAGES, TOUR) if blocks_of(page)]
CLIENTS = TOUR.parent
READ = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
    *sorted([*(ROOT / "docs").rglob("*.md"), *CLIENTS.glob("*.md"), *CLIENTS.glob("*/*.md")]),
]
SHOWN_ADDRESS = "localhost:50051"
LONGEST_S = 600
"""For one block; to compile a C# program takes long on a machine that is busy."""


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
    shutil.copytree(ROOT / "orchestrator", folder / "orchestrator", ignore=shutil.ignore_patterns("artifacts"))
    return folder


async def run(block: Block, address: str, tools: Sequence[Path], folder: Path) -> list[str]:
    """Runs a block; what is not as the document shows it."""
    path = os.pathsep.join([*map(str, tools), os.environ["PATH"]])
    process = await asyncio.create_subprocess_exec(
        *(part.replace(SHOWN_ADDRESS, address) for part in block.command),
        cwd=folder,
        env=os.environ | {"PATH": path, "PROCESSING_SERVICE__CLIENT__ADDRESS": address, **dotnet_settings(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), LONGEST_S)
    assert process.returncode is not None
    return list(block.faults(process.returncode, output.decode()))


def dotnet_settings(folder: Path) -> dict[str, str]:
    """A package of a version that is made anew is not to be taken from a cache."""
    cache = folder.parent / "nuget"
    return {"NUGET_PACKAGES": str(cache), "DOTNET_CLI_HOME": str(cache), "MSBUILDDISABLENODEREUSE": "1"}


def uses_dotnet(document: Path) -> bool:
    return any("dotnet " in block.script for block in blocks_of(document))


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
    if uses_dotnet(document) and shutil.which("dotnet") is None:
        pytest.skip(f"NOT RUN: the lines of {document.relative_to(ROOT)} (no dotnet on PATH)")
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


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_rpc_has_a_call(method: MethodDescriptor) -> None:
    """One that can be run as it is printed."""
    name = f"{method.containing_service.full_name}/{method.name}"
    assert any(re.search(rf"{re.escape(name)}\b", block.script) for block in blocks_of(RPCS))
