import json
from typing import Any

import pytest
from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteRequest
from google.protobuf.json_format import ParseDict

from instructors.domains import Domains
from instructors.needs import ModelName, StepNeeds, needs_of
from instructors.plans import Plans
from processing_service.engine.definitions import parse_definition

ECHO = "postprocessing.post_postprocessing_execute"
INFER = "inference.post_inference_execute"
PARAMETERS = {
    "model_id": {"value_type": "STRING", "default_value": "reader"},
    "version": {"value_type": "STRING", "optional": True},
    "names": {"value_type": "STRING", "is_list": True, "default_value": ["a", "b", "a"]},
    "wanted": {"value_type": "BOOLEAN", "default_value": True},
}


def needs(*steps: dict[str, Any], **values: Any) -> list[StepNeeds]:
    """What the steps of a workflow need, with these parameters."""
    domains = Domains.of_contract()
    source = json.dumps({"workflow_id": "w", "parameters": PARAMETERS, "steps": steps})
    definition, _ = parse_definition(source, domains)
    request = ParseDict({"parameters": values}, PostWorkflowExecuteRequest())
    return needs_of(Plans(domains).of(definition), definition.parameter_values(request).values)


def infer(model_id: str, **parts: Any) -> dict[str, Any]:
    """A step that runs a model."""
    return {"step_id": "run", "operation": INFER, "parameters": {"model_id": model_id}, **parts}


def say(step_id: str = "say", **parts: Any) -> dict[str, Any]:
    """A step without a model."""
    return {"step_id": step_id, "operation": ECHO, "parameters": {"echo": {"text": "hi"}}, **parts}


@pytest.mark.parametrize(
    ("model_id", "parts", "models"),
    [
        ("literal", {}, ["literal"]),
        ("${parameters.model_id}", {}, ["reader"]),
        ("${parameters.model_id + '-small'}", {}, ["reader-small"]),
        ("${item}", {"foreach": {"items": "${parameters.names}"}}, ["a", "b"]),
        ("fixed", {"foreach": {"items": "${parameters.names}"}}, ["fixed"]),
    ],
)
def test_models_are_known_where_parameters_tell(model_id: str, parts: dict[str, Any], models: list[str]) -> None:
    """Literal, bound, by item; in the newest version if the step names none."""
    (found,) = needs(infer(model_id, **parts))
    assert found.models == tuple(ModelName(each, "") for each in models)
    assert found.unknown == ()


def test_a_version_that_is_bound_is_known_too() -> None:
    """One that is left out means the newest."""
    step = infer("m")
    step["parameters"]["model_version"] = "${parameters.version}"
    assert needs(step)[0].models == (ModelName("m", ""),)
    assert needs(step, version="2")[0].models == (ModelName("m", "2"),)


@pytest.mark.parametrize(
    ("model_id", "parts", "says"),
    [
        ("${steps.say.echo.text}", {}, "which model it needs is known only then"),
        ("${has(steps.say.echo.text) ? 'a' : 'b'}", {}, "which model it needs is known only then"),
        ("${item}", {"foreach": {"items": "${[steps.say.echo.text]}"}}, "which model it needs is known only then"),
        ("m", {"foreach": {"items": "${[steps.say.echo.text]}"}}, "how many calls it makes is known only then"),
        ("m", {"condition": "steps.say.echo.text == 'hi'"}, "whether it runs is known only then; it is counted"),
    ],
)
def test_what_results_decide_is_said_to_be_unknown(model_id: str, parts: dict[str, Any], says: str) -> None:
    """No guess takes the place of what an earlier step will tell."""
    _, found = needs(say(), infer(model_id, **parts))
    assert says in "; ".join(found.unknown)
    assert found.models == ((ModelName("m", ""),) if model_id == "m" else ())
    assert not found.idle


def test_what_parameters_rule_out_needs_nothing() -> None:
    """A condition that is false, a foreach over nothing."""
    (skipped,) = needs(infer("m", condition="parameters.wanted"), wanted=False)
    (empty,) = needs(infer("m", foreach={"items": "${parameters.names}"}), names=[])
    assert (skipped.idle, skipped.models) == ("its condition is false", ())
    assert (empty.idle, empty.models) == ("its foreach has no items", ())


def test_calls_are_counted() -> None:
    """One an item, where the items are known."""
    (found,) = needs(infer("m", foreach={"items": "${parameters.names}"}))
    assert (found.calls, found.subjects) == (3, ("m",))
    assert needs(say())[0].subjects == ("",)


def test_a_step_that_only_names_a_model_needs_none_in_memory() -> None:
    """What its calls work on is known all the same."""
    (found,) = needs({"step_id": "look", "operation": "model.get_model", "parameters": {"model_id": "m"}})
    assert (found.models, found.subjects) == ((), ("m",))


def test_the_session_of_a_step_is_known_if_nothing_comes_between() -> None:
    """With its parameters; one that takes results is not."""

    def child(**parameters: Any) -> dict[str, Any]:
        request = {"workflow_id": "inner", "parameters": parameters}
        return {"step_id": "child", "operation": "processing.post_workflow_execute", "parameters": request}

    (known,) = needs(child(text="${parameters.model_id}"))
    _, unknown = needs(say(), child(text="${steps.say.echo.text}"))
    assert known.child is not None
    assert (known.child.workflow_id, dict(known.child.parameters)) == ("inner", {"text": "reader"})
    assert unknown.child is None
    assert unknown.unknown == ("what the session of 'inner' needs is known only then",)
