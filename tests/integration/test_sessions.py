"""Sessions over the wire: read, listed, filtered, their history, removed."""

import asyncio

import grpc
import pytest
from coordinator.inference.v1 import inference_pb2
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from processing_service.wire.errors import Code
from processing_service.wire.interceptors.errors import from_rpc_error
from tests import onnx_models as onnx
from tests.coordinators import ECHO, echo, execution, outputs_of, paths, refused, serving

NOWHERE = "127.0.0.1:1"


@pytest.fixture
async def many(coordinator):
    """Ten sessions of two workflows, one of them failed, one of another tenant."""
    await coordinator.put("good", echo())
    await coordinator.put("bad", echo(delay="-1s"))
    for number in range(8):
        await coordinator.execute("good", session_id=f"s{number}", labels={"parity": "odd" if number % 2 else "even"})
    await coordinator.execute("bad", session_id="s8")
    tenant = (("coordinator-tenant", "other"),)
    source = (await coordinator.stub.GetProcessingWorkflow(pb.GetProcessingWorkflowRequest(workflow_id="good"))).source
    await coordinator.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=source), metadata=tenant)
    await coordinator.stub.PostWorkflowExecute(execution("good", session_id="s0"), metadata=tenant)
    return coordinator


def ask(coordinator, selector=None, **fields):
    """A page of sessions."""
    return coordinator.stub.GetProcessingSessions(pb.GetProcessingSessionsRequest(selector=selector, **fields))


def ids(reply):
    """Their ids, in order."""
    return [session.session_id for session in reply.sessions]


async def test_sessions_are_listed_newest_first_and_without_steps(many):
    """All of the caller's tenant, with a count; their steps come with GetProcessingSession."""
    reply = await ask(many)

    assert ids(reply) == [f"s{number}" for number in range(8, -1, -1)]
    assert (reply.total_count, reply.next_page_token) == (9, "")
    assert not any(session.steps for session in reply.sessions)


async def test_a_session_shows_what_each_domain_has_of_it(coordinator, tmp_path):
    """On request: the records of Inference, and for the others whether they are there; a delete cleans up in all."""
    await coordinator.put("greet", echo())
    await coordinator.execute("greet", session_id="s")
    onnx.put(tmp_path / "models", "doubling", onnx.doubling())
    record = inference_pb2.PostInferenceSessionRequest(model_id="doubling", session_id="s")
    made = (await coordinator.inference.PostInferenceSession(record)).inference_session
    ask = pb.GetProcessingSessionRequest(session_id="s", include_domain_views=True)
    views = {view.domain: view for view in (await coordinator.stub.GetProcessingSession(ask)).session.domain_views}

    assert {name: view.reachable for name, view in views.items()} == dict.fromkeys(
        ("inference", "model", "postprocessing"), True
    )
    (shown,) = MessageToDict(views["inference"].view)["inference_sessions"]
    assert shown["inference_session_id"] == made.inference_session_id
    assert not (await coordinator.session("s")).domain_views
    foreign = inference_pb2.GetInferenceSessionsRequest(session_id="s")
    tenant = (("coordinator-tenant", "other"),)
    assert not (await coordinator.inference.GetInferenceSessions(foreign, metadata=tenant)).inference_sessions

    delete = pb.DeleteProcessingSessionRequest(session_id="s")
    done = {view.domain: view for view in (await coordinator.stub.DeleteProcessingSession(delete)).domain_views}
    assert MessageToDict(done["inference"].view)["deleted_count"] == 1


async def test_a_domain_that_cannot_be_asked_is_told_apart(tmp_path):
    """The session is shown all the same; so it is removed."""
    async with serving(
        tmp_path, only="processing", inference_address=NOWHERE, postprocessing_address=NOWHERE
    ) as coordinator:
        await coordinator.put("greet", echo())
        started = await coordinator.execute("greet", session_id="s", background=True)
        ask = pb.GetProcessingSessionRequest(session_id="s", include_domain_views=True)
        session = (await coordinator.stub.GetProcessingSession(ask)).session
        delete = pb.DeleteProcessingSessionRequest(session_id="s", force=True)
        cleaned = (await coordinator.stub.DeleteProcessingSession(delete)).domain_views
        left = await coordinator.sessions()

    assert started.session.session_id == "s"
    for views in (session.domain_views, cleaned):
        (inference,) = [view for view in views if view.domain == "inference"]
        assert (inference.reachable, inference.failure.reason_name) == (False, "DOMAIN_UNAVAILABLE")
    assert left == []


async def test_pages_follow_each_other(many):
    """Every session is on one page, also when one begins in between."""
    found, token = [], ""
    while True:
        reply = await ask(many, page_size=4, page_token=token)
        found += ids(reply)
        await many.execute("good")
        if not (token := reply.next_page_token):
            break

    assert found == [f"s{number}" for number in range(8, -1, -1)]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"workflow_id": "bad"}, ["s8"]),
        ({"states": [pb.SESSION_STATE_FAILED]}, ["s8"]),
        ({"states": [pb.SESSION_STATE_FAILED, pb.SESSION_STATE_RUNNING]}, ["s8"]),
        ({"states": [pb.SESSION_STATE_PAUSED]}, []),
        ({"states": [pb.SESSION_STATE_FAILED] * 300_000}, ["s8"]),
        ({"labels": {"parity": "odd"}}, ["s7", "s5", "s3", "s1"]),
        ({"labels": {"parity": "odd", "x": "y"}}, []),
        ({"labels": {'"': "y"}}, []),
        ({"model_id": "none"}, []),
        ({"batch_id": "none"}, []),
        ({"workflow_id": "good", "labels": {"parity": "even"}}, ["s6", "s4", "s2", "s0"]),
    ],
)
async def test_sessions_are_found_by_what_they_are(many, selector, expected):
    """Every field of the selector that is set has to match."""
    assert ids(await ask(many, pb.SessionSelector(**selector))) == expected


async def test_labels_of_any_text_are_found(coordinator):
    """Names of labels may hold what SQL and JSON give a meaning to."""
    await coordinator.put("good", echo())
    labels = {'a"b': "1", "a.b": "2", "$": "3", "ü'": "4", "": "5", "a\\b": "6", "a]": "7"}
    await coordinator.execute("good", session_id="mine", labels=labels)
    for name, value in labels.items():
        assert ids(await ask(coordinator, pb.SessionSelector(labels={name: value}))) == ["mine"], name
        assert ids(await ask(coordinator, pb.SessionSelector(labels={name: "no"}))) == [], name


async def test_sessions_are_found_by_when_they_were_created(many):
    """At or after the one, before the other."""
    moments = {session.session_id: session.created_at for session in (await ask(many)).sessions}
    reply = await ask(many, created_after=moments["s2"], created_before=moments["s5"])

    assert ids(reply) == ["s4", "s3", "s2"]
    assert not reply.HasField("total_count")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"page_size": -1}, "page_size"),
        ({"selector": pb.SessionSelector(states=[99])}, "selector.states"),
        ({"selector": pb.SessionSelector(labels={f"l{n}": "" for n in range(33)})}, "selector.labels"),
        ({"created_after": Timestamp(seconds=1 << 60)}, "created_after"),
        ({"created_before": Timestamp(seconds=-(1 << 60))}, "created_before"),
    ],
)
async def test_a_filter_that_is_not_allowed_is_named(many, fields, path):
    """INVALID_ARGUMENT with the path of the field."""
    error = await refused(many.stub.GetProcessingSessions(pb.GetProcessingSessionsRequest(**fields)))

    assert (error.code, error.reason_name, paths(error)) == (Code.INVALID_ARGUMENT, "FIELD_INVALID", [path])


@pytest.mark.parametrize("token", ["garbage", "====", "\x00", "other filter", "other list"])
async def test_a_page_token_of_another_list_is_refused(many, token):
    """A token is bound to its list and filter."""
    if token == "other filter":
        token = (await ask(many, pb.SessionSelector(workflow_id="good"), page_size=1)).next_page_token
    if token == "other list":
        events = pb.GetProcessingSessionEventsRequest(session_id="s0", page_size=1)
        token = (await many.stub.GetProcessingSessionEvents(events)).next_page_token
    assert token
    error = await refused(ask(many, page_token=token))

    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_large_sessions_do_not_break_a_list(coordinator):
    """A page whose sessions have more to show than a message carries is shorter than it was asked to be."""
    await coordinator.put("good", echo())
    labels = {f"l{number}": "\U0001f600" * 250 for number in range(32)}
    for number in range(110):
        await coordinator.execute("good", session_id=f"s{number}", labels=labels)
    first = await ask(coordinator, page_size=1000)
    second = await ask(coordinator, page_size=1000, page_token=first.next_page_token)

    assert ids(first) + ids(second) == [f"s{number}" for number in range(109, -1, -1)]


async def test_a_list_holds_no_content(coordinator):
    """Payloads keep name, media type and reference; outputs that are small stay; the session itself has all."""
    parameters = {"text": {"value_type": "STRING"}, "page": {"value_type": "BYTES"}}
    step = {"step_id": "keep", "operation": ECHO, "parameters": {"echo": {"datum": "${parameters.page}"}}}
    steps = [echo(text="${parameters.text}"), step]
    outputs = {"text": {"value": "${steps.say.echo.text}"}, "page": {"value": "${steps.keep.echo.datum}"}}
    await coordinator.put("keep", *steps, parameters=parameters, outputs=outputs)
    small = {"page": Datum(inline_bytes=b"x" * 1000, media_type="image/png")}
    large = {"page": Datum(inline_bytes=b"x" * 300_000, media_type="image/png")}
    await coordinator.execute("keep", {"text": "hello"}, payloads=small, session_id="small")
    await coordinator.execute("keep", {"text": "x" * 5000}, payloads=large, session_id="large")
    second, first = (await ask(coordinator)).sessions
    whole = [await coordinator.session(name) for name in ("small", "large")]

    assert outputs_of(first) == {"text": "hello"}
    assert dict(first.payloads) == {"page": Datum(media_type="image/png")}
    assert outputs_of(second) == {}
    assert second.payloads["page"].artifact.size_bytes == 300_000
    assert second.ByteSize() < 1000
    assert whole[0].payloads["page"].inline_bytes == b"x" * 1000
    assert outputs_of(whole[1]) == {"text": "x" * 5000}


async def test_a_list_tells_how_far_sessions_are(coordinator):
    """A session that runs has the progress that it has by itself."""
    slow = echo("slow", text="${steps.say.echo.text}", delay="60s")
    await coordinator.put("half", echo(), slow)
    await coordinator.execute("half", session_id="s", background=True)
    async for update in coordinator.watch("s"):
        if update.event.kind == pb.EVENT_KIND_STEP_SUCCEEDED:
            break
    (session,) = (await ask(coordinator)).sessions

    assert session.progress == (await coordinator.session("s")).progress == 0.5


async def test_tenants_do_not_see_each_other(many):
    """Sessions of the same id in two tenants are two sessions; what is not yours is not there."""
    tenant = (("coordinator-tenant", "other"),)
    listed = await many.stub.GetProcessingSessions(pb.GetProcessingSessionsRequest(), metadata=tenant)
    request = pb.GetProcessingSessionRequest(session_id="s1")
    error = await refused(many.stub.GetProcessingSession(request, metadata=tenant))

    assert [(session.session_id, session.tenant) for session in listed.sessions] == [("s0", "other")]
    assert error.reason_name == "SESSION_NOT_FOUND"


@pytest.mark.parametrize(
    ("session_id", "code", "reason"),
    [("nobody", Code.NOT_FOUND, "SESSION_NOT_FOUND"), ("", Code.INVALID_ARGUMENT, "FIELD_INVALID")],
)
async def test_a_session_that_is_not_there(coordinator, session_id, code, reason):
    """Whoever reads, watches or removes it is told so."""
    stub = coordinator.stub
    for call in (
        stub.GetProcessingSession(pb.GetProcessingSessionRequest(session_id=session_id)),
        stub.GetProcessingSessionEvents(pb.GetProcessingSessionEventsRequest(session_id=session_id)),
        stub.WatchProcessingSession(pb.WatchProcessingSessionRequest(session_id=session_id)),
        stub.DeleteProcessingSession(pb.DeleteProcessingSessionRequest(session_id=session_id)),
    ):
        error = await refused(call)
        assert (error.code, error.reason_name) == (code, reason)


async def test_a_history_is_read_by_page(coordinator):
    """Oldest first, numbered without a gap, from any number on; each step's output is a reference that leads to it."""
    await coordinator.put("two", echo("first"), echo("second", text="${steps.first.echo.text}"))
    await coordinator.execute("two", session_id="s")
    read, found, token = coordinator.stub.GetProcessingSessionEvents, [], ""
    while True:
        reply = await read(pb.GetProcessingSessionEventsRequest(session_id="s", page_size=2, page_token=token))
        assert len(reply.events) <= 2
        found += reply.events
        if not (token := reply.next_page_token):
            break
    rest = (await read(pb.GetProcessingSessionEventsRequest(session_id="s", after_sequence=3))).events
    past = await refused(read(pb.GetProcessingSessionEventsRequest(session_id="s", after_sequence=99)))
    garbage = await refused(read(pb.GetProcessingSessionEventsRequest(session_id="s", page_token="garbage")))

    assert [event.sequence for event in found] == list(range(1, len(found) + 1))
    assert (found[0].kind, found[-1].kind) == (pb.EVENT_KIND_SESSION_STARTED, pb.EVENT_KIND_SESSION_ENDED)
    assert list(rest) == found[3:]
    assert (past.code, past.reason_name) == (Code.OUT_OF_RANGE, "SEQUENCE_OUT_OF_RANGE")
    assert past.metadata["last_sequence"] == str(len(found))
    assert garbage.reason_name == "PAGE_TOKEN_INVALID"


async def test_outputs_of_steps_can_be_followed(coordinator):
    """What a session and its history say of a result leads to its bytes, small or large."""
    await coordinator.put("one", echo(text="hello"))
    await coordinator.execute("one", session_id="s")
    (step,) = (await coordinator.session("s")).steps
    reference = step.outputs["response"]
    request = pb.GetProcessingArtifactRequest(digest=reference.digest)
    content = b"".join([chunk.data async for chunk in coordinator.stub.GetProcessingArtifact(request)])

    assert len(content) == reference.size_bytes
    assert b"hello" in content


async def test_an_ended_session_is_removed_with_its_history(many):
    """Afterwards it is not there, and the counter knows; removing it again is NOT_FOUND, or a repeat by request_id."""
    delete = many.stub.DeleteProcessingSession
    for _ in range(2):
        await delete(pb.DeleteProcessingSessionRequest(session_id="s3", request_id="r"))
    error = await refused(delete(pb.DeleteProcessingSessionRequest(session_id="s3")))
    reply = await ask(many)

    assert error.reason_name == "SESSION_NOT_FOUND"
    assert "s3" not in ids(reply)
    assert reply.total_count == 8


async def test_a_live_session_is_removed_with_force_alone(coordinator):
    """Without force FAILED_PRECONDITION names its state; with force it is terminated first."""
    await coordinator.put("slow", echo(delay="60s"))
    await coordinator.execute("slow", session_id="s", background=True)
    delete = coordinator.stub.DeleteProcessingSession
    error = await refused(delete(pb.DeleteProcessingSessionRequest(session_id="s")))
    assert (error.code, error.reason_name) == (Code.FAILED_PRECONDITION, "SESSION_STATE_ILLEGAL")
    assert error.metadata["state"] in ("PENDING", "RUNNING")
    assert "PostSessionControl" in error.message
    assert "--force" in error.message
    assert (await coordinator.session("s")).state not in (pb.SESSION_STATE_TERMINATED,)

    await delete(pb.DeleteProcessingSessionRequest(session_id="s", force=True))
    assert await coordinator.sessions() == []
    session = (await coordinator.execute("slow", session_id="s", background=True)).session
    assert session.session_id == "s"


async def test_a_session_that_just_ends_is_removed_with_force(coordinator):
    """Whether it still runs when force reaches it is not its caller's concern."""
    await coordinator.put("good", *(echo(f"step{number}") for number in range(5)))

    async def remove(session_id):
        request = pb.DeleteProcessingSessionRequest(session_id=session_id, force=True)
        while True:
            try:
                return await coordinator.stub.DeleteProcessingSession(request)
            except grpc.aio.AioRpcError as error:
                if from_rpc_error(error).reason_name != "SESSION_NOT_FOUND":  # it has not begun yet
                    raise

    names = [f"s{number}" for number in range(60)]
    starts = (coordinator.execute("good", session_id=name, background=True) for name in names)
    await asyncio.gather(*starts, *map(remove, names))

    assert await coordinator.sessions() == []


async def test_a_removed_id_is_free_again(many):
    """The next session of that id has nothing of the first."""
    await many.stub.DeleteProcessingSession(pb.DeleteProcessingSessionRequest(session_id="s8"))
    await many.execute("good", session_id="s8")
    session = await many.session("s8")

    assert (session.state, session.workflow_id) == (pb.SESSION_STATE_SUCCEEDED, "good")
    assert outputs_of(session) == {}
    assert len(await many.events("s8")) == session.last_sequence
