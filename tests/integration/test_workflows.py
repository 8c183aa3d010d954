"""Definitions over the wire: put, read, listed, removed."""

import json
from urllib.request import urlopen

import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.json_format import ParseDict

from processing_service.wire.errors import Code
from processing_service.wire.telemetry.metrics import MetricsSettings
from processing_service.wire.telemetry.setup import TelemetrySettings
from tests.coordinators import ECHO, echo, paths, refused, serving

YAML = f"""
# a comment
workflow_id: greet
title: Greets
parameters:
  name: {{value_type: STRING, default_value: you}}
steps:
- step_id: say
  operation: {ECHO}
  parameters: {{echo: {{text: "${{parameters.name}}"}}}}
outputs:
  text: {{value: "${{steps.say.echo.text}}"}}
labels: {{team: a}}
"""
PLAIN = {
    "workflow_id": "greet",
    "parameters": {"name": {"value_type": "VALUE_TYPE_STRING", "default_value": "you"}},
    "steps": [{"step_id": "say", "operation": ECHO, "parameters": {"echo": {"text": "${parameters.name}"}}}],
    "outputs": {"text": {"value": "${steps.say.echo.text}"}},
    "labels": {"team": "a"},
}


def put(coordinator, definition, **fields):
    """Puts YAML, JSON or a message."""
    kind = "source" if isinstance(definition, str) else "workflow"
    return coordinator.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(**{kind: definition}, **fields))


async def test_three_ways_to_write_are_one_definition(coordinator):
    """YAML, JSON and a message of one meaning have one digest, so only the first of them changes anything."""
    replies = [
        await put(coordinator, definition) for definition in (YAML, json.dumps(PLAIN), ParseDict(PLAIN, pb.Workflow()))
    ]

    assert [reply.changed for reply in replies] == [True, False, False]
    assert len({reply.workflow.digest for reply in replies}) == 1
    assert [reply.workflow.revision for reply in replies] == [1, 1, 1]


async def test_a_new_meaning_is_a_new_revision(coordinator):
    """A change of meaning raises the revision and leaves created_at as it was."""
    first = (await put(coordinator, YAML)).workflow
    reply = await put(coordinator, YAML.replace("default_value: you", "default_value: all"))

    assert (reply.changed, reply.workflow.revision) == (True, 2)
    assert reply.workflow.digest != first.digest
    assert reply.workflow.created_at == first.created_at


async def test_validate_only_stores_nothing(coordinator):
    """The reply is what would be stored, and nothing is."""
    reply = await put(coordinator, YAML, validate_only=True)
    error = await refused(coordinator.stub.GetProcessingWorkflow(pb.GetProcessingWorkflowRequest(workflow_id="greet")))

    assert len(reply.workflow.digest) == 64
    assert error.reason_name == "WORKFLOW_NOT_FOUND"


async def test_a_definition_is_given_back_whole(coordinator):
    """As a message, and as YAML that means the same."""
    stored = (await put(coordinator, YAML)).workflow
    reply = await coordinator.stub.GetProcessingWorkflow(pb.GetProcessingWorkflowRequest(workflow_id="greet"))
    again = await put(coordinator, reply.source)

    assert reply.workflow == stored
    assert (stored.title, stored.steps[0].step_id) == ("Greets", "say")
    assert not again.changed


async def test_legacy_spellings_are_warned_of_and_counted(tmp_path):
    """Old names are read; the reply warns of each, and the metrics page counts them by field."""
    telemetry = TelemetrySettings(metrics=MetricsSettings(address="127.0.0.1:0"))
    legacy = YAML.replace("workflow_id: greet", "idWorkflow: greet").replace("step_id: say", "StepId: say")
    async with serving(tmp_path, telemetry=telemetry) as coordinator:
        reply = await put(coordinator, legacy)
        with urlopen(f"http://{coordinator.metrics_address}/metrics") as page:  # noqa: ASYNC210  # our own page
            text = page.read().decode()

    assert [warning for warning in reply.warnings if "idWorkflow" in warning]
    assert [warning for warning in reply.warnings if "StepId" in warning]
    counted = [line for line in text.splitlines() if line.startswith("processing_legacy_names_total")]
    assert [line for line in counted if "workflow_id" in line and line.endswith((" 1", " 1.0"))]
    assert [line for line in counted if "step_id" in line]


async def test_workflows_are_listed_by_page(coordinator):
    """By workflow_id, without steps, filtered by labels; a workflow that is added meanwhile moves nothing."""
    for name in ("d", "b", "a", "c"):
        await coordinator.put(name, echo(), labels={"parity": "odd" if name in "ac" else "even"})
    ask = coordinator.stub.GetProcessingWorkflows
    first = await ask(pb.GetProcessingWorkflowsRequest(page_size=3))
    await coordinator.put("aa", echo())
    rest = await ask(pb.GetProcessingWorkflowsRequest(page_size=3, page_token=first.next_page_token))
    odd = await ask(pb.GetProcessingWorkflowsRequest(labels={"parity": "odd"}))

    assert [workflow.workflow_id for workflow in first.workflows] == ["a", "b", "c"]
    assert [workflow.workflow_id for workflow in rest.workflows] == ["d"]
    assert [workflow.workflow_id for workflow in odd.workflows] == ["a", "c"]
    assert (first.total_count, rest.next_page_token, len(first.workflows[0].steps)) == (4, "", 0)


@pytest.mark.parametrize("token", ["garbage", "%%%", "é", "AAAA", "other filter"])
async def test_a_page_token_of_another_list_is_refused(coordinator, token):
    """A token is bound to its list and filter."""
    await coordinator.put("a", echo(), labels={"x": "y"})
    await coordinator.put("b", echo(), labels={"x": "y"})
    ask = coordinator.stub.GetProcessingWorkflows
    if token == "other filter":
        token = (await ask(pb.GetProcessingWorkflowsRequest(page_size=1, labels={"x": "y"}))).next_page_token
        assert token
    error = await refused(ask(pb.GetProcessingWorkflowsRequest(page_token=token)))

    assert (error.code, error.reason_name, paths(error)) == (
        Code.INVALID_ARGUMENT,
        "PAGE_TOKEN_INVALID",
        ["page_token"],
    )


async def test_a_removed_workflow_is_gone_and_its_sessions_go_on(coordinator):
    """Sessions keep the definition that they started with, also where they are read."""
    await coordinator.put(
        "slow", echo(text="still here", delay="0.2s"), outputs={"text": {"value": "${steps.say.echo.text}"}}
    )
    started = (await coordinator.execute("slow", background=True)).session
    delete = coordinator.stub.DeleteProcessingWorkflow
    await delete(pb.DeleteProcessingWorkflowRequest(workflow_id="slow"))
    session = await coordinator.ended(started.session_id)
    error = await refused(coordinator.execute("slow"))
    again = await refused(delete(pb.DeleteProcessingWorkflowRequest(workflow_id="slow")))

    assert session.outputs["text"] == "still here"
    assert [step.step_id for step in session.steps] == ["say"]
    assert error.reason_name == again.reason_name == "WORKFLOW_NOT_FOUND"


async def test_a_session_goes_on_with_the_definition_it_began_with(coordinator):
    """Who puts a new definition does not change what runs."""
    outputs = {"text": {"value": "${steps.say.echo.text}"}}
    first = await coordinator.put("greet", echo(text="old", delay="0.2s"), outputs=outputs)
    started = (await coordinator.execute("greet", background=True)).session
    await coordinator.put("greet", echo(text="new"), outputs=outputs)
    fresh = (await coordinator.execute("greet")).session
    session = await coordinator.ended(started.session_id)

    assert (session.outputs["text"], session.workflow_digest) == ("old", first.digest)
    assert fresh.outputs["text"] == "new"


async def test_a_mutating_call_is_repeated_by_its_request_id(coordinator):
    """The same content gives the first answer again; other content is refused with both digests."""
    first = await put(coordinator, YAML, request_id="r")
    again = await put(coordinator, YAML, request_id="r")
    error = await refused(put(coordinator, YAML.replace("Greets", "Hails"), request_id="r"))
    delete = coordinator.stub.DeleteProcessingWorkflow
    for _ in range(2):
        await delete(pb.DeleteProcessingWorkflowRequest(workflow_id="greet", request_id="r"))

    assert again.workflow == first.workflow
    assert (error.code, error.reason_name) == (Code.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert {len(error.metadata[name]) for name in ("first_digest", "digest")} == {64}
    assert error.metadata["first_digest"] != error.metadata["digest"]


async def test_names_that_fold_alike_are_one_name(coordinator):
    """`read-text` and `readtext` would be one method of a typed client."""
    await coordinator.put("read-text", echo())
    error = await refused(coordinator.put("readtext", echo()))

    assert error.code in (Code.ALREADY_EXISTS, Code.INVALID_ARGUMENT)
    assert "read-text" in error.message


async def test_an_unknown_workflow_is_answered_with_the_nearest(coordinator):
    """Wherever a workflow is named."""
    await coordinator.put("read-text", echo())
    stub, name = coordinator.stub, "read-txt"
    for call in (
        stub.GetProcessingWorkflow(pb.GetProcessingWorkflowRequest(workflow_id=name)),
        stub.DeleteProcessingWorkflow(pb.DeleteProcessingWorkflowRequest(workflow_id=name)),
        coordinator.execute(name),
    ):
        error = await refused(call)
        assert (error.code, error.reason_name) == (Code.NOT_FOUND, "WORKFLOW_NOT_FOUND")
        assert error.metadata["nearest"] == "read-text"
        assert error.metadata["resource_name"] == name
    assert await coordinator.sessions() == []
