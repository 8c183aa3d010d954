"""The programs in C# that rows are measured with."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Final

from benchmarks.rounds import tell
from benchmarks.servers import ROOT

_SOLUTION: Final = ROOT / "orchestrator"
_ALONE: Final = ("-nodeReuse:false", "-p:UseSharedCompilation=false")
"""No server of the build stays behind."""


def is_missing(rows: str) -> bool:
    """Whether there is no dotnet on PATH; says which rows are then left out."""
    missing = shutil.which("dotnet") is None
    if missing:
        tell(f"NOT MEASURED: {rows} (no dotnet on PATH)")
    return missing


def program(project: str) -> Path:
    """What `build` makes of a project; `dotnet` runs it."""
    return _SOLUTION / "artifacts" / "bin" / project / "release" / f"{project}.dll"


async def build(project: str) -> None:
    """Builds a project for release. Raises RuntimeError with what the compiler says."""
    command = (ROOT / "scripts" / "dotnet.sh", "build", _SOLUTION / project, "-c", "Release", "-v", "quiet", *_ALONE)
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{project} did not build:\n{said.decode()}")
