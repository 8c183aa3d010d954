from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import Workflow
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing_service.engine.definitions import compile_definition, digest, parse_definition, to_source
from processing_service.engine.definitions.checks import find_cycle
from processing_service.engine.definitions.text import canonical_json
from processing_service.engine.records import RetryPlan, StepPlan
from processing_service.wire.errors import Code, CoordinatorError, Violation
from tests.unit.engine.definitions.catalog import Catalog

CATALOG = Catalog()
ROOT = Path(__file__).parents[4]
GOLDEN = json.loads((ROOT / "tests" / "contract" / "definition_digests.json").read_text())

HEAD = """\
workflow_id: w
parameters:
  page: {value_type: bytes}
  count: {value_type: integer}
  share: {value_type: number}
  name: {value_type: string}
  flag: {value_type: boolean}
  names: {value_type: string, is_list: true}
  picture: {value_type: tensor}
steps:
"""
RUN = "operation: postprocessing.post_postprocessing_execute"


def faults_of(source: str) -> dict[str, Violation]:
    """The faults of a definition that is refused, by path."""
    with pytest.raises(CoordinatorError) as caught:
        parse_definition(source, CATALOG)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.reason == ErrorReason.ERROR_REASON_WORKFLOW_INVALID
    return {violation.field_path: violation for violation in caught.value.violations}


def step(step_id: str, parameters: str, more: str = "") -> str:
    """One step of postprocessing as YAML."""
    return f"  - {{step_id: {step_id}, {RUN}, parameters: {parameters}{', ' + more if more else ''}}}\n"


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["name"])
def test_digests_stay(golden: dict[str, str]) -> None:
    """A definition has the canonical JSON and the digest that are written down, for clients in every language."""
    definition, _ = parse_definition(golden["source"], CATALOG)
    assert canonical_json(definition.workflow).decode() == golden["canonical_json"]
    assert definition.digest == golden["digest"]
    assert hashlib.sha256(golden["canonical_json"].encode()).hexdigest() == golden["digest"]


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["name"])
def test_yaml_json_and_protobuf_of_one_meaning_have_one_digest(golden: dict[str, str]) -> None:
    """However a definition is put, and put again as it was given back, its digest is the same."""
    definition, _ = parse_definition(golden["source"], CATALOG)
    workflow = definition.workflow
    as_json = json_format.MessageToJson(workflow, preserving_proto_field_name=True)
    as_camel = json_format.MessageToJson(workflow, indent=None)
    assert parse_definition(as_json, CATALOG)[0].digest == definition.digest
    assert parse_definition(as_camel, CATALOG)[0].digest == definition.digest
    assert parse_definition(to_source(workflow), CATALOG)[0].digest == definition.digest
    assert compile_definition(workflow, CATALOG).digest == definition.digest
    assert compile_definition(Workflow.FromString(definition.source), CATALOG).workflow == workflow


SAME = HEAD + step("a", "{resize: {image: '${parameters.picture}', interpolation: INTERPOLATION_AREA, max_side: 5}}")


@pytest.mark.parametrize(
    "source",
    [
        SAME.replace("INTERPOLATION_AREA", "area"),
        SAME.replace("INTERPOLATION_AREA", "AREA"),
        SAME.replace("max_side: 5", "max_side: 5.0"),
        SAME.replace("max_side: 5", "max_side: '5'"),
        SAME.replace("max_side: 5", "max_side: 5, width: 0"),
        SAME.replace("max_side: 5", "max_side: 5, height: null"),
        SAME.replace("max_side", "maxSide"),
        SAME.replace("max_side", "MaxSide"),
        SAME.replace("${parameters.picture}", "${ parameters.picture }"),
        SAME.replace("value_type: bytes", "value_type: VALUE_TYPE_BYTES"),
        SAME.replace("value_type: bytes", "description: A page., value_type: Bytes"),
        SAME.replace("workflow_id: w", "workflow_id: w # a comment\ntitle: T\ndescription: |\n  D\nlabels: {}"),
        SAME.replace("workflow_id: w", "idWorkflow: w\nrevision: '7'\ndigest: abc"),
        SAME.replace("step_id: a", "step_id: a, retry: {}, depends_on: [], optional: false, description: x"),
        "\ufeff" + SAME,
        SAME.replace("\n", "\r\n"),
    ],
)
def test_what_has_no_meaning_does_not_change_the_digest(source: str) -> None:
    """Spelling, order, comments, defaults and what is for people leave the digest as it is."""
    assert parse_definition(source, CATALOG)[0].digest == parse_definition(SAME, CATALOG)[0].digest


@pytest.mark.parametrize(
    "source",
    [
        SAME.replace("max_side: 5", "max_side: 6"),
        SAME.replace("step_id: a", "step_id: b"),
        SAME.replace("step_id: a", "step_id: a, optional: true"),
        SAME.replace("step_id: a", "step_id: a, pure: true"),
        SAME.replace("value_type: bytes", "value_type: bytes, optional: true"),
        SAME.replace("value_type: integer", "value_type: integer, default_value: 0"),
        SAME.replace("workflow_id: w", "workflow_id: w\nlabels: {team: x}"),
        SAME.replace("workflow_id: w", "workflow_id: w\ntimeout: 10s"),
    ],
)
def test_what_has_a_meaning_changes_the_digest(source: str) -> None:
    """Another value, name or default is another definition."""
    assert parse_definition(source, CATALOG)[0].digest != parse_definition(SAME, CATALOG)[0].digest


def test_the_order_of_keys_and_dependencies_has_no_meaning() -> None:
    """Steps that are waited for may be named in any order, and twice."""
    first = HEAD + step("a", "{echo: {}}") + step("b", "{echo: {}}") + step("c", "{echo: {}}", "depends_on: [a, b]")
    second = first.replace("[a, b]", "[b, a, b]")
    assert parse_definition(first, CATALOG)[0].digest == parse_definition(second, CATALOG)[0].digest


texts = st.text(max_size=20).filter(lambda text: not text.startswith(("${", "$${")) and "\0" not in text)
values = st.recursive(
    texts | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(title=st.text(), labels=st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=3), value=values)
def test_what_is_shown_reads_back(title: str, labels: dict[str, str], value: object) -> None:
    """The YAML of a definition parses to the same definition, whatever its texts and numbers are."""
    workflow = Workflow(workflow_id="w", title=title, labels=labels)
    workflow.steps.add(step_id="a", operation="model.get_models")
    json_format.ParseDict(json.loads(json.dumps(value), parse_int=float), workflow.outputs["x"].value)
    definition = compile_definition(workflow, CATALOG)
    again, _ = parse_definition(to_source(definition.workflow), CATALOG)
    assert again.workflow == definition.workflow
    assert digest(again.workflow) == definition.digest


def test_a_plan_says_what_decide_needs() -> None:
    """Dependencies follow from bindings of parameters, condition and items; times and tries are in microseconds."""
    source = HEAD + (
        step("a", "{echo: {}}")
        + step("b", "{echo: {}}", "timeout: 1.5s, optional: true, retry: {max_attempts: 5, initial_delay: 1s}")
        + step("c", "{echo: {text: '${item}'}}", "foreach: {items: '${steps.a.top_k.classifications.label}'}")
        + step("d", "{echo: {value: '${steps.c[0].echo.value}'}}", "condition: 'has(steps.b)', depends_on: [a]")
    )
    plan = parse_definition(source, CATALOG)[0].plan
    assert plan.steps == (
        StepPlan("a", idempotent=True),
        StepPlan("b", timeout_us=1_500_000, optional=True, retry=RetryPlan(5, 1_000_000), idempotent=True),
        StepPlan("c", needs=(0,), foreach=True, idempotent=True),
        StepPlan("d", needs=(0, 1, 2), conditional=True, idempotent=True),
    )
    assert plan.followers == ((2, 3), (3,), (3,), ())


def test_an_operation_that_may_not_be_repeated_is_known() -> None:
    """Whether a step may be called again is read from its operation."""
    catalog = Catalog()
    name = "model.get_models"
    catalog.operations[name] = catalog.operations[name].__class__(
        name, catalog.find(name).request, catalog.find(name).response, idempotent=False, callable=True
    )
    source = f"workflow_id: w\nsteps: [{{step_id: a, operation: {name}}}]"
    assert not parse_definition(source, catalog)[0].plan.steps[0].idempotent


def test_legacy_spellings_are_resolved_with_a_warning() -> None:
    """Old names of fields are read at every depth, reported by path, and counted by the field's full name."""
    seen: list[tuple[str, str]] = []
    source = """
IdWorkflow: w
steps:
  - idStep: a
    operation: model.get_model
    parameters: {idModel: m}
"""
    definition, warnings = parse_definition(source, CATALOG, on_legacy=lambda *spelling: seen.append(spelling))
    assert definition.workflow.steps[0].parameters["model_id"] == "m"
    assert warnings == [
        "IdWorkflow: a legacy spelling, write workflow_id",
        "steps[0].idStep: a legacy spelling, write step_id",
        "steps[0].parameters.idModel: a legacy spelling, write model_id",
    ]
    assert ("coordinator.model.v1.GetModelRequest.model_id", "idModel") in seen


def test_things_to_mend_are_warnings() -> None:
    """A parameter that nothing reads, and a binding inside of text, do not refuse a definition."""
    source = (
        "workflow_id: w\nparameters: {name: {value_type: string}, model_id: {value_type: string}}\nsteps:\n"
        + step("a", "{echo: {text: 'page ${parameters.name}'}}")
    )
    definition, warnings = parse_definition(source, CATALOG)
    assert [warning.partition(":")[0] for warning in warnings] == ["steps[0].parameters.echo.text", "parameters.name"]
    assert definition.warnings == tuple(warnings)


def test_all_faults_come_at_once() -> None:
    """Faults of every kind are gathered in one error, each with its path, its line and the nearest right name."""
    found = faults_of("""\
workflow_id: Read_Text
titel: x
timeout: 2m
parameters:
  n: {value_type: integer, default_value: x}
  m: {value_type: mesage}
steps:
  - step_id: a
    opertion: model.get_model
  - step_id: b
    operation: postprocesing.post_postprocessing_execute
  - step_id: c
    operation: processing.post_command_execute
  - step_id: d
    operation: processing.watch_processing_session
  - step_id: stepE
    operation: model.get_model
    parameters: {modle_id: x}
  - step_id: f
    operation: model.get_model
    depends_on: [bb]
    condition: steps.d
    retry: {max_attempts: 1000, initial_delay: 5}
    foreach: {items: "${parameters.nn}", max_parallel: 100}
    parameters: {model_id: "${steps.e.model.model_id}"}
outputs:
  result: "${steps.f}"
""")
    assert {
        path: (violation.description.partition(": ")[0], violation.suggestion) for path, violation in found.items()
    } == {
        "titel": ("line 2:1", "title"),
        "timeout": ("line 3:1", "120s"),
        "parameters.n.default_value": ("line 5:28", ""),
        "parameters.m.value_type": ("line 6:7", "MESSAGE"),
        "steps[0].opertion": ("line 9:5", "operation"),
        "steps[1].operation": ("line 11:5", "postprocessing.post_postprocessing_execute"),
        "steps[2].operation": ("line 13:5", ""),
        "steps[3].operation": ("line 15:5", ""),
        "steps[4].step_id": ("line 16:5", "step_e"),
        "steps[4].parameters.modle_id": ("line 18:18", "model_id"),
        "steps[5].depends_on[0]": ("line 21:18", "b"),
        "steps[5].condition": ("line 22:5", ""),
        "steps[5].retry.max_attempts": ("line 23:13", ""),
        "steps[5].retry.initial_delay": ("line 23:33", "5s"),
        "steps[5].foreach.items": ("line 24:15", "n"),
        "steps[5].foreach.max_parallel": ("line 24:42", ""),
        "steps[5].parameters.model_id": ("line 25:18", ""),
        "outputs.result": ("line 27:3", "{value: ...}"),
        "workflow_id": ("line 1:1", "read-text"),
    }


CASES = {
    "cycle": (
        step("a", "{echo: {text: '${steps.c.echo.text}'}}")
        + step("b", "{echo: {text: '${steps.a.echo.text}'}}")
        + step("c", "{echo: {}}", "depends_on: [b]"),
        "steps[0]",
        "a -> c -> b -> a",
    ),
    "a step that waits for itself": (
        step("a", "{echo: {text: '${steps.a.echo.text}'}}"),
        "steps[0]",
        "step 'a' waits for itself",
    ),
    "integer for bytes": (
        step("a", "{decode: {image_bytes: '${parameters.count}'}}"),
        "steps[0].parameters.decode.image_bytes",
        "takes bytes, and ${parameters.count} is an integer",
    ),
    "integer for tensor": (
        step("a", "{decode: {}}") + step("b", "{resize: {image: '${steps.a.decode.width}'}}"),
        "steps[1].parameters.resize.image",
        "takes Tensor, and ${steps.a.decode.width} is an integer",
    ),
    "text for integer": (
        step("a", "{decode: {max_pixels: '${parameters.name}'}}"),
        "steps[0].parameters.decode.max_pixels",
        "takes an integer, and ${parameters.name} is text",
    ),
    "expression of the wrong type": (
        step("a", "{echo: {text: '${parameters.count + 1}'}}"),
        "steps[0].parameters.echo.text",
        "takes text, and ${parameters.count + 1} is an integer",
    ),
    "tensor for list of tensors": (
        step("a", "{vote: {scores: '${parameters.picture}'}}"),
        "steps[0].parameters.vote.scores",
        "takes a list of Tensor, and ${parameters.picture} is Tensor",
    ),
    "list of lists for list": (
        step("a", "{crop: {}}", "foreach: {items: '${[1, 2]}'}")
        + step("b", "{vote: {scores: '${steps.a.crop.crops}'}}"),
        "steps[1].parameters.vote.scores",
        "is a list of a list of Tensor",
    ),
    "another message of an expression": (
        step("a", "{top_k: {}}")
        + step("b", "{crop: {regions: '${steps.a.top_k.classifications.filter(c, c.score > 0.5)}'}}"),
        "steps[1].parameters.crop.regions",
        "is a list of Classification",
    ),
    "map for message of scalars": (
        "  - step_id: a\n    operation: inference.post_inference_execute\n"
        "    parameters: {inputs: '${parameters.picture}'}\n",
        "steps[0].parameters.inputs",
        "takes a map of Tensor, and ${parameters.picture} is Tensor",
    ),
    "no map": (
        "  - {step_id: a, operation: inference.post_inference_execute, parameters: {inputs: [1]}}\n",
        "steps[0].parameters.inputs",
        "must be an object, not a list",
    ),
    "no timestamp": (
        "  - {step_id: a, operation: processing.get_processing_sessions, parameters: {created_after: soon}}\n",
        "steps[0].parameters.created_after",
        "cannot be read as a Timestamp: 'soon'",
    ),
    "two spellings": (
        step("a", "{decode: {image_bytes: YQ==, imageBytes: YQ==}}"),
        "steps[0].parameters.decode.image_bytes",
        "given twice, as ",
    ),
    "too deep": (
        "  - {step_id: a, operation: processing.post_workflow_execute, parameters: {parameters: {a: "
        + "[" * 24
        + "]" * 24
        + "}}}\n",
        "steps[0].parameters.parameters.a" + "[0]" * 22,
        "nested deeper than 24",
    ),
    "no finite number": (
        step("a", "{echo: {}}") + "outputs: {x: {value: {y: 1e999}}}\n",
        "outputs.x.value.y",
        "JSON has no such number",
    ),
    "index of a number": (
        step("a", "{echo: {value: '${parameters.count[0]}'}}"),
        "steps[0].parameters.echo.value",
        "an integer has no [0]",
    ),
    "another message": (
        step("a", "{detect_regions: {}}")
        + step("b", "{annotate: {image: '${parameters.picture}', regions: '${steps.a.top_k.classifications}'}}"),
        "steps[1].parameters.annotate.regions",
        "takes a list of Region, and ${steps.a.top_k.classifications} is a list of Classification",
    ),
    "literal of the wrong type": (
        step("a", "{echo: {value: abc}}"),
        "steps[0].parameters.echo.value",
        "must be a number, not 'abc'",
    ),
    "number for text": (step("a", "{echo: {text: 5}}"), "steps[0].parameters.echo.text", "must be text, not 5"),
    "out of range": (
        step("a", "{resize: {width: 3000000000}}"),
        "steps[0].parameters.resize.width",
        "must be from -2147483648 to 2147483647",
    ),
    "unknown enum value": (
        step("a", "{resize: {interpolation: areaa}}"),
        "steps[0].parameters.resize.interpolation",
        "must be one of NEAREST, BILINEAR, BICUBIC, AREA, LANCZOS, not 'areaa'",
    ),
    "not base64": (step("a", "{decode: {image_bytes: '?'}}"), "steps[0].parameters.decode.image_bytes", "base64"),
    "not a list": (step("a", "{top_k: {labels: a}}"), "steps[0].parameters.top_k.labels", "must be a list"),
    "not an object": (
        step("a", "{echo: 5}"),
        "steps[0].parameters.echo",
        "must be an object with fields of EchoOperation",
    ),
    "not a duration": (
        step("a", "{echo: {delay: 5 min}}"),
        "steps[0].parameters.echo.delay",
        "must be a duration in seconds such as 10s or 0.5s, not '5 min'",
    ),
    "two of a oneof": (step("a", "{echo: {}, decode: {}}"), "steps[0].parameters.echo", "'decode' is set too"),
    "unknown step": (
        step("page", "{echo: {text: '${steps.pgae.x}'}}"),
        "steps[0].parameters.echo.text",
        "no step 'pgae'",
    ),
    "unknown parameter": (
        step("a", "{echo: {text: '${parameters.nmae}'}}"),
        "steps[0].parameters.echo.text",
        "no parameter 'nmae'",
    ),
    "unknown field in a path": (
        step("a", "{echo: {}}") + step("b", "{echo: {text: '${steps.a.echo.txt}'}}"),
        "steps[1].parameters.echo.text",
        "EchoResult has no field 'txt'",
    ),
    "unknown field in an expression": (
        step("a", "{echo: {}}") + step("b", "{echo: {text: \"${steps.a.echo.txt + '!'}\"}}"),
        "steps[1].parameters.echo.text",
        "EchoResult has no field 'txt'",
    ),
    "binding that is not closed": (
        step("a", "{echo: {text: '${parameters.name'}}"),
        "steps[0].parameters.echo.text",
        "ends with '}'",
    ),
    "empty binding": (step("a", "{echo: {text: '${ }'}}"), "steps[0].parameters.echo.text", "a binding is empty"),
    "two bindings in one text": (
        step("a", "{echo: {text: '${parameters.name}, ${parameters.name}'}}"),
        "steps[0].parameters.echo.text",
        "a binding is one expression",
    ),
    "expression with a fault": (
        step("a", "{echo: {text: '${parameters.name + }'}}"),
        "steps[0].parameters.echo.text",
        "at character",
    ),
    "all parameters": (
        step("a", "{echo: {value: '${size(parameters)}'}}"),
        "steps[0].parameters.echo.value",
        "parameters as a whole",
    ),
    "item outside of foreach": (
        step("a", "{echo: {text: '${item}'}}"),
        "steps[0].parameters.echo.text",
        "a step with foreach",
    ),
    "item in a condition": (
        step("a", "{echo: {}}", "condition: item == 1, foreach: {items: '${[1]}'}"),
        "steps[0].condition",
        "exists only in the parameters",
    ),
    "condition that is text": (
        step("a", "{echo: {}}", "condition: parameters.name"),
        "steps[0].condition",
        "and is text",
    ),
    "condition that is a number": (
        step("a", "{echo: {}}", "condition: 1 + 1"),
        "steps[0].condition",
        "and is an integer",
    ),
    "items that are no list": (
        step("a", "{echo: {}}", "foreach: {items: '${parameters.count}'}"),
        "steps[0].foreach.items",
        "must be a list",
    ),
    "foreach without items": (
        step("a", "{echo: {}}", "foreach: {max_parallel: 2}"),
        "steps[0].foreach.items",
        "is required",
    ),
    "step twice": (step("a", "{echo: {}}") * 2, "steps[1].step_id", "the name of another step too, steps[0]"),
    "steps of one fold": (
        step("a_b", "{echo: {}}") + step("ab", "{echo: {}}"),
        "steps[1].step_id",
        "too much like 'a_b'",
    ),
    "step of the language": (step("in", "{echo: {}}"), "steps[0].step_id", "a word of the expression language"),
    "no steps": ("", "steps", "at least one step"),
    "too many steps": ("".join(step(f"s{i}", "{echo: {}}") for i in range(201)), "steps", "at most 200"),
    "no time": (step("a", "{echo: {}}", "timeout: 0s"), "steps[0].timeout", "more than 0s"),
    "negative time": (step("a", "{echo: {}}", "max_queued: -1s"), "steps[0].max_queued", "more than 0s"),
    "a workflow that calls itself": (
        "  - {step_id: a, operation: processing.post_workflow_execute, parameters: {workflow_id: w}}\n",
        "steps[0].parameters.workflow_id",
        "calls itself",
    ),
    "bytes in JSON": (
        "  - {step_id: a, operation: processing.post_workflow_execute, "
        "parameters: {workflow_id: v, parameters: {x: {y: '${parameters.page}'}}}}\n",
        "steps[0].parameters.parameters.x.y",
        "bytes cannot stand in JSON",
    ),
    "output with bytes inside": (
        step("a", "{echo: {}}") + "outputs: {x: {value: '${steps.a}'}}\n",
        "outputs.x.value",
        "with bytes inside",
    ),
    "output of many tensors": (
        step("a", "{crop: {}}") + "outputs: {x: {value: '${steps.a.crop.crops}'}}\n",
        "outputs.x.value",
        "with bytes inside",
    ),
    "output without a value": (step("a", "{echo: {}}") + "outputs: {x: {}}\n", "outputs.x.value", "is required"),
    "output of a bad name": (
        step("a", "{echo: {}}") + "outputs: {myOutput: {value: 1}}\n",
        "outputs.myOutput",
        "lower-case words",
    ),
    "too many parameters": (
        step("a", "{echo: {}}") + "outputs: {" + ", ".join(f"x{i}: {{value: 1}}" for i in range(201)) + "}\n",
        "outputs",
        "201 outputs, at most 200",
    ),
    "too many labels": (
        step("a", "{echo: {}}") + "labels: {" + ", ".join(f"x{i}: a" for i in range(33)) + "}\n",
        "labels",
        "33 labels, at most 32",
    ),
    "endless expression": (
        step("a", f"{{echo: {{value: '${{{'1 + ' * 2000}1}}'}}}}"),
        "steps[0].parameters.echo.value",
        "at most 4096",
    ),
    "deep expression": (
        step("a", f"{{echo: {{value: '${{{'(' * 400}1{')' * 400}}}'}}}}"),
        "steps[0].parameters.echo.value",
        "recursion limit",
    ),
}


@pytest.mark.parametrize(("steps", "path", "fault"), CASES.values(), ids=CASES)
def test_a_fault_has_its_path_and_line(steps: str, path: str, fault: str) -> None:
    """Each fault of a definition is told by path and line, and in words that say what to mend."""
    found = faults_of(HEAD + steps)
    assert fault in found[path].description
    assert found[path].description.startswith("line ")


PARAMETERS = {
    "without a type": ("{default_value: 1}", "value_type", "is required"),
    "default of another type": ("{value_type: integer, default_value: 1.5}", "default_value", "must be an integer"),
    "default of a list": ("{value_type: integer, is_list: true, default_value: 1}", "default_value", "must be a list"),
    "default in a list": ("{value_type: integer, is_list: true, default_value: [1, a]}", "default_value", "integer"),
    "default of bytes": ("{value_type: bytes, default_value: YQ==}", "default_value", "go into payloads"),
    "list of bytes": ("{value_type: bytes, is_list: true}", "is_list", "a list of bytes"),
    "message without its type": ("{value_type: message}", "type_name", "is required"),
    "message of an unknown type": ("{value_type: message, type_name: a.B}", "type_name", "no message 'a.B'"),
    "tensor as message": (
        "{value_type: message, type_name: coordinator.payload.v1.Tensor}",
        "type_name",
        "write value_type tensor",
    ),
    "type of a number": ("{value_type: number, type_name: a.B}", "type_name", "for value_type message only"),
    "default of a message": (
        "{value_type: message, type_name: coordinator.postprocessing.v1.Point, default_value: {z: 1}}",
        "default_value",
        "Point has no such field",
    ),
}


@pytest.mark.parametrize(("declared", "field", "fault"), PARAMETERS.values(), ids=PARAMETERS)
def test_a_parameter_is_checked(declared: str, field: str, fault: str) -> None:
    """The declaration of a parameter is refused where its type and default do not agree."""
    source = f"workflow_id: w\nparameters:\n  p: {declared}\nsteps:\n" + step("a", "{echo: {}}")
    assert fault in faults_of(source)[f"parameters.p.{field}"].description


def test_an_operation_that_is_not_there_hides_no_binding() -> None:
    """What the parameters of its step name is checked all the same; types and fields cannot be."""
    steps = """\
  - step_id: page
    operation: postprocessing.post_nothing
    parameters: {echo: {text: "${parameters.nam}", items: ["${parameters.picture}", {x: "${steps.line.text}"}]}}
outputs:
  text: {value: "${steps.page.whatever}"}
"""

    assert set(faults_of(HEAD + steps)) == {
        "steps[0].operation",
        "steps[0].parameters.echo.text",
        "steps[0].parameters.echo.items[1].x",
    }


def test_a_message_has_faults_without_lines() -> None:
    """A definition that comes as a message is checked alike; its faults have paths alone."""
    workflow = Workflow(workflow_id="w")
    workflow.steps.add(step_id="a", operation="model.get_modle")
    with pytest.raises(CoordinatorError) as caught:
        compile_definition(workflow, CATALOG)
    assert caught.value.violations == (
        Violation("steps[0].operation", "there is no operation 'model.get_modle'", "model.get_model"),
    )
    assert caught.value.metadata == {"workflow_id": "w"}


@pytest.mark.parametrize("nanos", [1_000_000_000, (1 << 31) - 1])
def test_a_duration_of_a_message_is_one(nanos: int) -> None:
    """What has no JSON form is refused before anything is written in it."""
    workflow = Workflow(workflow_id="w", timeout=Duration(nanos=nanos))
    workflow.steps.add(step_id="a", operation="model.get_models")
    with pytest.raises(CoordinatorError) as caught:
        compile_definition(workflow, CATALOG)
    assert [violation.field_path for violation in caught.value.violations] == ["timeout"]


def test_bindings_are_bounded() -> None:
    """A text within 1 MiB cannot hold the server up with expressions without end."""
    source = HEAD + step("a", "{top_k: {labels: [" + ", ".join(["'${string(1)}'"] * 2001) + "]}}")
    assert "more than 2000 bindings" in faults_of(source)["workflow"].description


def test_no_more_faults_are_looked_for_than_are_told() -> None:
    """A text of 40,000 unknown keys gets the first 64, in order."""
    found = faults_of("\n".join(f"unknown{index}: 1" for index in range(40_000)))
    assert next(iter(found)) == "unknown0"
    assert len(found) == 64


def test_the_message_names_the_first_fault_and_counts_the_rest() -> None:
    """The message alone says what to mend first and how much there is."""
    with pytest.raises(CoordinatorError) as caught:
        parse_definition(HEAD + step("page", "{echo: {text: '${steps.pgae.echo.text}', value: x}}"), CATALOG)
    assert caught.value.message == (
        "workflow 'w' cannot be taken: steps[0].parameters.echo.text: line 11:96: there is no step 'pgae'; "
        "did you mean 'page'? (and 1 more fault)"
    )


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sets(st.sampled_from("abcdefgh")), min_size=1))
def test_a_cycle_is_a_cycle(needs: dict[str, set[str]]) -> None:
    """Each step of what is named needs the next, and without a cycle the steps can be put in order."""
    cycle = find_cycle(list(needs), needs)
    for index, name in enumerate(cycle):
        assert cycle[(index + 1) % len(cycle)] in needs[name]
    if not cycle:
        left = {name: {need for need in wanted if need in needs} for name, wanted in needs.items()}
        while left:
            free = next(name for name, wanted in left.items() if not wanted & left.keys())
            del left[free]
