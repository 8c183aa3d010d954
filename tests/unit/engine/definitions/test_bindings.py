from __future__ import annotations

from typing import Any

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.inference.v1.inference_pb2 import PostInferenceExecuteResponse
from coordinator.payload.v1.payload_pb2 import Artifact, DataType, Datum, Tensor
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb
from coordinator.processing.v1.processing_pb2 import PostWorkflowExecuteResponse, Session
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass

from processing_service.engine.definitions import parse_definition
from processing_service.engine.definitions.bindings import Scope
from processing_service.engine.definitions.compiled import CompiledStep
from processing_service.wire.errors import Code, CoordinatorError
from tests.unit.engine.definitions.catalog import CONTRACT, Catalog

CATALOG = Catalog()
TENSOR = Tensor(data_type=DataType.DATA_TYPE_UINT8, shape=[1, 1, 3], data=b"abc")
Response = pb.PostPostprocessingExecuteResponse

HEAD = """\
workflow_id: w
parameters:
  page: {value_type: bytes, optional: true}
  count: {value_type: integer, optional: true}
  share: {value_type: number, optional: true}
  name: {value_type: string, optional: true}
  flag: {value_type: boolean, optional: true}
  names: {value_type: string, is_list: true, optional: true}
  picture: {value_type: tensor, optional: true}
  corner: {value_type: message, type_name: coordinator.postprocessing.v1.Point, optional: true}
  any: {value_type: message, type_name: google.protobuf.Struct, optional: true}
steps:
  - {step_id: run, operation: postprocessing.post_postprocessing_execute, optional: true}
  - {step_id: infer, operation: inference.post_inference_execute}
  - {step_id: child, operation: processing.post_workflow_execute, parameters: {workflow_id: v}}
  - step_id: each
    operation: postprocessing.post_postprocessing_execute
    foreach: {items: "${[1, 2]}"}
  - step_id: infer_each
    operation: inference.post_inference_execute
    foreach: {items: "${[1, 2]}"}
"""


def last_step(step: str, catalog: Catalog = CATALOG) -> CompiledStep:
    """The compiled form of a step that stands behind the others."""
    return parse_definition(HEAD + "  - " + step.strip() + "\n", catalog)[0].steps[-1]


def run_step(parameters: str, more: str = "") -> CompiledStep:
    """A step of postprocessing with those parameters."""
    operation = "operation: postprocessing.post_postprocessing_execute"
    return last_step(f"{{step_id: subject, {operation}, parameters: {parameters}{more}}}")


def scope(steps: dict[str, Any] | None = None, **parameters: Any) -> Scope:
    """Values of a session."""
    return Scope(parameters, steps or {})


def built(parameters: str, values: Scope) -> Any:
    """The request that those parameters make."""
    return run_step(parameters).build(values)


def test_literals_and_bindings_make_one_request() -> None:
    """What is literal and what is bound stand side by side, at any depth."""
    step = last_step("""
step_id: subject
    operation: inference.post_inference_execute
    parameters:
      model_id: "${parameters.name}"
      inputs: {a: "${parameters.picture}", b: {data_type: uint8, shape: [1], data: YQ==}, c: {shape: "${[2, 3]}"}}
      output_names: [x, "${parameters.name}", "${parameters.name + '!'}"]
      reductions:
        - {output_name: x, reduction_kind: argmax, axis: -1}
        - {output_name: "${parameters.name}", axis: "${parameters.count}"}
""")
    request = step.build(scope(name="m", picture=TENSOR, count=7))
    assert request.model_id == "m"
    assert request.inputs["a"] == TENSOR
    assert request.inputs["b"] == Tensor(data_type=DataType.DATA_TYPE_UINT8, shape=[1], data=b"a")
    assert request.inputs["c"].shape == [2, 3]
    assert request.output_names == ["x", "m", "m!"]
    assert (request.reductions[0].axis, request.reductions[1].axis) == (-1, 7)
    assert request.reductions[1].output_name == "m"
    assert step.needs == frozenset()
    assert step.parameters == {"name", "picture", "count"}


def test_a_list_may_hold_bindings_between_messages() -> None:
    """Items keep their order, and an item that is ABSENT is left out."""
    region = pb.Region(score=0.5)
    steps = {"run": Response(detect_regions=pb.DetectRegionsResult(regions=[region]))}
    parameters = (
        "{crop: {regions: [{score: 1}, '${steps.run.detect_regions.regions[0]}', {score: '${parameters.share}'}]}}"
    )
    request = built(parameters, scope(steps, share=0.25))
    assert [item.score for item in request.crop.regions] == [1, 0.5, 0.25]
    assert [item.score for item in built(parameters, scope(share=0.25)).crop.regions] == [1, 0.25]


def test_a_request_does_not_change_its_step() -> None:
    """Each build starts from the literals alone."""
    step = run_step("{top_k: {top_k: 2, labels: '${parameters.names}'}}")
    first = step.build(scope(names=["a", "b"]))
    first.top_k.top_k = 9
    assert step.build(scope(names=["c"])).top_k == pb.TopKOperation(top_k=2, labels=["c"])
    assert step.build(scope()).top_k == pb.TopKOperation(top_k=2)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ("{echo: {text: '$${parameters.name}'}}", "${parameters.name}"),
        ("{echo: {text: '$$'}}", "$$"),
        ("{echo: {text: '$x'}}", "$x"),
        ("{echo: {text: 'a${b}'}}", "a${b}"),
        ("{echo: {text: '$$${x}'}}", "$$${x}"),
        ("{echo: {text: \"${'}'}\"}}", "}"),
        ("{echo: {text: \"${'$$' + '{'}\"}}", "$${"),
    ],
)
def test_only_a_whole_binding_is_one(parameters: str, text: str) -> None:
    """`$${` at the start is a literal `${`; elsewhere `${` is text."""
    assert built(parameters, scope()).echo.text == text


def test_a_path_projects_over_a_list() -> None:
    """A name behind a list is that field, or key, of every item."""
    outputs = [
        PostInferenceExecuteResponse(outputs={"index": TENSOR}),
        PostInferenceExecuteResponse(outputs={"index": TENSOR}),
    ]
    request = built("{vote: {scores: '${steps.infer_each.outputs.index}'}}", scope({"infer_each": outputs}))
    assert request.vote.scores == [TENSOR, TENSOR]
    texts = [Response(echo=pb.EchoResult(text=text)) for text in "ab"]
    request = built("{top_k: {labels: '${steps.each.echo.text}'}}", scope({"each": texts}))
    assert request.top_k.labels == ["a", "b"]
    assert built("{echo: {text: '${steps.each.echo.text[1]}'}}", scope({"each": texts})).echo.text == "b"
    assert built("{echo: {text: '${steps.each[0].echo.text}'}}", scope({"each": texts})).echo.text == "a"


@pytest.mark.parametrize("path", ['steps.infer.outputs["a b"]', "steps.infer.outputs['a b']"])
def test_a_key_of_a_map_may_be_any_text(path: str) -> None:
    """A key that is no name stands in brackets."""
    step = run_step('{resize: {image: "${' + path.replace('"', '\\"') + '}"}}')
    response = PostInferenceExecuteResponse(outputs={"a b": TENSOR})
    assert step.build(scope({"infer": response})).resize.image == TENSOR


def test_whole_maps_and_messages_are_carried() -> None:
    """A map and a message go over as they are."""
    step = last_step(
        "{step_id: subject, operation: inference.post_inference_execute, "
        "parameters: {inputs: '${steps.infer.outputs}'}}"
    )
    response = PostInferenceExecuteResponse(outputs={"a": TENSOR, "b": TENSOR})
    assert dict(step.build(scope({"infer": response})).inputs) == {"a": TENSOR, "b": TENSOR}
    corner = pb.Point(x=1, y=2)
    request = built("{crop: {regions: [{corners: ['${parameters.corner}']}]}}", scope(corner=corner))
    assert request.crop.regions[0].corners == [corner]


def test_what_is_absent_leaves_its_field_unset() -> None:
    """A skipped step, a parameter that was left out, an unset message and a null leave the field, not its message."""
    parameters = (
        "{resize: {image: '${steps.run.decode.image}', max_side: '${parameters.count}', width: '${null}', "
        "multiple_of: 2}}"
    )
    expected = pb.PostPostprocessingExecuteRequest(resize=pb.ResizeOperation(multiple_of=2))
    assert built(parameters, scope()) == expected
    assert built(parameters, scope({"run": Response(echo=pb.EchoResult())})) == expected
    assert built("{echo: {text: '${parameters.name}'}}", scope()).WhichOneof("operation") == "echo"


def test_expressions_see_what_is_there() -> None:
    """`has` tells whether a step ran, a parameter was given, a message is set; what it guards need not be there."""
    step = run_step("{echo: {text: \"${has(steps.run) && has(steps.run.decode) ? 'image' : 'none'}\"}}")
    assert step.build(scope()).echo.text == "none"
    assert step.build(scope({"run": Response(echo=pb.EchoResult())})).echo.text == "none"
    assert step.build(scope({"run": Response(decode=pb.DecodeResult())})).echo.text == "image"
    assert step.needs == {"run"}
    guarded = run_step("{echo: {value: '${has(parameters.count) ? parameters.count * 2 : 1}'}}")
    assert [guarded.build(values).echo.value for values in (scope(), scope(count=4))] == [1, 8]
    by_value = run_step("{echo: {value: '${has(steps.run.decode.width) ? 1 : 2}'}}")
    assert by_value.build(scope({"run": Response(decode=pb.DecodeResult(width=1))})).echo.value == 1
    assert by_value.build(scope({"run": Response(decode=pb.DecodeResult())})).echo.value == 2
    by_key = run_step("{echo: {value: '${has(steps.infer.outputs.x) ? 1 : 2}'}}")
    assert by_key.build(scope({"infer": PostInferenceExecuteResponse(outputs={"x": TENSOR})})).echo.value == 1
    assert by_key.build(scope({"infer": PostInferenceExecuteResponse()})).echo.value == 2


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("parameters.count + 1", 5),
        ("parameters.share > 1", False),
        ("parameters.share < 1", True),
        ("parameters.count > 0.5", True),
        ("parameters.count in [4, 5]", True),
        ("size(parameters.names)", 2),
        ("parameters.names.exists(n, n == 'b')", True),
        ("parameters.names.map(n, n + '!')[1] == 'b!'", True),
        ("size(parameters.page)", 3),
        ("parameters.page == b'xyz'", True),
        ("parameters.picture.shape[2]", 3),
        ("parameters.corner.x", 1.5),
        ("parameters.any.a.b[0]", 7),
        ("parameters.any['a'].b[0] == 7.0", True),
        ("size(steps.each.echo.text)", 2),
        ("steps.each[1].echo.text == 'v'", True),
        ("steps.each.map(e, e.echo.text).exists(t, t == 'u')", True),
        ("steps.run.decode.width / 2", 5),
        ("double(steps.run.decode.width) * 0.5", 5),
        ("steps.child.session.outputs.total + 1.0", 4),
        ("steps.child.session.state == 6", True),
        ("steps.child.session.remaining_budget > duration('1s')", True),
        ("steps.infer.outputs.x.shape[0]", 1),
        ("// a comment about steps.nothing\n1 + 1", 2),
        ("{'steps': 1}.steps", 1),
    ],
)
def test_an_expression_reads_scalars_lists_and_messages(expression: str, value: float) -> None:
    """Expressions are CEL over parameters and steps, with the types that these have."""
    session = Session(state=6)  # type: ignore[arg-type]  # SUCCEEDED
    session.outputs.update({"total": 3})
    session.remaining_budget.FromSeconds(2)
    values = scope(
        {
            "run": Response(decode=pb.DecodeResult(width=10)),
            "each": [Response(echo=pb.EchoResult(text=text)) for text in "uv"],
            "infer": PostInferenceExecuteResponse(outputs={"x": TENSOR}),
            "child": PostWorkflowExecuteResponse(session=session),
        },
        count=4,
        share=0.5,
        names=["a", "b"],
        page=Datum(inline_bytes=b"xyz"),
        picture=TENSOR,
        corner=pb.Point(x=1.5),
        any={"a": {"b": [7.0]}},
    )
    step = run_step("{echo: {}}", f", condition: {expression!r}") if isinstance(value, bool) else None
    if step is not None:
        assert step.condition(values) is value
    else:
        text = expression.replace("\n", "\\n")
        assert built('{echo: {value: "${' + text + '}"}}', values).echo.value == value


FAILURES = {
    "key": ("{resize: {image: '${steps.infer.outputs.y}'}}", "there is no key 'y'; there is x"),
    "index": ("{echo: {text: '${steps.each[5].echo.text}'}}", "[5] is past the end of a list of 2"),
    "item without it": ("{vote: {scores: '${steps.each.decode.image}'}}", "item 0 of the list has no 'decode'"),
    "division": ("{echo: {value: '${1 / parameters.zero}'}}", "divide by zero"),
    "guard": (
        "{echo: {value: '${parameters.share + 1.0}'}}",
        "parameters.share has no value here; guard it with has(...)",
    ),
    "fraction": ("{resize: {max_side: '${parameters.half}'}}", "must be an integer, not 0.5"),
    "range": ("{resize: {max_side: '${parameters.huge}'}}", "must be from -2147483648 to 2147483647"),
    "enum": ("{resize: {interpolation: '${parameters.word}'}}", "must be one of"),
    "any value": ("{echo: {text: '${parameters.any.a}'}}", "must be text, not an object"),
    "field of any value": ("{echo: {text: '${parameters.any.z}'}}", "there is no key 'z'; there is a"),
    "list of any value": ("{top_k: {labels: '${parameters.any.a}'}}", "must be a list, not an object"),
    "artifact": ("{decode: {image_bytes: '${parameters.far}'}}", "the content of artifact 'abc' is not here"),
    "tensor as bytes": ("{decode: {image_bytes: '${steps.run.echo.datum}'}}", "must be bytes, not a tensor"),
    "budget": (
        "{echo: {value: '${[1,2,3,4,5,6,7,8,9,10].map(a, [1,2,3,4,5,6,7,8,9,10].map(b, [1,2,3,4,5,6,7,8,9,10]"
        ".map(c, [1,2,3,4,5,6,7,8,9,10].map(d, [1,2,3,4,5,6,7,8,9,10].map(e, a))))).size()}'}}",
        "takes more than 10000 iterations",
    ),
}


@pytest.mark.parametrize(("parameters", "fault"), FAILURES.values(), ids=FAILURES)
def test_a_binding_that_fails_says_where_and_why(parameters: str, fault: str) -> None:
    """A value that does not fit is EXPRESSION_FAILED with the step, the field, the expression and the reason."""
    types = {"zero": "integer", "half": "number", "huge": "integer", "word": "string", "far": "bytes"}
    more = "".join(f"  {name}: {{value_type: {value_type}}}\n" for name, value_type in types.items())
    head = HEAD.replace("  page:", f"{more}  page:")
    operation = "operation: postprocessing.post_postprocessing_execute"
    source = f"{head}  - {{step_id: subject, {operation}, parameters: {parameters}}}\n"
    step = parse_definition(source, CATALOG)[0].steps[-1]
    values = scope(
        {
            "infer": PostInferenceExecuteResponse(outputs={"x": TENSOR}),
            "each": [Response(echo=pb.EchoResult(text=text)) for text in "uv"],
            "run": Response(echo=pb.EchoResult(datum=Datum(tensor=TENSOR))),
        },
        zero=0,
        half=0.5,
        huge=2**40,
        word="areaa",
        any={"a": {}},
        far=Datum(artifact=Artifact(digest="abc")),
    )
    with pytest.raises(CoordinatorError) as caught:
        step.build(values)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.reason == ErrorReason.ERROR_REASON_EXPRESSION_FAILED
    assert fault in caught.value.violations[0].description
    assert caught.value.violations[0].field_path.startswith("steps[5].parameters.")
    assert caught.value.message.startswith("step 'subject': steps[5].parameters.")
    assert "${" in caught.value.message


def test_content_that_is_no_tensor_is_told() -> None:
    """EXPRESSION_FAILED, whatever the reference says that it is."""
    junk = Datum(artifact=Artifact(digest="abc", type_name="coordinator.payload.v1.Tensor"))
    values = scope(picture=junk)
    values.contents["abc"] = b"\xff junk"
    with pytest.raises(CoordinatorError, match="the content of artifact 'abc' is not a Tensor"):
        built("{resize: {image: '${parameters.picture}'}}", values)


def test_data_go_where_bytes_tensors_and_data_are_wanted() -> None:
    """A Datum gives its bytes, its tensor, or itself; bytes and tensors become a Datum."""
    png = Datum(inline_bytes=b"xyz", media_type="image/png")
    assert built("{decode: {image_bytes: '${parameters.page}'}}", scope(page=png)).decode.image_bytes == b"xyz"
    assert built("{decode: {image_bytes: '${parameters.page}'}}", scope(page=b"xyz")).decode.image_bytes == b"xyz"
    assert built("{echo: {datum: '${parameters.page}'}}", scope(page=png)).echo.datum == png
    assert built("{echo: {datum: '${parameters.page}'}}", scope(page=b"a")).echo.datum == Datum(inline_bytes=b"a")
    assert built("{echo: {datum: '${parameters.picture}'}}", scope(picture=TENSOR)).echo.datum == Datum(tensor=TENSOR)
    steps = {"run": Response(echo=pb.EchoResult(datum=Datum(tensor=TENSOR)))}
    assert built("{resize: {image: '${steps.run.echo.datum}'}}", scope(steps)).resize.image == TENSOR
    empty = {"run": Response(echo=pb.EchoResult(datum=Datum()))}
    assert not built("{echo: {datum: '${steps.run.echo.datum}'}}", scope(empty)).echo.datum.ByteSize()


def test_artifacts_are_wanted_where_their_content_is() -> None:
    """An artifact whose bytes a request needs is named before the build; one that is passed on is not."""
    far = Datum(artifact=Artifact(digest="abc", media_type="image/png"))
    tensor = Datum(artifact=Artifact(digest="def", type_name="coordinator.payload.v1.Tensor"))
    opening, passing = (
        run_step("{decode: {image_bytes: '${parameters.page}'}}"),
        run_step("{echo: {datum: '${parameters.page}'}}"),
    )
    values = scope(page=far)
    assert opening.wanted(values) == [far.artifact]
    assert passing.wanted(values) == []
    assert passing.build(values).echo.datum == far
    values.contents["abc"] = b"xyz"
    assert opening.wanted(values) == []
    assert opening.build(values).decode.image_bytes == b"xyz"
    resize = run_step("{resize: {image: '${parameters.picture}', max_side: '${parameters.picture.shape[0]}'}}")
    values = scope(picture=tensor)
    assert resize.wanted(values) == [tensor.artifact]
    values.contents["def"] = TENSOR.SerializeToString()
    assert resize.build(values).resize == pb.ResizeOperation(image=TENSOR, max_side=1)
    sized = run_step("{echo: {}}", ", condition: size(parameters.page) > 2")
    assert sized.wanted_first(scope(page=far)) == [far.artifact]
    assert sized.condition(Scope({"page": far}, {}, contents={"abc": b"xyz"}))


def test_what_items_need_is_not_what_their_requests_need() -> None:
    """A request is built of its item; the list that the item comes from is not read again for each."""
    foreach = "foreach: {items: '${steps.each.echo.text}'}"
    operation = "operation: postprocessing.post_postprocessing_execute"
    echo = "parameters: {echo: {text: '${item + steps.run.echo.text}'}}"
    step = parse_definition(f"{HEAD}  - {{step_id: subject, {operation}, {foreach}, {echo}}}\n", CATALOG)[0].steps[-1]

    assert step.needs == {"each", "run"}
    assert step.request_needs == {"run"}


def test_steps_give_artifacts_too() -> None:
    """A Datum in the reply of a step, and in each of a list of replies, is opened where bytes are wanted."""
    far = [Datum(artifact=Artifact(digest=digest)) for digest in "ab"]
    values = scope({"each": [Response(encode=pb.EncodeResult(file=datum)) for datum in far]})
    step = run_step("{decode: {image_bytes: '${item}'}}", ", foreach: {items: '${steps.each.encode.file}'}")
    assert step.items(values) == far
    values.item = far[1]
    assert step.wanted(values) == [far[1].artifact]
    values.contents["b"] = b"B"
    assert step.build(values).decode.image_bytes == b"B"


def test_conditions_and_items() -> None:
    """A condition on what is absent is false, items that are absent are none, and an item has its index."""
    step = run_step(
        "{echo: {text: '${item}', value: '${item_index}'}}",
        ", condition: parameters.flag, foreach: {items: '${parameters.names}'}",
    )
    assert step.condition(scope(flag=True))
    assert not step.condition(scope(flag=False))
    assert not step.condition(scope())
    assert step.items(scope(names=["a", "b"])) == ["a", "b"]
    assert step.items(scope()) == []
    values = Scope({}, {}, item="b", item_index=1)
    assert step.build(values).echo == pb.EchoOperation(text="b", value=1)
    plain = run_step("{echo: {}}")
    assert plain.condition(scope())
    assert plain.when is None
    assert plain.each is None


def test_a_condition_of_the_wrong_type_fails() -> None:
    """What is known only in the session is checked there."""
    step = run_step("{echo: {}}", ", condition: parameters.any.a, foreach: {items: '${parameters.any.a}'}")
    assert step.condition(scope(any={"a": True}))
    with pytest.raises(CoordinatorError, match=r"steps\[5\]\.condition: .*must come to true or false"):
        step.condition(scope(any={"a": 1}))
    assert step.items(scope(any={"a": [1, 2]})) == [1, 2]
    with pytest.raises(CoordinatorError, match=r"steps\[5\]\.foreach\.items: .*must be a list"):
        step.items(scope(any={"a": "text"}))


def test_structs_take_bindings_at_any_depth() -> None:
    """The parameters of a child session are JSON with bindings; bytes go into its payloads."""
    step = last_step("""
step_id: subject
    operation: processing.post_workflow_execute
    parameters:
      workflow_id: v
      parameters:
        count: "${parameters.count}"
        list: [1, "${parameters.name}", "${parameters.flag}", {deep: "${steps.run.top_k.classifications}"}]
        text: "$${x}"
        gone: "${steps.run.top_k.classifications[0].label}"
        big: 9007199254740993
      payloads: {page: "${parameters.page}", picture: "${parameters.picture}", same: {inline_bytes: YQ==}}
""")
    top_k = pb.TopKResult(classifications=[pb.Classification(class_index=2, label="x", score=0.1)])
    page = Datum(inline_bytes=b"xyz", media_type="image/png")
    request = step.build(scope({"run": Response(top_k=top_k)}, count=4, name="n", page=page, picture=TENSOR))
    assert dict(request.parameters) == {
        "count": 4,
        "list": request.parameters["list"],
        "text": "${x}",
        "gone": "x",
        "big": "9007199254740993",
    }
    assert list(request.parameters["list"])[:2] == [1, "n"]
    deep = request.parameters["list"][2]["deep"][0]
    assert dict(deep) == {"class_index": 2, "label": "x", "score": 0.1}
    assert request.payloads == {"page": page, "picture": Datum(tensor=TENSOR), "same": Datum(inline_bytes=b"a")}
    assert "gone" not in step.build(scope(count=4)).parameters
    whole = last_step(
        "{step_id: subject, operation: processing.post_workflow_execute, parameters: {parameters: '${parameters.any}'}}"
    )
    assert dict(whole.build(scope(any={"a": 1.0})).parameters) == {"a": 1}
    with pytest.raises(CoordinatorError, match="must be an object, not 'x'"):
        last_step(
            "{step_id: subject, operation: processing.post_workflow_execute, "
            "parameters: {parameters: '${parameters.any.a}'}}"
        ).build(scope(any={"a": "x"}))


def test_enums_durations_and_messages_of_expressions() -> None:
    """Text gives an enum value or a Duration, and a map of CEL a message."""
    request = built("{resize: {interpolation: '${parameters.name}'}}", scope(name="area"))
    assert request.resize.interpolation == pb.INTERPOLATION_AREA
    assert built("{echo: {delay: '${parameters.name}'}}", scope(name="1.5s")).echo.delay.ToMilliseconds() == 1500
    assert built("{echo: {delay: \"${duration('2s')}\"}}", scope()).echo.delay.seconds == 2
    labels = last_step(
        "{step_id: subject, operation: processing.get_processing_sessions, "
        "parameters: {created_after: '2026-01-01T00:00:00Z', created_before: \"${timestamp('2026-01-02T00:00:00Z')}\", "
        "selector: {labels: {a: b, c: '${parameters.name}'}}}}"
    ).build(scope(name="n"))
    assert labels.created_before.seconds - labels.created_after.seconds == 86400
    assert dict(labels.selector.labels) == {"a": "b", "c": "n"}
    regions = [pb.Region(score=0.75), pb.Region(score=0.25)]
    steps = {"run": Response(detect_regions=pb.DetectRegionsResult(regions=regions))}
    request = built("{crop: {regions: '${steps.run.detect_regions.regions.filter(r, r.score > 0.5)}'}}", scope(steps))
    assert request.crop.regions == regions[:1]
    parameters = '{crop: {regions: \'${[{"corners": [{"x": 1.5}], "score": parameters.share}]}\'}}'
    assert built(parameters, scope(share=0.5)).crop.regions == [pb.Region(corners=[pb.Point(x=1.5)], score=0.5)]


def foreign_catalog() -> tuple[Catalog, Any]:
    """A domain of another pool whose messages hold a Datum and a Tensor, and the class of its response."""
    pool = descriptor_pool.DescriptorPool()
    for known in (Datum.DESCRIPTOR.file, CONTRACT["model"]):
        for file in (*known.dependencies, known):
            proto = descriptor_pb2.FileDescriptorProto()
            file.CopyToProto(proto)
            pool.Add(proto)
    file = descriptor_pb2.FileDescriptorProto(name="f.proto", package="foreign.v1", syntax="proto3")
    file.dependency.append(Datum.DESCRIPTOR.file.name)
    thing = file.message_type.add(name="Thing")
    thing.field.add(name="datum", number=1, type=11, label=1, type_name=".coordinator.payload.v1.Datum")
    thing.field.add(name="tensor", number=2, type=11, label=1, type_name=".coordinator.payload.v1.Tensor")
    thing.field.add(name="size", number=3, type=5, label=1)
    service = file.service.add(name="ForeignService")
    service.method.add(name="GetThing", input_type=".foreign.v1.Thing", output_type=".foreign.v1.Thing")
    pool.Add(file)
    made = pool.FindFileByName("f.proto")
    return Catalog({**CONTRACT, "foreign": made}), GetMessageClass(made.message_types_by_name["Thing"])


def test_messages_of_another_pool_fit() -> None:
    """A domain that is described at run time gives and takes the tensors and data of ours, also in expressions."""
    catalog, thing = foreign_catalog()
    source = HEAD + (
        "  - {step_id: there, operation: foreign.get_thing}\n"
        "  - {step_id: back, operation: postprocessing.post_postprocessing_execute, "
        "parameters: {resize: {image: '${steps.there.tensor}', max_side: '${steps.there.size + 1}'}}}\n"
        "  - {step_id: bytes, operation: postprocessing.post_postprocessing_execute, "
        "parameters: {decode: {image_bytes: '${steps.there.datum}'}}}\n"
        "  - {step_id: over, operation: foreign.get_thing, "
        "parameters: {tensor: '${parameters.picture}', datum: '${parameters.page}', "
        "size: '${size(steps.there.tensor.shape)}'}}\n"
        "  - {step_id: all, operation: foreign.get_thing, "
        "parameters: {size: '${[steps.there].map(t, t.size + 1)[0]}', datum: '${steps.there.datum}'}}\n"
    )
    _, back, opened, over, whole = parse_definition(source, catalog)[0].steps[-5:]
    response = thing.FromString(thing(size=4).SerializeToString())
    response.tensor.MergeFromString(TENSOR.SerializeToString())
    response.datum.inline_bytes = b"xyz"
    values = scope({"there": response}, picture=TENSOR, page=Datum(inline_bytes=b"p"))
    assert back.build(values).resize == pb.ResizeOperation(image=TENSOR, max_side=5)
    assert opened.build(values).decode.image_bytes == b"xyz"
    assert (whole.build(values).size, whole.build(values).datum.inline_bytes) == (5, b"xyz")
    request = over.build(values)
    assert type(request) is thing
    assert (request.tensor.data, request.datum.inline_bytes, request.size) == (b"abc", b"p", 3)
