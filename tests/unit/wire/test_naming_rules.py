import json
from pathlib import Path

import pytest
from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from processing_service.wire.naming_rules import Fault, faults, main

ROOT = Path(__file__).parents[3]
VECTORS = json.loads((ROOT / "tests" / "contract" / "naming_vectors.json").read_text())


def judge(text: str, name: str = "trial/v1/trial.proto", package: str = "trial.v1") -> list[Fault]:
    """The faults of one file, given in text format."""
    file = text_format.Parse(text, FileDescriptorProto(name=name, package=package, syntax="proto3"))
    return faults(FileDescriptorSet(file=[file]))


def subject(*fields: str, rest: str = "", name: str = "Subject") -> str:
    """A message with these fields, each `name` or `name` and its other properties."""
    written = [field.split(" ", 1) for field in fields]
    body = " ".join(
        f'field {{ name: "{name}" number: {number} {" ".join(properties) or "type: TYPE_INT32"} }}'
        for number, (name, *properties) in enumerate(written, start=1)
    )
    return f'message_type {{ name: "{name}" {body} {rest} }}'


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['snake']}-{vector.get('message', '')}")
def test_every_vector_is_judged_right(vector: dict[str, str]) -> None:
    """Names that generators keep pass; the others are faults, with the suggestion that can be made mechanically."""
    message = vector.get("message", "Subject")

    found = [fault for fault in judge(subject(vector["snake"], name=message)) if "." in fault.element]

    assert bool(vector["allowed"]) == (not found)
    assert {fault.element for fault in found} <= {f"{message}.{vector['snake']}"}
    if found:
        assert found[0].suggestion == vector.get("suggest", "")


@pytest.mark.parametrize(
    ("text", "element", "rule"),
    [
        pytest.param(subject("sha256sum"), "Subject.sha256sum", "N1", id="letter after a digit"),
        pytest.param(subject("a", rest='oneof_decl { name: "b__c" }'), "Subject.b__c", "N1", id="oneof"),
        pytest.param(subject("a_b"), "Subject.a_b", "N2", id="one-letter words"),
        pytest.param(subject("foobar", "foo_bar"), "Subject.foo_bar", "N3", id="two fields, one fold"),
        pytest.param(subject("a", rest='oneof_decl { name: "a" }'), "Subject.a", "N3", id="field and oneof"),
        pytest.param(subject("lambda"), "Subject.lambda", "N4", id="keyword"),
        pytest.param(subject("id_model"), "Subject.id_model", "N4", id="leading id"),
        pytest.param(subject("subject"), "Subject.subject", "N5", id="own name"),
        pytest.param(subject("x", "x_field_number"), "Subject.x_field_number", "N6", id="field number"),
        pytest.param(
            subject("x proto3_optional: true oneof_index: 0", "has_x", rest='oneof_decl { name: "_x" }'),
            "Subject.has_x",
            "N6",
            id="presence",
        ),
        pytest.param(
            subject("x type: TYPE_STRING oneof_index: 0", "clear_x", rest='oneof_decl { name: "kind" }'),
            "Subject.clear_x",
            "N6",
            id="presence in a oneof",
        ),
        pytest.param(
            subject("x proto3_optional: true oneof_index: 0", "x_default_value", rest='oneof_decl { name: "_x" }'),
            "Subject.x_default_value",
            "N6",
            id="default value",
        ),
        pytest.param(
            subject("a oneof_index: 0", "kind_case", rest='oneof_decl { name: "kind" }'),
            "Subject.kind",
            "N6",
            id="oneof case",
        ),
        pytest.param(
            subject("a oneof_index: 0", "clear_kind", rest='oneof_decl { name: "kind" }'),
            "Subject.kind",
            "N6",
            id="clear of a oneof",
        ),
        pytest.param(
            subject("none oneof_index: 0", rest='oneof_decl { name: "kind" }'), "Subject.none", "N6", id="case None"
        ),
        pytest.param(
            subject("a oneof_index: 0", rest='oneof_decl { name: "kind" }', name="KindCase"),
            "KindCase.kind",
            "N6",
            id="member called like the class",
        ),
        pytest.param(subject("foo", name="FooFieldNumber"), "FooFieldNumber.foo", "N6", id="number like the class"),
        pytest.param(subject("x type: TYPE_STRING", "x_bytes"), "Subject.x_bytes", "N6", id="Java bytes"),
        pytest.param(
            subject('x type: TYPE_MESSAGE type_name: "Y"', "x_builder"), "Subject.x_builder", "N6", id="Java builder"
        ),
        pytest.param(subject('x type: TYPE_ENUM type_name: "Y"', "x_value"), "Subject.x_value", "N6", id="Java enum"),
        pytest.param(subject("x label: LABEL_REPEATED", "x_count"), "Subject.x_count", "N6", id="Java count"),
        pytest.param(subject("x", "get_x"), "Subject.get_x", "N6", id="Go getter"),
        pytest.param(
            'enum_type { name: "Precision" value { name: "FP16" number: 0 } }', "Precision.FP16", "N7", id="prefix"
        ),
        pytest.param(
            'enum_type { name: "Precision" value { name: "PRECISION_E4M3" number: 0 } }',
            "Precision.PRECISION_E4M3",
            "N7",
            id="value shape",
        ),
        pytest.param(subject(name="GPUInfo"), "GPUInfo", "N8", id="acronym"),
        pytest.param(subject(name="Task"), "Task", "N8", id="implicit using"),
        pytest.param(subject(name="Trial"), "Trial", "N8", id="namespace segment"),
        pytest.param(subject(name="TrialReflection"), "TrialReflection", "N8", id="descriptor class"),
        pytest.param(subject(rest='nested_type { name: "Parser" }'), "Subject.Parser", "N8", id="nested message"),
        pytest.param('enum_type { name: "Status" }', "Status", "N8", id="enum"),
        pytest.param('service { name: "Trials" }', "Trials", "N8", id="service suffix"),
        *(
            pytest.param(
                f'service {{ name: "TrialService" method {{ name: "{name}" }} }}', f"TrialService.{name}", "N8", id=name
            )
            for name in ("list_models", "RunAsync", "None", "CallInvoker", "GetType", "TrialServiceBase")
        ),
        pytest.param(
            'service { name: "TrialService" method { name: "GetLog" } method { name: "GetLOG" } }',
            "TrialService.GetLOG",
            "N8",
            id="two RPCs, one fold",
        ),
        pytest.param(subject('model_id json_name: "idModel"'), "Subject.model_id", "N9", id="json_name"),
        pytest.param('extension { name: "a__b" }', "a__b", "N1", id="extension"),
    ],
)
def test_each_rule_finds_its_fault(text: str, element: str, rule: str) -> None:
    """A descriptor with one wrong name has that fault, at that name."""
    assert (element, rule) in {(fault.element, fault.rule) for fault in judge(text)}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            subject("x proto3_optional: true oneof_index: 0", "y", rest='oneof_decl { name: "_x" }'), id="optional"
        ),
        pytest.param(subject('top_k json_name: "topK"'), id="json_name that protoc fills in"),
        pytest.param(subject("x_bytes"), id="suffix without its sibling"),
        pytest.param(subject(rest='nested_type { name: "LABEL" options { map_entry: true } }'), id="map entry"),
        pytest.param('enum_type { name: "DataType" value { name: "DATA_TYPE_FP16" number: 0 } }', id="enum"),
        pytest.param('service { name: "TrialService" method { name: "GetTrial" } }', id="service"),
    ],
)
def test_good_descriptors_have_no_fault(text: str) -> None:
    """What a generator adds by itself is not held against the contract."""
    assert judge(text) == []


@pytest.mark.parametrize(
    ("name", "package", "element"),
    [
        pytest.param("trial/v1/2trial.proto", "trial.v1", "2trial", id="file that starts with a digit"),
        pytest.param("trial/v1/trial.proto", "trial.class", "trial.class", id="keyword as a package"),
        pytest.param("trial/v1/trial.proto", "trial.system.v1", "trial.system.v1", id="root namespace of C#"),
        pytest.param("trial/v1/trial.proto", "trial.v1beta", "trial.v1beta", id="letters after a digit"),
    ],
)
def test_files_and_packages_are_judged_too(name: str, package: str, element: str) -> None:
    """A file is named as a field; a package segment neither breaks Python imports nor hides a C# root namespace."""
    assert (element, "N8") in {(fault.element, fault.rule) for fault in judge("", name, package)}


def test_two_files_of_one_base_name_are_a_fault() -> None:
    """protoc writes the C# of both to one path."""
    files = [FileDescriptorProto(name=f"{folder}/service.proto", package=folder) for folder in ("one", "two")]

    assert [(fault.file, fault.element) for fault in faults(FileDescriptorSet(file=files))] == [
        ("two/service.proto", "service")
    ]


def test_files_of_google_are_not_judged() -> None:
    """What others named stays out of the report."""
    assert judge(subject("a__b"), "google/protobuf/trial.proto", "google.protobuf") == []


def test_the_contract_has_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """Every name of the contract passes, read from the committed descriptor set."""
    assert main([str(ROOT / "generated" / "python" / "coordinator" / "coordinator.binpb")]) == 0
    assert capsys.readouterr().out == ""


def test_the_command_prints_each_fault_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a fault: file, message.field, rule, what, suggestion; the exit code is 1, and 2 for a wrong call."""
    file = text_format.Parse(subject("sha256sum"), FileDescriptorProto(name="trial.proto", package="trial"))
    path = tmp_path / "set.binpb"
    path.write_bytes(FileDescriptorSet(file=[file]).SerializeToString())

    assert main([str(path)]) == 1
    expected = "trial.proto: Subject.sha256sum: N1: not words of lower-case letters, then optional digits: sha256_sum\n"
    assert capsys.readouterr().out == expected
    assert main([]) == 2
