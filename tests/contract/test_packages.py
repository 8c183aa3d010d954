"""The C# packages: two of one commit are the same code, wherever they are made, and hold what a user looks for."""

from __future__ import annotations

import shutil
import subprocess
import uuid
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.contract.dotnet import ROOT, dotnet, is_missing
from tests.modules import load_script

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NAMES = ("Coordinator.Client", "Coordinator.Contract")
ORIGIN = "https://github.com/example/coordinator"
"""A host that SourceLink knows; nothing is asked of it."""
SOURCE_LINK = uuid.UUID("cc110556-a091-4d38-9fec-25ab9a351a6a").bytes_le
EMBEDDED_SOURCE = uuid.UUID("0e8a571b-6926-466e-b4ad-8ab04611f5fe").bytes_le
"""Kinds of debug information (the specification of portable PDB files)."""

if is_missing():
    pytest.skip("no .NET 10 SDK on PATH: not checked that C# packages are deterministic", allow_module_level=True)
if not (ROOT / ".git").exists():
    pytest.skip("no git repository: not checked that C# packages are deterministic", allow_module_level=True)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", folder, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@dataclass(frozen=True)
class Package:
    """One package and its symbols."""

    name: str
    entries: dict[str, bytes]
    """By path; of the symbols, too."""

    @property
    def library(self) -> bytes:
        return self.entries[f"lib/net10.0/{self.name}.dll"]

    @property
    def symbols(self) -> bytes:
        return self.entries[f"lib/net10.0/{self.name}.pdb"]

    @property
    def said(self) -> dict[str, ElementTree.Element]:
        """The elements of the specification, by name."""
        root = ElementTree.fromstring(self.entries[f"{self.name}.nuspec"])
        return {element.tag.rpartition("}")[2]: element for element in root.iter()}


def checkout(folder: Path) -> Path:
    """A clone with the sources as they are here."""
    git(ROOT, "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder))
    git(folder, "remote", "set-url", "origin", ORIGIN)
    for name in ("orchestrator", "protos", "generated"):
        shutil.rmtree(folder / name)
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("artifacts", "__pycache__"))
    return folder


def packed(folder: Path) -> dict[str, Package]:
    """The packages of a checkout, made as for a release."""
    for name in NAMES:
        project = folder / "orchestrator" / name
        release = ("-p:ContinuousIntegrationBuild=true", "-p:RestoreLockedMode=true", "--disable-build-servers")
        made = dotnet("pack", project, "-c", "Release", "-o", folder / "out", "-nodeReuse:false", *release)
        if "NU1301" in made.stdout:
            pytest.skip("no NuGet source in reach: not checked that C# packages are deterministic")
        assert made.returncode == 0, made.stdout
    return {name: Package(name, read(folder / "out", name)) for name in NAMES}


def read(folder: Path, name: str) -> dict[str, bytes]:
    entries = {}
    for path in (*folder.glob(f"{name}.*.snupkg"), *folder.glob(f"{name}.*.nupkg")):
        with zipfile.ZipFile(path) as archive:
            entries |= {entry: archive.read(entry) for entry in archive.namelist()}
    return entries


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    return packed(checkout(tmp_path_factory.mktemp("first") / "coordinator"))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    """Made anew, in a folder of another name."""
    return packed(checkout(tmp_path_factory.mktemp("second") / "elsewhere"))


@pytest.mark.parametrize("name", NAMES)
def test_two_packs_of_one_commit_are_the_same_code(
    name: str, first: dict[str, Package], second: dict[str, Package]
) -> None:
    """Library, symbols and documentation are equal byte for byte; only the archives have their time in them."""
    one, other = first[name], second[name]

    for kind in ("dll", "pdb", "xml"):
        path = f"lib/net10.0/{name}.{kind}"
        assert one.entries[path] == other.entries[path], path


@pytest.mark.parametrize("name", NAMES)
def test_a_package_has_what_a_user_looks_for(name: str, first: dict[str, Package]) -> None:
    """Readme, icon, documentation of its members, its commit; and its sources, in the symbols and by their host."""
    package = first[name]
    entries, said = package.entries, package.said

    assert entries[said["readme"].text or ""] == (ROOT / "orchestrator" / name / "README.md").read_bytes()
    assert entries[said["icon"].text or ""] == (ROOT / "orchestrator" / "icon.png").read_bytes()
    assert b'<member name="T:' in entries[f"lib/net10.0/{name}.xml"]
    assert said["repository"].attrib["commit"] == git(ROOT, "rev-parse", "HEAD")
    assert SOURCE_LINK in package.symbols
    assert f"example/coordinator/{git(ROOT, 'rev-parse', 'HEAD')}/*".encode() in package.symbols
    assert EMBEDDED_SOURCE in package.symbols


def test_the_contract_has_every_proto_file_of_a_client(first: dict[str, Package]) -> None:
    """As they are, under the folder that their imports begin in; not those of the journal, which clients never see."""
    files = {path for path in (ROOT / "protos" / "coordinator").rglob("*.proto") if "journal" not in path.parts}
    expected = {f"protos/{path.relative_to(ROOT / 'protos')}": path.read_bytes() for path in files}

    entries = first["Coordinator.Contract"].entries
    assert {name: data for name, data in entries.items() if name.endswith(".proto")} == expected
    assert len(expected) >= 6


def test_the_client_brings_the_contract_of_its_version(first: dict[str, Package]) -> None:
    """One reference is all that a program writes."""
    root = ElementTree.fromstring(first["Coordinator.Client"].entries["Coordinator.Client.nuspec"])
    needed = {one.attrib["id"]: one.attrib["version"] for one in root.iter() if one.tag.endswith("}dependency")}

    assert needed["Coordinator.Contract"] == first["Coordinator.Client"].said["version"].text
    assert not [name for name in needed if name.startswith(("OpenTelemetry", "Microsoft.AspNetCore"))]


def test_the_icon_is_the_one_of_its_script() -> None:
    """Pixel for pixel, however a zlib packs them."""
    script = load_script("draw_icon")

    assert _pixels(script.ICON.read_bytes()) == _pixels(script.drawn()), "run python scripts/draw_icon.py"


def _pixels(png: bytes) -> tuple[bytes, bytes]:
    """Header, and lines of the only IDAT of a picture."""
    start = png.index(b"IDAT")
    length = int.from_bytes(png[start - 4 : start])
    return png[: start - 4], zlib.decompress(png[start + 4 : start + 4 + length])
