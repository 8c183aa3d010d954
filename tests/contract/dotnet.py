"""The .NET SDK of this machine, and the programs that it compiles."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"

Check = Callable[..., subprocess.CompletedProcess[str]]


def dotnet(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs dotnet with all that it writes kept inside the checkout's cache."""
    command = [ROOT / "scripts" / "dotnet.sh", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def is_missing() -> bool:
    """True where there is no .NET 10 SDK, or a newer one."""
    return shutil.which("dotnet") is None or int(dotnet("--version").stdout.split(".")[0] or 0) < 10


def compiled(project: Path, artifacts: Path, unchecked: str, *properties: str) -> Check:
    """A program, with every warning an error and the packages of its lock file; it takes its arguments.

    Args:
        artifacts: a folder for what is built.
        unchecked: what is left out where no package can be had, for the one line that says so.
        properties: of the build, as `-p:NAME=VALUE`.
    """
    given = (project, "--artifacts-path", artifacts)
    restored = dotnet("restore", *given, *properties, "--locked-mode")
    if "NU1301" in restored.stdout:
        pytest.skip(f"no NuGet source in reach: {unchecked}")
    assert restored.returncode == 0, restored.stdout
    # Analyzers go through the generated code, too, which takes twice the time: test-slow has them on.
    alone = ("-p:RunAnalyzers=false", "--disable-build-servers", "-p:UseSharedCompilation=false", "-nodeReuse:false")
    built = dotnet("build", *given, "--no-restore", *alone, *properties)
    assert built.returncode == 0, built.stdout
    (program,) = (artifacts / "bin").rglob("*Check.dll")
    return lambda *arguments: dotnet(program, *arguments)
