"""C# callers: the generated classes are named by the rule, and messages pass between Python and C# unharmed."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.message import Message

from processing_service.wire.naming import to_camel, to_pascal, words
from tests.contract.every_field import files, messages, samples

ROOT = Path(__file__).parents[2]
PROJECT = Path(__file__).parent / "csharp"
CACHE = ROOT / ".cache"

pytestmark = pytest.mark.timeout(600)

Check = Callable[..., subprocess.CompletedProcess[str]]


def dotnet(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs dotnet with all that it writes kept inside the checkout's cache."""
    (CACHE / "tmp").mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "DOTNET_CLI_HOME": str(CACHE / "dotnet"),
        "NUGET_PACKAGES": str(CACHE / "nuget"),
        "TMPDIR": str(CACHE / "tmp"),
        "DOTNET_CLI_TELEMETRY_OPTOUT": "1",
        "DOTNET_NOLOGO": "1",
        "DOTNET_EnableDiagnostics": "0",
    }
    command = ["dotnet", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


UNCHECKED = "the names of the C# classes and the messages between C# and Python were not checked"
if shutil.which("dotnet") is None or int(dotnet("--version").stdout.split(".")[0] or 0) < 10:
    pytest.skip(f"no .NET 10 SDK on PATH: {UNCHECKED}", allow_module_level=True)


@pytest.fixture(scope="module")
def check() -> Check:
    """Runs the compiled checker; it compiles with every warning an error and the packages of its lock file."""
    artifacts = ("--artifacts-path", CACHE / "csharp")
    restored = dotnet("restore", PROJECT, *artifacts, "--locked-mode")
    if "NU1301" in restored.stdout:
        pytest.skip(f"no NuGet source in reach: {UNCHECKED}")
    assert restored.returncode == 0, restored.stdout
    alone = ("--disable-build-servers", "-p:UseSharedCompilation=false", "-nodeReuse:false")
    built = dotnet("build", PROJECT, *artifacts, "--no-restore", *alone)
    assert built.returncode == 0, built.stdout
    (program,) = (CACHE / "csharp" / "bin").rglob("ContractCheck.dll")
    return lambda *arguments: dotnet(program, *arguments)


def expected_names() -> dict[str, str]:
    """What the rule makes of each name of the contract."""
    enums = [enum for file in files() for enum in file.enum_types_by_name.values()]
    enums += [enum for message in messages() for enum in message.enum_types]
    names: dict[str, str] = {}
    for message in messages():
        names |= _fields(message) | _oneofs(message)
    for enum in enums:
        names |= _values(enum)
    return names


def _fields(message: Descriptor) -> dict[str, str]:
    properties = {f"{field.full_name} property": to_pascal(field.name) for field in message.fields}
    return properties | {f"{field.full_name} json": to_camel(field.name) for field in message.fields}


def _oneofs(message: Descriptor) -> dict[str, str]:
    written = [oneof for oneof in message.oneofs if oneof.name != f"_{oneof.fields[0].name}"]
    return {
        f"{message.full_name} {to_pascal(oneof.name)}Case": f"{to_pascal(oneof.name)}OneofCase: "
        + ", ".join(["None", *(to_pascal(field.name) for field in oneof.fields)])
        for oneof in written
    }


def _values(enum: EnumDescriptor) -> dict[str, str]:
    prefix = "_".join(words(enum.name)).upper() + "_"
    return {
        f"{enum.full_name}.{value.name} value": to_pascal(value.name.removeprefix(prefix).lower())
        for value in enum.values
    }


def test_every_name_is_the_one_of_the_rule(check: Check, tmp_path: Path) -> None:
    """By reflection, each property, JSON key, oneof case and enum value is what the rule makes of its proto name."""
    expected = expected_names()
    (tmp_path / "names.json").write_text(json.dumps(expected))

    result = check("names", tmp_path / "names.json")

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert len(expected) > 1000


@pytest.mark.parametrize(
    ("element", "wrong"),
    [
        ("coordinator.model.v1.GetModelRequest.model_id property", "ModelID"),
        ("coordinator.model.v1.GetModelRequest.model_id json", "model_id"),
        ("coordinator.payload.v1.DataType.DATA_TYPE_UINT8 value", "UInt8"),
        ("coordinator.payload.v1.Datum ContentCase", "ContentOneofCase: None"),
        ("coordinator.model.v1.GetModelRequest.owner property", "Owner"),
    ],
)
def test_a_wrong_name_is_found(check: Check, tmp_path: Path, element: str, wrong: str) -> None:
    """A name that differs in one letter, and one that C# does not have, fail and are named."""
    (tmp_path / "names.json").write_text(json.dumps(expected_names() | {element: wrong}))

    result = check("names", tmp_path / "names.json")

    assert result.returncode == 1
    assert [line.startswith(f"{element}: ") for line in result.stdout.splitlines()] == [True]


def test_messages_pass_through_csharp_unharmed(check: Check, tmp_path: Path) -> None:
    """Every field of every message comes back from C# with the same value: as bytes, as JSON, and from JSON."""
    given, back = tmp_path / "given", tmp_path / "back"
    given.mkdir()
    back.mkdir()
    written = {f"{message.full_name}#{n}": one for message in messages() for n, one in enumerate(samples(message))}
    for name, message in written.items():
        (given / f"{name}.binpb").write_bytes(message.SerializeToString(deterministic=True))
        (given / f"{name}.json").write_text(json_format.MessageToJson(message), encoding="utf-8")

    result = check("messages", given, back)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert {path.name for path in back.iterdir()} == {
        name + suffix for name in written for suffix in (".binpb", ".json", ".parsed.binpb")
    }
    for name, message in written.items():
        assert _differences(message, (back / f"{name}.binpb").read_bytes()) == [], name
        assert (back / f"{name}.binpb").read_bytes() == (given / f"{name}.binpb").read_bytes(), name
        assert json.loads((back / f"{name}.json").read_text("utf-8")) == json_format.MessageToDict(message), name
        assert _differences(message, (back / f"{name}.parsed.binpb").read_bytes()) == [], name


def _differences(message: Message, encoded: bytes) -> list[str]:
    """Fields whose value is not the one that was sent."""
    other = type(message).FromString(encoded)
    fields = [field.name for field in message.DESCRIPTOR.fields]
    return [name for name in fields if getattr(message, name) != getattr(other, name)]
