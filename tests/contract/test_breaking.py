"""The contract only grows: what the first stored descriptor set allows, every later one allows."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASELINE = Path(__file__).with_name("baseline.binpb")
BUF = Path(sys.executable).with_name("buf")


def breaking(protos: Path) -> tuple[int, set[str]]:
    """The exit code of buf, and the rules that it found broken."""
    command = [BUF, "breaking", protos, "--against", BASELINE, "--error-format", "json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return result.returncode, {json.loads(line)["type"] for line in result.stdout.splitlines()}


def test_the_contract_breaks_nobody() -> None:
    """buf finds no difference from the stored descriptor set that could break a client (FILE rules)."""
    assert breaking(ROOT / "protos") == (0, set())


@pytest.mark.parametrize(
    ("package", "old", "new", "rule"),
    [
        ("payload", "  bytes data = 3;\n", "", "FIELD_NO_DELETE"),
        ("payload", "bytes data = 3;", "bytes content = 3;", "FIELD_SAME_NAME"),
        ("payload", "bytes data = 3;", "string data = 3;", "FIELD_SAME_TYPE"),
        ("journal", "uint64 size_bytes = 4;", "uint64 size_bytes = 99;", "FIELD_NO_DELETE"),
        ("error", "ERROR_REASON_FOREIGN = 94;", "ERROR_REASON_FOREIGN = 194;", "ENUM_VALUE_NO_DELETE"),
        ("model", "GetModelRequest", "GetModelQuery", "MESSAGE_NO_DELETE"),
        ("model", "rpc GetModel(", "rpc ReadModel(", "RPC_NO_DELETE"),
        ("model", 'csharp_namespace = "', 'csharp_namespace = "Other.', "FILE_SAME_CSHARP_NAMESPACE"),
    ],
)
def test_a_break_is_found(tmp_path: Path, package: str, old: str, new: str, rule: str) -> None:
    """Each kind of change that would break a client, or what is on disk, is refused by its rule."""
    protos = shutil.copytree(ROOT / "protos", tmp_path / "protos")
    changed = protos / "coordinator" / package / "v1" / f"{package}.proto"
    text = changed.read_text()
    assert old in text
    changed.write_text(text.replace(old, new))

    returncode, rules = breaking(protos)

    assert returncode == 100
    assert rule in rules
