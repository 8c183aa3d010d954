"""The naming vectors as protos: what protoc, Python and the linter say of each name."""

from pathlib import Path

import pytest
from google.protobuf import json_format

from processing_service.wire.naming_rules import faults, main
from tests.contract import vectors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where their generated code is."""
    made = tmp_path_factory.mktemp("vectors")
    vectors.generate(made)
    return made


def test_python_and_json_have_the_names_of_the_vectors(folder: Path) -> None:
    """The generated Python has each name as it is written, and prints the JSON key that the vector has."""
    made = vectors.messages(folder)

    assert len(made) == len(vectors.VECTORS) == 111
    for vector in vectors.VECTORS:
        message = made[vectors.field_of(vector)]
        assert [field.name for field in message.DESCRIPTOR.fields] == [vector["snake"]]
        assert json_format.MessageToDict(message) == {vector["camel_json"]: vector["snake"]}


def test_the_linter_finds_each_refused_name_and_no_other(folder: Path) -> None:
    """In what protoc understood: a fault for each, and for each message whose name is taken."""
    package = vectors.package(False)
    found = {f"{package}.{fault.element}" for fault in faults(vectors.descriptors(folder)) if "." in fault.element}

    assert found == {vectors.field_of(vector) for vector in vectors.allowed(False)}


def test_the_linter_ends_with_a_failure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its exit code is what stops `make check`, and it says what would do."""
    assert main([str(folder / "set.binpb")]) == 1
    assert ".sha256sum: N1: " in capsys.readouterr().out
