"""Workflows as typed methods: published by a put, called at once, the same sessions as those of PostWorkflowExecute."""

from __future__ import annotations

import json
import sqlite3
import struct
from typing import Any
from urllib.request import urlopen

import pytest
from coordinator.payload.v1.payload_pb2 import DATA_TYPE_FLOAT32, Datum, Tensor
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.wire.errors import Code
from processing_service.wire.security import TokenSettings
from processing_service.wire.telemetry.metrics import MetricsSettings
from processing_service.wire.telemetry.setup import TelemetrySettings
from tests.coordinators import Served, echo, paths, refused, serving
from tests.typed_services import V1, V1ALPHA, listed, reflected

NAME = {"value_type": "STRING"}
GREET: dict[str, Any] = {
    "parameters": {"name": NAME, "times": {"value_type": "INTEGER", "default_value": 1}},
    "outputs": {"text": {"value": "${steps.say.echo.text}"}, "times": {"value": "${parameters.times}"}},
}
SAY = echo(text="${parameters.name}")


async def put_greet(coordinator: Served, **changes: Any) -> pb.Workflow:
    return await coordinator.put("greet", SAY, **(GREET | changes))


async def test_a_workflow_is_a_typed_method_once_it_is_put(coordinator):
    """Without a restart; its outputs have their types."""
    await put_greet(coordinator)
    greet = await reflected(coordinator, "GreetService")
    reply = await greet.execute(name="Ada", times=3)

    assert (reply.text, reply.times) == ("Ada", 3)
    assert reply.workflow_reply.session.state == pb.SESSION_STATE_SUCCEEDED


@pytest.mark.parametrize("protocol", [V1, V1ALPHA])
async def test_both_reflections_list_and_describe_it(coordinator, protocol):
    """Also methods and messages by their own names."""
    await put_greet(coordinator)
    greet = await reflected(coordinator, "GreetService", protocol=protocol)

    assert await listed(coordinator, protocol=protocol) == ["GreetService"]
    assert [field.name for field in greet.request.DESCRIPTOR.fields] == ["workflow_call", "name", "times"]


async def test_a_typed_call_is_the_session_of_an_untyped_one(coordinator):
    """The same request_id with the same content finds it, whichever of the two came first."""
    await put_greet(coordinator)
    greet = await reflected(coordinator, "GreetService")
    typed = await greet.execute(name="Ada", workflow_call={"request_id": "r", "priority": 7, "labels": {"a": "b"}})
    fields = {"request_id": "r", "priority": 7, "labels": {"a": "b"}}
    again = await coordinator.execute("greet", {"name": "Ada"}, **fields)
    error = await refused(greet.execute(name="Eve", workflow_call={"request_id": "r"}))
    untyped = await coordinator.execute("greet", {"name": "Ada"}, request_id="s")
    repeated = await greet.execute(name="Ada", workflow_call={"request_id": "s"})

    session_id = typed.workflow_reply.session.session_id
    assert (again.repeated_request, again.session.session_id) == (True, session_id)
    assert repeated.workflow_reply.session.session_id == untyped.session.session_id
    assert repeated.workflow_reply.repeated_request
    assert error.reason_name == "REQUEST_ID_REUSED"
    assert (await coordinator.session(session_id)).outputs["text"] == "Ada"


ALL = {
    "text": {"value_type": "STRING"},
    "whole": {"value_type": "INTEGER"},
    "part": {"value_type": "NUMBER"},
    "flag": {"value_type": "BOOLEAN"},
    "data": {"value_type": "BYTES"},
    "cube": {"value_type": "TENSOR"},
    "line": {"value_type": "MESSAGE", "type_name": "coordinator.postprocessing.v1.TextLine"},
    "loose": {"value_type": "MESSAGE", "type_name": "google.protobuf.Struct"},
    "wholes": {"value_type": "INTEGER", "is_list": True},
}


async def test_every_type_of_a_parameter_goes_both_ways(coordinator):
    """As an output of the same type, and in the request as PostWorkflowExecute has it, also beyond 2^53."""
    outputs = {name: {"value": f"${{parameters.{name}}}"} for name in ALL}
    await coordinator.put("all", echo(), parameters=ALL, outputs=outputs)
    service = await reflected(coordinator, "AllService")
    cube = Tensor(data_type=DATA_TYPE_FLOAT32, shape=[2], data=struct.pack("<2f", 1, 2))
    given = service.request(
        text="",
        whole=2**60,
        part=0.5,
        flag=False,
        data={"inline_bytes": b"x"},
        wholes=[1, 2**60],
    )
    given.cube.tensor.MergeFromString(cube.SerializeToString())
    given.line.text, given.loose["a"] = "a line", [1, None]
    given.workflow_call.request_id = "r"
    reply = await service.execute_raw(given.SerializeToString())
    again = await coordinator.execute(
        "all",
        {
            "text": "",
            "whole": str(2**60),
            "part": 0.5,
            "flag": False,
            "line": {"text": "a line"},
            "loose": {"a": [1, None]},
            "wholes": [1, str(2**60)],
        },
        payloads={"data": Datum(inline_bytes=b"x"), "cube": Datum(tensor=cube)},
        request_id="r",
    )

    for name in ALL.keys() - {"loose"}:
        assert getattr(reply, name) == getattr(given, name), name
    assert reply.loose.struct_value == given.loose
    assert reply.HasField("text")
    assert again.repeated_request


async def test_what_is_left_out_is_left_out(coordinator):
    """An unset field takes the default, and what is required is named."""
    await put_greet(coordinator)
    greet = await reflected(coordinator, "GreetService")
    reply = await greet.execute(name="")
    error = await refused(greet.execute(times=2))

    assert (reply.text, reply.times, reply.HasField("text")) == ("", 1, True)
    assert (error.reason_name, paths(error)) == ("FIELD_REQUIRED", ["parameters.name"])


async def test_an_empty_list_is_given_where_a_list_has_to_be(coordinator):
    """Else it is left out, as nobody can tell the two apart."""
    names = {"value_type": "STRING", "is_list": True}
    kinds = {"needed": names, "usual": {**names, "default_value": ["a"]}, "free": {**names, "optional": True}}
    outputs = {name: {"value": f"${{parameters.{name}}}"} for name in kinds}
    await coordinator.put("lists", echo(), parameters=kinds, outputs=outputs)
    lists = await reflected(coordinator, "ListsService")
    reply = await lists.execute(workflow_call={"session_id": "s"})

    assert (list(reply.needed), list(reply.usual), list(reply.free)) == ([], ["a"], [])
    assert sorted((await coordinator.session("s")).outputs) == ["needed", "usual"]


async def test_bytes_that_are_no_request_and_fields_that_are_none_are_refused(coordinator):
    """A field of a client that is newer, or older, would otherwise be left out in silence."""
    await put_greet(coordinator)
    greet = await reflected(coordinator, "GreetService")
    malformed = await refused(greet.execute_raw(b"\xff\xff"))
    unknown = await refused(greet.execute_raw(greet.request(name="Ada").SerializeToString() + b"\xa0\x06\x01"))

    assert (malformed.code, malformed.reason_name) == (Code.INVALID_ARGUMENT, "FIELD_INVALID")
    assert (unknown.code, unknown.reason_name) == (Code.INVALID_ARGUMENT, "FIELD_UNKNOWN")
    assert "field 100" in unknown.message


async def test_a_session_that_fails_is_told_as_by_post_workflow_execute(coordinator):
    """In the reply, with the failure; outputs are unset."""
    await coordinator.put("greet", echo(text="${['a'][parameters.times]}"), **GREET)
    greet = await reflected(coordinator, "GreetService")
    reply = await greet.execute(name="Ada", times=5)

    assert reply.workflow_reply.session.state == pb.SESSION_STATE_FAILED
    assert reply.workflow_reply.session.failure.cause.reason_name or reply.workflow_reply.session.failure.reason_name
    assert not reply.HasField("text")


async def test_it_is_served_after_a_restart_with_the_same_numbers(tmp_path):
    """Recreated from the store."""
    async with serving(tmp_path) as coordinator:
        await put_greet(coordinator)
        before = (await reflected(coordinator, "GreetService")).request.DESCRIPTOR.fields_by_name
    async with serving(tmp_path) as coordinator:
        greet = await reflected(coordinator, "GreetService")
        reply = await greet.execute(name="Ada")

    assert reply.text == "Ada"
    assert {name: field.number for name, field in before.items()} == numbers(greet)


def numbers(service: Any) -> dict[str, int]:
    return {field.name: field.number for field in service.request.DESCRIPTOR.fields}


async def test_workflows_that_were_put_before_there_were_services_get_theirs(tmp_path):
    """At the next start; their revision stays as it was."""
    async with serving(tmp_path) as coordinator:
        stored = await put_greet(coordinator)
    with sqlite3.connect(tmp_path / "store" / "coordinator.sqlite") as connection:
        connection.execute("DELETE FROM interface")
    connection.close()
    async with serving(tmp_path) as coordinator:
        reply = await (await reflected(coordinator, "GreetService")).execute(name="Ada")
        now = await coordinator.stub.GetProcessingWorkflow(pb.GetProcessingWorkflowRequest(workflow_id="greet"))

    assert reply.text == "Ada"
    assert now.workflow == stored


async def test_it_goes_with_its_workflow_and_comes_back_with_its_numbers(coordinator):
    """A deletion does not free a number."""
    await put_greet(coordinator)
    greet = await reflected(coordinator, "GreetService")
    await coordinator.stub.DeleteProcessingWorkflow(pb.DeleteProcessingWorkflowRequest(workflow_id="greet"))
    gone, names = await refused(greet.execute(name="Ada")), await listed(coordinator)
    await put_greet(coordinator, parameters={"zeal": {"value_type": "NUMBER", "optional": True}, **GREET["parameters"]})
    back = await reflected(coordinator, "GreetService")

    assert (gone.code, names) == (Code.UNIMPLEMENTED, [])
    assert numbers(back) == {**numbers(greet), "zeal": 4}


TIMES = GREET["parameters"]["times"]
TEXT = {"text": GREET["outputs"]["text"]}
BREAKS = [
    pytest.param({"parameters": {"name": NAME}, "outputs": TEXT}, ["parameters.times", "outputs.times"], id="removed"),
    pytest.param({"parameters": {"name": NAME, "times": {"value_type": "NUMBER", "default_value": 1}}},
                 ["parameters.times", "outputs.times"], id="another type"),
    pytest.param({"parameters": {"name": {**NAME, "is_list": True}, "times": TIMES},
                  "steps": [echo()], "outputs": {**GREET["outputs"]}}, ["parameters.name"], id="a list"),
    pytest.param({"parameters": {"name": NAME, "times": {"value_type": "INTEGER"}}}, ["parameters.times"],
                 id="required"),
    pytest.param({"parameters": {**GREET["parameters"], "new": NAME}}, ["parameters.new"], id="new and required"),
    pytest.param({"outputs": {**GREET["outputs"], "text": {"value": "${parameters.times}"}}}, ["outputs.text"],
                 id="another output"),
]  # fmt: skip


@pytest.mark.parametrize("validate_only", [False, True])
@pytest.mark.parametrize(("changes", "found"), BREAKS)
async def test_what_would_break_clients_is_refused(coordinator, changes, found, validate_only):
    """With the field paths, and nothing is stored."""
    stored = await put_greet(coordinator)
    source = json.dumps({"workflow_id": "greet", "steps": [SAY], **GREET, **changes})
    request = pb.PutProcessingWorkflowRequest(source=source, validate_only=validate_only)
    error = await refused(coordinator.stub.PutProcessingWorkflow(request))
    now = await coordinator.stub.GetProcessingWorkflow(pb.GetProcessingWorkflowRequest(workflow_id="greet"))

    assert (error.code, error.reason_name) == (Code.FAILED_PRECONDITION, "WORKFLOW_BREAKING")
    assert paths(error) == found
    assert error.metadata == {"workflow_id": "greet"}
    assert now.workflow == stored


@pytest.mark.parametrize(("changes", "found"), BREAKS)
async def test_allow_breaking_stores_it_all_the_same(coordinator, changes, found):
    """And no number is ever given to another field: what went is reserved."""
    await put_greet(coordinator)
    before = await reflected(coordinator, "GreetService")
    source = json.dumps({"workflow_id": "greet", "steps": [SAY], **GREET, **changes})
    await coordinator.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=source, allow_breaking=True))
    after = await reflected(coordinator, "GreetService")

    types = {field.number: (field.name, field.type, field.is_repeated) for field in before.request.DESCRIPTOR.fields}
    now = {field.number: (field.name, field.type, field.is_repeated) for field in after.request.DESCRIPTOR.fields}
    assert {number: now[number] for number in types.keys() & now.keys()}.items() <= types.items()


async def test_a_removed_field_is_reserved_and_its_clients_are_told(coordinator):
    """By number and name; the old client's call is refused, and when it comes back it has another number."""
    await put_greet(coordinator)
    old = await reflected(coordinator, "GreetService")
    less = json.dumps({"workflow_id": "greet", "steps": [SAY], "parameters": {"name": NAME}, "outputs": TEXT})
    await coordinator.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=less, allow_breaking=True))
    got = await coordinator.stub.GetProcessingWorkflow(pb.GetProcessingWorkflowRequest(workflow_id="greet"))
    error = await refused(old.execute(name="Ada", times=2))
    reply = await old.execute(name="Ada")
    await put_greet(coordinator)
    new = await reflected(coordinator, "GreetService")

    assert '  reserved 3;\n  reserved "times";\n' in got.proto_source
    assert error.reason_name == "FIELD_UNKNOWN"
    assert reply.text == "Ada"
    assert numbers(new) == {"workflow_call": 1, "name": 2, "times": 4}


async def test_what_only_adds_is_taken(coordinator):
    """Old clients go on, with the numbers that they have."""
    await put_greet(coordinator)
    old = await reflected(coordinator, "GreetService")
    more = {"a_new": {"value_type": "STRING", "optional": True}, **GREET["parameters"]}
    await put_greet(coordinator, parameters=more, outputs={**GREET["outputs"], "also": {"value": "${parameters.name}"}})
    reply = await old.execute(name="Ada", times=2)
    new = await reflected(coordinator, "GreetService")

    assert (reply.text, reply.times) == ("Ada", 2)
    assert numbers(new) == {**numbers(old), "a_new": 4}


async def test_watch_starts_a_session_and_ends_with_its_response(coordinator):
    """A snapshot, every event in order, then what Execute would reply."""
    await put_greet(coordinator)
    greet = await reflected(coordinator, "GreetService")
    execute = greet.request(name="Ada", workflow_call={"request_id": "r"})
    updates = [update async for update in greet.watch(execute=execute, after_sequence=0)]
    again = [update async for update in greet.watch(execute=execute)]

    kinds = [update.WhichOneof("update") for update in updates]
    sequences = [update.event.sequence for update in updates if update.HasField("event")]
    session_id = updates[0].snapshot.session_id
    assert (kinds[0], kinds[-1]) == ("snapshot", "response")
    assert sequences == list(range(1, len(await coordinator.events(session_id)) + 1))
    assert updates[-1].response.text == "Ada"
    assert updates[-1].response.workflow_reply.session.state == pb.SESSION_STATE_SUCCEEDED
    assert again[0].snapshot.session_id == session_id
    assert again[-1].response.workflow_reply.repeated_request


async def test_watch_goes_on_with_a_session_that_was_started_before(coordinator):
    """Whoever started it, behind the number that is given; also to the end of one that is cancelled."""
    await coordinator.put("greet", echo(text="${parameters.name}", delay="60s"), **GREET)
    greet = await reflected(coordinator, "GreetService")
    await coordinator.execute("greet", {"name": "Ada"}, session_id="s", background=True)
    async for update in coordinator.watch("s"):
        if update.event.sequence:
            break
    watch = greet.watch(session_id="s", after_sequence=1)
    control = pb.PostSessionControlRequest(session_id="s", control_action=pb.CONTROL_ACTION_CANCEL)
    updates = []
    async for update in watch:
        if not updates:
            await coordinator.stub.PostSessionControl(control)
        updates.append(update)

    assert updates[0].snapshot.session_id == "s"
    assert next(update.event.sequence for update in updates if update.HasField("event")) == 2
    assert updates[-1].response.workflow_reply.session.state == pb.SESSION_STATE_CANCELLED


async def test_a_watch_that_cannot_be_is_refused(coordinator):
    """Without a subject, of another workflow, past the history, of a session that is not stored, or leaves with it."""
    await put_greet(coordinator)
    await coordinator.put("other", echo())
    await coordinator.execute("other", session_id="o")
    await coordinator.execute("greet", {"name": "Ada"}, session_id="s")
    greet = await reflected(coordinator, "GreetService")
    ephemeral = greet.request(name="a", workflow_call={"durability": pb.DURABILITY_NONE})
    leaving = greet.request(name="a", workflow_call={"cancel_on_disconnect": True})
    errors = [
        await refused(greet.watch(**fields))
        for fields in (
            {},
            {"session_id": "o"},
            {"session_id": "none"},
            {"session_id": "s", "after_sequence": 99},
            {"execute": ephemeral},
            {"execute": greet.request(name="a"), "after_sequence": 2},
            {"execute": leaving},
        )
    ]

    assert [error.reason_name for error in errors] == [
        "FIELD_REQUIRED",
        "FIELD_CONFLICT",
        "SESSION_NOT_FOUND",
        "SEQUENCE_OUT_OF_RANGE",
        "FIELD_INVALID",
        "FIELD_INVALID",
        "FIELD_INVALID",
    ]
    assert set(await coordinator.sessions()) == {"o", "s"}


async def test_a_caller_who_leaves_cancels_the_session_if_it_says_so(coordinator):
    """With cancel_on_disconnect, as by PostWorkflowExecute."""
    await coordinator.put("greet", echo(text="${parameters.name}", delay="60s"), **GREET)
    greet = await reflected(coordinator, "GreetService")
    call = greet.execute(name="Ada", workflow_call={"session_id": "s", "cancel_on_disconnect": True})
    async for update in coordinator.watch_when_there("s"):
        if update.event.kind == pb.EVENT_KIND_SESSION_STARTED:
            call.cancel()

    assert (await coordinator.session("s")).state == pb.SESSION_STATE_CANCELLED


async def test_outputs_of_an_earlier_definition_stay_in_the_session(coordinator):
    """Where a field has another type now, with a warning; the others have their fields."""
    await put_greet(coordinator)
    await coordinator.execute("greet", {"name": "Ada", "times": 3}, session_id="s")
    changed = {"text": GREET["outputs"]["times"], "times": GREET["outputs"]["times"]}
    source = json.dumps({"workflow_id": "greet", "steps": [SAY], **GREET, "outputs": changed})
    await coordinator.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=source, allow_breaking=True))
    greet = await reflected(coordinator, "GreetService")
    response = [update async for update in greet.watch(session_id="s")][-1].response

    assert (response.times, response.HasField("text")) == (3, False)
    assert dict(response.workflow_reply.session.outputs) == {"text": "Ada"}
    assert [warning.partition(":")[0] for warning in response.workflow_reply.warnings] == ["outputs.text"]


async def test_checking_alone_starts_nothing(coordinator):
    """Neither does Watch with validate_only: it ends with the response at once."""
    await put_greet(coordinator)
    greet = await reflected(coordinator, "GreetService")
    request = greet.request(name="Ada", workflow_call={"validate_only": True})
    updates = [update async for update in greet.watch(execute=request)]

    assert [update.WhichOneof("update") for update in updates] == ["response"]
    assert await coordinator.sessions() == []


async def test_each_tenant_has_its_own_service(coordinator):
    """Of the same name, with its own fields; who has none is told so."""
    tenants = {name: (("coordinator-tenant", name),) for name in ("one", "two", "three")}
    for tenant, kind in (("one", "STRING"), ("two", "INTEGER")):
        source = {"workflow_id": "greet", "steps": [echo()], "parameters": {"name": {"value_type": kind}}}
        request = pb.PutProcessingWorkflowRequest(source=json.dumps(source))
        await coordinator.stub.PutProcessingWorkflow(request, metadata=tenants[tenant])
    one, two = [await reflected(coordinator, "GreetService", tenants[name]) for name in ("one", "two")]
    replies = [await one.execute(name="Ada"), await two.execute(name=1)]
    call = coordinator.channel.unary_unary("/coordinator.workflows.v1.GreetService/Execute")
    error = await refused(call(b"", metadata=tenants["three"]))

    assert all(reply.workflow_reply.session.session_id for reply in replies)
    assert await listed(coordinator, tenants["three"]) == []
    assert (error.code, error.reason_name) == (Code.NOT_FOUND, "WORKFLOW_NOT_FOUND")


@pytest.mark.parametrize("name", ["class", "workflow_call", "get_type"])
async def test_names_that_some_language_could_not_have_keep_a_workflow_untyped(coordinator, name):
    """It is stored as before, and the reply says what to rename."""
    parameters = {name: {**NAME, "optional": True}}
    source = json.dumps({"workflow_id": "greet", "steps": [echo()], "parameters": parameters})
    reply = await coordinator.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=source))

    named = [warning for warning in reply.warnings if warning.startswith(f"parameters.{name}: ")]
    assert any("until it is renamed the workflow has no typed service" in warning for warning in named)
    assert await listed(coordinator) == []
    assert (await coordinator.execute("greet")).session.state == pb.SESSION_STATE_SUCCEEDED


async def test_typed_calls_pass_the_edge_as_all_do(tmp_path):
    """Telemetry counts them under one name for all workflows; the deadline of a call ends its wait."""
    settings = TelemetrySettings(metrics=MetricsSettings("127.0.0.1:0"))
    async with serving(tmp_path, telemetry=settings) as coordinator:
        await coordinator.put("greet", echo(text="${parameters.name}", delay="60s"), **GREET)
        greet = await reflected(coordinator, "GreetService")
        path = "/coordinator.workflows.v1.GreetService/Execute"
        call = coordinator.channel.unary_unary(path, None, greet.response.FromString)
        reply = await call(greet.request(name="Ada").SerializeToString(), timeout=0.6)
        with urlopen(f"http://{coordinator.metrics_address}/metrics", timeout=10) as page:  # noqa: ASYNC210
            text = page.read().decode()

    assert reply.workflow_reply.session.state == pb.SESSION_STATE_RUNNING
    assert 'rpc_method="coordinator.workflows.v1.Workflow/Execute"' in text
    assert "GreetService" not in text


async def test_a_token_that_may_only_read_does_not_start_sessions(tmp_path):
    """Neither by Execute nor by Watch, although its name says that it reads."""
    secret = tmp_path / "token"
    secret.write_text("secret\n")
    tokens = (TokenSettings("reader", str(secret), read_only=True),)
    async with serving(tmp_path / "data") as coordinator:
        await put_greet(coordinator)
    async with serving(tmp_path / "data", tokens=tokens) as coordinator:
        metadata = (("authorization", "Bearer secret"),)
        greet = await reflected(coordinator, "GreetService", metadata)
        errors = [await refused(greet.execute(name="a")), await refused(greet.watch(execute=greet.request(name="a")))]
        nobody = await refused(coordinator.channel.unary_unary("/coordinator.workflows.v1.GreetService/Execute")(b""))

    assert [error.reason_name for error in errors] == ["PERMISSION_DENIED"] * 2
    assert nobody.code == Code.UNAUTHENTICATED


async def test_a_message_of_a_foreign_domain_is_a_type_too(tmp_path, greetings):
    """It comes with the service, from the pool of that domain; bytes inside of it arrive."""
    step = {"step_id": "greet", "operation": "greetings.greet", "parameters": {"people": {"a": "${parameters.person}"}}}
    person = {"value_type": "MESSAGE", "type_name": "tests.greetings.v1.Person"}
    outputs = {"age": {"value": "${steps.greet.people['a'].age}"}, "face": {"value": "${steps.greet.people['a'].face}"}}
    async with serving(tmp_path, foreign_domains=(greetings,)) as coordinator:
        await coordinator.put("meet", step, parameters={"person": person}, outputs=outputs)
        meet = await reflected(coordinator, "MeetService")
        reply = await meet.execute(person={"age": 7, "face": b"\xff"})

    assert (reply.age, reply.face.inline_bytes) == (7, b"\xff")


async def test_many_revisions_are_served_one_after_the_other(coordinator):
    """A file cannot be added to a pool twice, so each revision has its own."""
    for count in range(1, 6):
        extra = {f"extra{index}": {"value_type": "STRING", "optional": True} for index in range(count)}
        await put_greet(coordinator, parameters={**GREET["parameters"], **extra})
        greet = await reflected(coordinator, "GreetService")
        assert (await greet.execute(name="Ada", extra0="x")).text == "Ada"
    assert numbers(greet)["extra4"] == 8
