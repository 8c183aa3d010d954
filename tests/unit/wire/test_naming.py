import json
from pathlib import Path

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason, Failure
from coordinator.model.v1.model_pb2 import GetModelRequest
from coordinator.processing.v1.processing_pb2 import (
    PostBatchCreateRequest,
    PostWorkflowExecuteRequest,
    PutProcessingWorkflowRequest,
)
from google.protobuf import descriptor_pb2, descriptor_pool, json_format
from google.protobuf.descriptor import Descriptor
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from processing_service.wire import naming
from processing_service.wire.errors import Code, CoordinatorError

VECTORS = json.loads((Path(__file__).parents[2] / "contract" / "naming_vectors.json").read_text())
names = st.from_regex(naming.NAME, fullmatch=True)
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def message(*fields: str) -> Descriptor:
    """A message with string fields of these names."""
    file = descriptor_pb2.FileDescriptorProto(name="subject.proto", package="subject", syntax="proto3")
    subject = file.message_type.add(name="Subject")
    for number, name in enumerate(fields, start=1):
        subject.field.add(name=name, number=number, type=9, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool.FindMessageTypeByName("subject.Subject")


@unhurried
@given(names)
def test_every_name_of_the_rule_comes_back(name: str) -> None:
    """Pascal and camel case lose nothing of a name of the contract."""
    assert naming.from_pascal_or_camel(naming.to_pascal(name)) == name
    assert naming.from_pascal_or_camel(naming.to_camel(name)) == name
    assert naming.fold(naming.to_pascal(name)) == naming.fold(name)
    assert "_".join(naming.words(name)) == name


@unhurried
@given(names, names)
def test_two_names_share_a_form_only_with_their_fold(first: str, second: str) -> None:
    """Names whose folds differ have different forms in every language."""
    if naming.fold(first) != naming.fold(second):
        assert naming.to_pascal(first).lower() != naming.to_pascal(second).lower()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['snake']}-{vector.get('message', '')}")
def test_conversions_agree_with_the_generators(vector: dict[str, object]) -> None:
    """What the generators really made of a name, and only that, is what the conversions make, both ways."""
    name = str(vector["snake"])
    if vector["allowed"]:
        assert vector["pascal_csharp"] == vector["go"] == naming.to_pascal(name)
        assert vector["camel_json"] == vector["ts_protobuf_es"] == vector["ts_proto"] == naming.to_camel(name)
        assert vector["java_getter"] == "get" + naming.to_pascal(name)
    if vector["roundtrips"]:
        forms = [vector[key] for key in ("pascal_csharp", "camel_json", "go", "ts_protobuf_es", "ts_proto")]
        assert {naming.from_pascal_or_camel(str(form)) for form in forms} == {name}


@unhurried
@given(st.sets(names, min_size=1, max_size=8), st.data())
def test_every_spelling_finds_its_field(fields: set[str], data: st.DataObject) -> None:
    """Pascal, camel, upper and folded spellings of a field resolve to it; only name and JSON form go unwarned."""
    distinct = list({naming.fold(name): name for name in fields}.values())
    spellings = naming.Spellings.of(distinct)
    name = data.draw(st.sampled_from(distinct))
    for spelling in (name, naming.to_camel(name), naming.to_pascal(name), name.upper(), naming.fold(name)):
        assert spellings.find(spelling) == name
        assert spellings.is_legacy(spelling) == (spelling not in {*distinct, *map(naming.to_camel, distinct)})


@unhurried
@given(names)
@example("model")
def test_a_leading_id_moves_to_the_end(noun: str) -> None:
    """id_noun, idNoun and IdNoun mean noun_id."""
    spellings = naming.Spellings.of([f"{noun}_id"])
    for spelling in (f"id_{noun}", naming.to_camel(f"id_{noun}"), naming.to_pascal(f"id_{noun}")):
        assert spellings.find(spelling) == f"{noun}_id"


@unhurried
@given(names)
@example("model")
@example("batch")
@example("entry")
def test_a_plural_behind_a_leading_id_means_the_list(noun: str) -> None:
    """id_nouns, idNouns, ids_noun and idsNouns mean noun_ids; a field that is called noun_id besides keeps its own."""
    fields = [f"{noun}_ids", f"{noun}_id"]
    spellings = naming.Spellings.of(fields)
    plural = naming.to_plural(noun)
    for legacy in (f"id_{plural}", f"ids_{noun}", f"ids_{plural}"):
        for spelling in (legacy, naming.to_camel(legacy), naming.to_pascal(legacy), legacy.upper()):
            assert spellings.find(spelling) == f"{noun}_ids"
            assert spellings.is_legacy(spelling)
    assert spellings.find(f"id_{noun}") == f"{noun}_id"


@pytest.mark.parametrize(
    ("noun", "plural"),
    [("model", "models"), ("batch", "batches"), ("box", "boxes"), ("entry", "entries"), ("key", "keys")],
)
def test_plurals_are_regular(noun: str, plural: str) -> None:
    """The plural is the regular one of English."""
    assert naming.to_plural(noun) == plural


def test_the_name_itself_goes_before_a_plural() -> None:
    """A field models_id is what idModels means, not model_ids; a single model_id is never a list of them."""
    assert naming.Spellings.of(["models_id", "model_ids"]).find("idModels") == "models_id"
    assert naming.Spellings.of(["model_id"]).find("idModels") == ""


def test_a_plural_of_two_names_resolves_nothing() -> None:
    """In a foreign message whose lists share a legacy plural, that plural is neither of them."""
    spellings = naming.Spellings.of(["foobar_ids", "foo_bar_ids"])

    assert spellings.find("idFoobars") == ""
    assert spellings.find("foo_bar_ids") == "foo_bar_ids"


@pytest.mark.parametrize("spelling", ["idModels", "IdModels", "id_models", "idsModel", "modelIDs", "ModelIds"])
def test_a_legacy_list_is_resolved_warned_of_and_counted(spelling: str) -> None:
    """As a legacy spelling of a single identifier is."""
    met: list[tuple[str, str]] = []

    resolved = naming.resolve_keys(
        {spelling: ["m"]}, PostBatchCreateRequest.DESCRIPTOR, "", lambda *legacy: met.append(legacy)
    )

    assert resolved.values == {"model_ids": ["m"]}
    assert resolved.warnings == (f"{spelling}: a legacy spelling, write model_ids",)
    assert met == [("coordinator.processing.v1.PostBatchCreateRequest.model_ids", spelling)]


@pytest.mark.parametrize(
    "spelling", ["idModel", "IdModel", "IDModel", "id_model", "ID_MODEL", "ModelId", "modelID", "ModelID", "MODEL_ID"]
)
def test_legacy_spellings_warn_and_are_counted_by_field(spelling: str) -> None:
    """A legacy spelling is renamed, named in a warning and told to the hook with the field's full name."""
    met: list[tuple[str, str]] = []

    resolved = naming.resolve_keys(
        {spelling: "m"}, GetModelRequest.DESCRIPTOR, "parameters", lambda *legacy: met.append(legacy)
    )

    assert resolved.values == {"model_id": "m"}
    assert (f"parameters.{spelling}: a legacy spelling, write model_id",) == resolved.warnings
    assert [("coordinator.model.v1.GetModelRequest.model_id", spelling)] == met


def test_current_spellings_pass_in_silence() -> None:
    """Neither the proto name nor the JSON name warns."""
    assert naming.resolve_keys({"model_id": "m"}, GetModelRequest.DESCRIPTOR).warnings == ()
    assert naming.resolve_keys({"modelId": "m"}, GetModelRequest.DESCRIPTOR).warnings == ()


def test_nested_messages_lists_and_maps_are_walked_and_struct_contents_are_not() -> None:
    """Keys are renamed in messages at every depth; keys of maps and of a Struct stay as the caller wrote them."""
    values = {
        "Workflow": {
            "idWorkflow": "read-text",
            "steps": [{"StepId": "a"}, {"stepID": "b", "parameters": {"idModel": {"idModel": 1}}}],
            "parameters": {"idModel": {"ValueType": "VALUE_TYPE_STRING", "defaultValue": {"idModel": 2}}},
        }
    }

    resolved = naming.resolve_keys(values, PutProcessingWorkflowRequest.DESCRIPTOR)

    assert resolved.values == {
        "workflow": {
            "workflow_id": "read-text",
            "steps": [{"step_id": "a"}, {"step_id": "b", "parameters": {"idModel": {"idModel": 1}}}],
            "parameters": {"idModel": {"value_type": "VALUE_TYPE_STRING", "default_value": {"idModel": 2}}},
        }
    }
    assert "workflow.steps[1].stepID: a legacy spelling, write step_id" in resolved.warnings
    assert "workflow.parameters.idModel.ValueType: a legacy spelling, write value_type" in resolved.warnings
    json_format.ParseDict(resolved.values, PutProcessingWorkflowRequest())


def test_one_spelling_warns_once_and_counts_each_time() -> None:
    """A thousand items with one legacy key make one warning and a thousand counts."""
    met: list[str] = []
    values = {"workflow": {"steps": [{"StepId": str(index)} for index in range(1000)]}}

    resolved = naming.resolve_keys(
        values, PutProcessingWorkflowRequest.DESCRIPTOR, on_legacy=lambda full_name, _: met.append(full_name)
    )

    assert resolved.warnings == ("workflow.steps[0].StepId: a legacy spelling, write step_id",)
    assert met == ["coordinator.processing.v1.WorkflowStep.step_id"] * 1000


def test_an_unknown_key_is_answered_with_the_nearest() -> None:
    """Every unknown key is a violation of its own, with its path and the nearest name."""
    values = {"modelldI": "m", "workflow_id": "w", "tiemout": "1s", "qqq": 1}

    with pytest.raises(CoordinatorError) as caught:
        naming.resolve_keys(values, PostWorkflowExecuteRequest.DESCRIPTOR, "parameters")

    assert caught.value.code == Code.INVALID_ARGUMENT
    assert caught.value.reason == ErrorReason.ERROR_REASON_FIELD_UNKNOWN
    assert [(v.field_path, v.suggestion) for v in caught.value.violations] == [
        ("parameters.modelldI", "model_id"),
        ("parameters.tiemout", "timeout"),
        ("parameters.qqq", ""),
    ]
    assert "parameters.modelldI" in caught.value.message
    assert "'model_id'" in caught.value.message


def test_two_keys_of_one_field_are_a_conflict() -> None:
    """Neither of two spellings wins; the error names both."""
    with pytest.raises(CoordinatorError) as caught:
        naming.resolve_keys({"model_id": "a", "idModel": "b"}, GetModelRequest.DESCRIPTOR)

    assert caught.value.code == Code.INVALID_ARGUMENT
    assert caught.value.reason == ErrorReason.ERROR_REASON_FIELD_CONFLICT
    assert [v.field_path for v in caught.value.violations] == ["model_id"]
    assert "'model_id'" in caught.value.message
    assert "'idModel'" in caught.value.message


def test_an_ambiguous_fold_resolves_nothing() -> None:
    """In a foreign message with foobar and foo_bar, FooBar is neither of them."""
    descriptor = message("foobar", "foo_bar")

    assert naming.resolve_keys({"foobar": 1, "fooBar": 2}, descriptor).values == {"foobar": 1, "foo_bar": 2}
    with pytest.raises(CoordinatorError, match="has no such field"):
        naming.resolve_keys({"FooBar": 1}, descriptor)


def test_values_of_the_wrong_kind_are_left_to_the_parser() -> None:
    """Only keys are judged here: a string where a message belongs passes unchanged."""
    values = {"workflow": "text", "request_id": ["r"]}

    assert values == naming.resolve_keys(values, PutProcessingWorkflowRequest.DESCRIPTOR).values


def test_endless_nesting_and_endless_keys_end_in_a_short_error() -> None:
    """Hostile input costs a bounded error: depth, number of faults and length of the names shown."""
    deep: dict[str, object] = {}
    deep["cause"] = deep
    with pytest.raises(CoordinatorError, match="nested deeper than 100"):
        naming.resolve_keys(deep, Failure.DESCRIPTOR)

    with pytest.raises(CoordinatorError) as caught:
        naming.resolve_keys({"q" * 10_000 + str(index): 1 for index in range(10_000)}, Failure.DESCRIPTOR)
    assert len(caught.value.violations) == 64
    assert len(caught.value.message) < 200
