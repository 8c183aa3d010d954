"""C# callers: generated classes are named by the rule; messages and errors pass between Python and C# unharmed."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from tests.contract import expected_names, golden_errors, vectors
from tests.contract.dotnet import CACHE, Check, compiled, is_missing
from tests.contract.every_field import messages, samples

pytestmark = pytest.mark.timeout(600)

PROJECT = Path(__file__).parent / "csharp"
UNCHECKED = "not checked in C#: names, naming vectors, System.Text.Json, messages to and from Python, golden errors"
"""What a machine without .NET leaves out, for its one line."""

if is_missing():
    pytest.skip(f"no .NET 10 SDK on PATH: {UNCHECKED}", allow_module_level=True)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the generated code of the vectors."""
    folder = tmp_path_factory.mktemp("vectors")
    vectors.generate(folder)
    return folder


@pytest.fixture(scope="module")
def check(generated: Path) -> Check:
    """Runs the checker, which has the contract and the vectors in it."""
    return compiled(PROJECT, CACHE / "csharp", UNCHECKED, f"-p:Vectors={generated}")


@pytest.mark.slow
def test_the_checker_passes_the_analyzers(generated: Path, tmp_path: Path) -> None:
    """With every warning an error, as the C# half has to."""
    compiled(PROJECT, tmp_path, UNCHECKED, f"-p:Vectors={generated}", "-p:RunAnalyzers=true")


def differences(check: Check, folder: Path, packages: str, expected: Mapping[str, str]) -> list[str]:
    """The elements of those packages that C# names otherwise."""
    (folder / "names.json").write_text(json.dumps(expected))
    result = check("names", packages, folder / "names.json")
    assert (result.returncode, result.stderr) == (1 if result.stdout else 0, "")
    return [line.split(": ")[0] for line in result.stdout.splitlines()]


def test_every_name_is_the_one_of_the_rule(check: Check, tmp_path: Path) -> None:
    """By reflection, each property, JSON key, oneof case and enum value is what the rule makes of its proto name.

    System.Text.Json makes the JSON key and the proto name of each property.
    """
    expected = expected_names.of_contract()

    assert differences(check, tmp_path, "coordinator.", expected) == []
    assert len(expected) > 2500


def test_wrong_names_are_found(check: Check, tmp_path: Path) -> None:
    """Names that differ in one letter, and one that C# does not have, fail and are named."""
    wrong = {
        "coordinator.model.v1.GetModelRequest.model_id SnakeCaseLower": "modelid",
        "coordinator.model.v1.GetModelRequest.model_id json": "model_id",
        "coordinator.model.v1.GetModelRequest.model_id property": "ModelID",
        "coordinator.model.v1.GetModelRequest.owner property": "Owner",
        "coordinator.payload.v1.DataType.DATA_TYPE_UINT8 value": "UInt8",
        "coordinator.payload.v1.Datum ContentCase": "ContentOneofCase: None",
    }

    assert differences(check, tmp_path, "coordinator.", expected_names.of_contract() | wrong) == list(wrong)


def test_every_vector_is_what_the_compiled_class_has(check: Check, tmp_path: Path) -> None:
    """What the vectors say of property, JSON key and System.Text.Json, by reflection over the compiled classes."""
    expected = expected_names.of_vectors()

    assert differences(check, tmp_path, "vectors.", expected) == []
    assert len(expected) == 4 * 111


def test_allowed_vectors_are_named_by_the_rule(check: Check, tmp_path: Path) -> None:
    """The rule says of them what the compiler does, there and back."""
    expected = expected_names.by_rule((vectors.field_of(one), one["snake"]) for one in vectors.allowed(True))

    assert differences(check, tmp_path, vectors.package(True), expected) == []


OTHER_LANGUAGES = {
    *("class", "from", "async", "lambda", "self", "in"),
    *("get_type", "memberwise_clone", "reference_equals", "constructor", "value_of", "reset", "marshal"),
    *("unknown_fields", "serialized_size", "all_fields", "default_instance_for_type", "parser_for_type"),
    *("proto_reflect", "id_model"),
}
"""Refused, though C# and JSON name them by the rule: for what another language, an object or an old caller makes of
them."""


def test_refused_vectors_do_not_come_back(check: Check, tmp_path: Path) -> None:
    """Each name that the linter refuses fails the compiled round trip too, but for those that C# has no part in."""
    refused = vectors.allowed(False)
    expected = expected_names.by_rule((vectors.field_of(one), one["snake"]) for one in refused)
    failed = {element.split()[0] for element in differences(check, tmp_path, vectors.package(False), expected)}

    assert failed == {vectors.field_of(one) for one in refused if one["snake"] not in OTHER_LANGUAGES}


def test_messages_pass_through_csharp_unharmed(check: Check, tmp_path: Path) -> None:
    """Every field of every message comes back from C# with the same value: as bytes, as JSON, and from JSON."""
    written = {f"{message.full_name}#{n}": one for message in messages() for n, one in enumerate(samples(message))}

    back = passed(check, tmp_path, "coordinator.", written)

    assert len(back) > 150
    for name, message in written.items():
        assert back[name] == json_format.MessageToDict(message), name


def test_vectors_pass_through_csharp_under_their_json_names(check: Check, generated: Path, tmp_path: Path) -> None:
    """Both print the key that the vector has, also of names that are refused."""
    made = vectors.messages(generated)
    written = {f"{message.DESCRIPTOR.full_name}#0": message for message in made.values()}

    back = passed(check, tmp_path, "vectors.", written)

    assert len(back) == len(vectors.VECTORS)
    for vector in vectors.VECTORS:
        message = made[vectors.field_of(vector)]
        printed = back[f"{message.DESCRIPTOR.full_name}#0"]
        assert printed == json_format.MessageToDict(message) == {vector["camel_json"]: vector["snake"]}


def passed(check: Check, folder: Path, packages: str, written: Mapping[str, Message]) -> dict[str, object]:
    """What C# prints of each message, after its bytes have come back the same, from bytes and from JSON."""
    given, back = folder / "given", folder / "back"
    given.mkdir()
    back.mkdir()
    for name, message in written.items():
        (given / f"{name}.binpb").write_bytes(message.SerializeToString(deterministic=True))
        (given / f"{name}.json").write_text(json_format.MessageToJson(message), encoding="utf-8")

    result = check("messages", packages, given, back)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    for name, message in written.items():
        assert _differences(message, (back / f"{name}.binpb").read_bytes()) == [], name
        assert (back / f"{name}.binpb").read_bytes() == (given / f"{name}.binpb").read_bytes(), name
        assert _differences(message, (back / f"{name}.parsed.binpb").read_bytes()) == [], name
    return {name: json.loads((back / f"{name}.json").read_text("utf-8")) for name in written}


def _differences(message: Message, encoded: bytes) -> list[str]:
    """Fields whose value is not the one that was sent."""
    other = type(message).FromString(encoded)
    fields = [field.name for field in message.DESCRIPTOR.fields]
    return [name for name in fields if getattr(message, name) != getattr(other, name)]


def test_csharp_reads_every_error(check: Check, tmp_path: Path) -> None:
    """Each golden error has the reason of its file, and is in C# what it is in Python, details and all."""
    result = check("errors", golden_errors.FOLDER, tmp_path)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    read = {path.stem: json.loads(path.read_text("utf-8")) for path in tmp_path.iterdir()}
    assert read == {name: json_format.MessageToDict(error) for name, error in golden_errors.stored().items()}
