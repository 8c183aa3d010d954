"""The command line as a process: what it prints where, and its exit codes."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.model.v1 import model_pb2
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.json_format import MessageToDict

from processing_service.wire.errors import Code, CoordinatorError, Unreached
from processing_service.wire.security import TokenSettings
from tests.conftest import ROOT
from tests.doubles import FakeCoordinator, serving


@pytest.fixture
async def coordinator():
    fake = FakeCoordinator()
    fake.workflows["read-text"] = pb.Workflow(workflow_id="read-text", revision=2, title="Reads pages")
    async with serving(fake):
        yield fake


@pytest.mark.parametrize("command", ["put", "validate", "graph"])
async def test_a_definition_that_is_no_text_is_refused(run, tmp_path, command):
    """A picture in the place of a definition ends with 2 and one line that says so, not with a traceback."""
    (tmp_path / "page.yaml").write_bytes(b"\x89PNG\r\n\x1a\n\xff")

    ended = await run("workflow", command, "page.yaml")

    assert ended.code == 2
    assert "page.yaml is no text" in ended.err
    assert "Traceback" not in ended.err


async def test_a_definition_that_is_not_there_is_refused(run):
    """`workflow graph` names the file that cannot be read."""
    ended = await run("workflow", "graph", "none.yaml")

    assert (ended.code, "Traceback" in ended.err) == (2, False)
    assert "none.yaml cannot be read" in ended.err


async def test_a_workflow_is_exported(ask, coordinator):
    """As YAML; without a typed service there is no .proto, which ends with 2 and a line that says so."""
    shown = await ask("workflow", "export", "read-text")
    none = await ask("workflow", "export", "read-text", "--proto")

    assert (shown.code, shown.out) == (0, "workflow_id: read-text\n")
    assert (none.code, "Traceback" in none.err) == (2, False)
    assert "read-text has no typed service" in none.err


async def test_an_export_is_written_where_it_belongs(ask, coordinator, tmp_path):
    """Below the folder, unless that is a file."""
    (tmp_path / "file").touch()
    written = await ask("workflow", "export", "read-text", "--into", "new/folder", "-o", "json")
    refused = await ask("workflow", "export", "read-text", "--into", "file")

    assert json.loads(written.out) == {"path": "new/folder/read-text.yaml"}
    assert (tmp_path / "new" / "folder" / "read-text.yaml").read_text() == "workflow_id: read-text\n"
    assert refused.code == 2
    assert "cannot be written" in refused.err


async def test_session_that_succeeds(ask, coordinator, tmp_path):
    """A session that succeeds ends with 0; its outputs are printed, files written where --save says."""
    (tmp_path / "page.png").write_bytes(b"\x89PNG")

    ended = await ask("session", "start", "read-text", "page=@page.png", "count=3", "--save", "out", "-o", "json")

    assert ended.code == 0
    session = json.loads(ended.out)
    assert session["state"] == "SESSION_STATE_SUCCEEDED"
    assert session["outputs"] == {"count": 3}
    assert '"count": 3\n' in ended.out  # not 3.0
    assert (tmp_path / "out" / "page.png").read_bytes() == b"\x89PNG"
    (request,) = coordinator.requests("PostWorkflowExecute")
    assert request.payloads["page"].media_type == "image/png"


async def test_a_session_from_a_former_one_says_first_what_it_runs(ask, coordinator):
    """--dry-run prints the plan and starts nothing; without it the plan stands on stderr, before the session."""
    told = await ask("session", "start", "read-text", "--from", "session-0", "--dry-run")
    assert told.code == 0
    assert told.out.startswith("nothing was started\n")
    assert "  say: reuse (nothing changed)" in told.out
    assert not coordinator.sessions

    ended = await ask("session", "start", "read-text", "--from", "session-0")
    assert ended.code == 0
    assert "  say: reuse (nothing changed)" in ended.err
    assert [request.from_session_id for request in coordinator.requests("PostWorkflowExecute")] == ["session-0"] * 2


@pytest.mark.parametrize(("workflow", "code"), [("fails", 1), ("times-out", 5)])
async def test_session_that_does_not_succeed(ask, workflow, code):
    """A session that failed ends with 1, one whose time was over with 5; stderr tells the causes."""
    ended = await ask("session", "start", workflow)

    assert ended.code == code
    assert "ended " in ended.err
    if workflow == "fails":
        assert "session-1/read: the page is not an image (IMAGE_INVALID)" in ended.err


@pytest.mark.parametrize("command", [("artifact", "get", "0" * 64, "x"), ("session", "watch", "x", "--max-wait", "30")])
async def test_a_stream_without_a_server_ends_as_any_other_call(run, command):
    """Where no server is there is nothing to wait for, and nothing is said of a session that was never seen."""
    ended = await run(*command, PROCESSING_SERVICE__CLIENT__RECONNECT_WINDOW="3600")

    assert ended.code == 3
    assert "cannot be reached" in ended.err
    assert "goes on" not in ended.err


async def test_a_server_that_is_mute_says_nothing_of_a_session(run):
    """With --max-wait the command ends with 5 and says that no server has answered."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        ended = await run("session", "watch", "x", "--max-wait", "0.2", address=address)

    assert ended.code == 5
    assert "no server has answered" in ended.err
    assert "goes on" not in ended.err


async def test_a_connection_that_breaks_is_told(ask, coordinator):
    """A watch whose connection does not come back at once says so on stderr, once, and goes on."""
    await ask("session", "start", "waits", "--background")
    coordinator.cuts.extend([1, 0, 0, 0])
    asking = asyncio.ensure_future(ask("session", "watch", "session-1", "--after", "0"))
    async with asyncio.timeout(30):
        while len(coordinator.requests("WatchProcessingSession")) < 5:  # noqa: ASYNC110 - another process is awaited
            await asyncio.sleep(0.01)
    coordinator.finish("session-1")
    ended = await asking

    assert ended.code == 0
    assert ended.err.count("reconnecting") == 1


async def test_watching_in_a_pipe(ask, coordinator):
    """Without a terminal the progress is plain lines on stderr, and stdout is the session alone."""
    asking = asyncio.ensure_future(ask("session", "start", "waits", "--watch", "-o", "jsonl"))
    async with asyncio.timeout(30):
        while not coordinator.requests("WatchProcessingSession"):  # noqa: ASYNC110 - another process is awaited
            await asyncio.sleep(0.01)
    coordinator.finish("session-1")
    ended = await asking

    assert ended.code == 0
    assert json.loads(ended.out)["session_id"] == "session-1"
    assert "read succeeded" in ended.err
    assert "\x1b" not in ended.out + ended.err


async def test_waiting_may_end_before_the_session(ask, coordinator):
    """With --max-wait the command ends with 5 and says how to come back; the session goes on."""
    ended = await ask("session", "start", "waits", "--max-wait", "0.2")

    assert ended.code == 5
    assert "session watch session-1" in ended.err
    assert coordinator.sessions["session-1"].state == pb.SESSION_STATE_RUNNING


async def test_leaving_a_session(coordinator, tmp_path):
    """Ctrl-C ends the wait with 130 and says how to come back; the session goes on."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "processing_service.cli", "session", "start", "waits", "--address", coordinator.address),
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        while not coordinator.watchers:  # noqa: ASYNC110 - another process is awaited
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()

    assert process.returncode == 130
    assert err.decode() == "session session-1 goes on; `processing-service session watch session-1` follows it\n"


async def test_watch_prints_events_as_json(ask, coordinator):
    """`session watch -o jsonl` prints each update on a line of its own."""
    await ask("session", "start", "read-text")

    ended = await ask("session", "watch", "session-1", "--after", "0", "-o", "jsonl")

    updates = [json.loads(line) for line in ended.out.splitlines()]
    assert [next(iter(update)) for update in updates] == ["snapshot", "event", "event", "event", "event"]


async def test_lists_for_people_and_programs(ask):
    """A list is an aligned table without colour, a JSON array, or JSON lines."""
    table, array, lines = [await ask("workflow", "list", "-o", form) for form in ("table", "json", "jsonl")]

    assert table.out.splitlines()[0].split() == ["WORKFLOW", "REVISION", "UPDATED", "DIGEST", "TITLE"]
    assert table.out.splitlines()[1].startswith("read-text  2")
    assert "\x1b" not in table.out
    assert [json.loads(array.out)] == [[json.loads(line) for line in lines.out.splitlines()]]


async def test_a_plan_for_people_and_programs(ask, coordinator):
    """Steps, models, loads, memory and time; the parameters are those of a start."""
    ended = await ask("workflow", "plan", "read-text", "--model", "reader", "--timeout", "5", "size=3")
    table = [line.split() for line in ended.out.splitlines()]
    (request,) = coordinator.requests("PostWorkflowPlan")
    plain = json.loads((await ask("workflow", "plan", "read-text", "-o", "json")).out)

    assert ended.code == 0
    assert table[0] == ["STEP", "OPERATION", "MODEL", "EXPECTED", "REUSE", "WHY"]
    assert table[1] == ["find", "inference.post_inference_execute", "reader", "2.0", "s"]
    assert table[3:5] == [["MODEL", "VERSION", "IN", "MEMORY", "SIZE"], ["reader", "2", "no", "3.0", "MiB"]]
    assert [" ".join(line) for line in table[6:]] == [
        "feasible: yes",
        "expected: 2.0 s",
        "loads: 1",
        "peak memory: cpu 3.0 MiB",
    ]
    execution = request.execution
    assert (execution.workflow_id, execution.model_id, execution.timeout.seconds) == ("read-text", "reader", 5)
    assert dict(execution.parameters) == {"size": 3}
    assert (plain["feasible"], plain["steps"][0]["step_id"]) == (True, "find")


async def test_a_plan_that_is_not_feasible_ends_with_1(ask):
    """And says why first."""
    ended = await ask("workflow", "plan", "read-text", "--timeout", "1")

    assert ended.code == 1
    assert ended.out.splitlines()[0] == "warning: it takes 2 s, and its budget is 1 s"
    assert "feasible:    no" in ended.out


async def test_unknown_workflow(ask):
    """What is not there ends with 2; stderr has the message, the reason and the next step."""
    ended = await ask("workflow", "describe", "read-txt")

    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.splitlines() == [
        "error: there is no workflow 'read-txt'; did you mean 'read-text'?",
        "reason: WORKFLOW_NOT_FOUND (NOT_FOUND)",
        "next: `processing-service workflow list` shows what there is",
    ]


async def test_errors_for_programs(ask):
    """With -o json the error is JSON on stderr, and stdout stays empty."""
    ended = await ask("workflow", "describe", "read-txt", "-o", "json")

    error = json.loads(ended.err)["error"]
    assert (ended.code, ended.out) == (2, "")
    assert (error["code"], error["reason"]) == ("NOT_FOUND", "WORKFLOW_NOT_FOUND")
    assert error["metadata"]["nearest"] == "read-text"
    assert error["next"] == "`processing-service workflow list` shows what there is"


async def test_usage_errors(run):
    """A command, an option or a value that does not exist ends with 2 and touches no server."""
    for arguments in (["workflow", "show"], ["session", "list", "--stat", "x"], ["session", "start", "a", "b"]):
        assert (await run(*arguments)).code == 2


async def test_nobody_there(run):
    """A coordinator that cannot be reached ends with 3 and says how to start one."""
    ended = await run("workflow", "list", PROCESSING_SERVICE__CLIENT__ATTEMPTS="1")

    assert ended.code == 3
    assert "processing-service serve" in ended.err


async def test_a_domain_that_is_not_there(ask, coordinator):
    """Where the server answers that its domain is away, starting another server is no help."""

    def away(request):
        raise Unreached("shop", "127.0.0.1:50061")

    coordinator.commands["shop.get_price"] = away
    ended = await ask("command", "shop.get_price", "--deadline", "1", PROCESSING_SERVICE__CLIENT__ATTEMPTS="1")

    assert ended.code == 3
    assert "next: start the shop domain, or set its address in the configuration of the server" in ended.err


async def test_denied(run, tmp_path):
    """A call without a token ends with 4; with --token-file it is let in."""
    (tmp_path / "token").write_text("open sesame")
    fake = FakeCoordinator()
    async with serving(fake, [TokenSettings("tester", str(tmp_path / "token"))]):
        denied = await run("workflow", "list", address=fake.address)
        let_in = await run("workflow", "list", "--token-file", "token", address=fake.address)

    assert (denied.code, let_in.code) == (4, 0)
    assert "--token-file" in denied.err


async def test_deadline(ask, coordinator):
    """A call that takes longer than --deadline ends with 5."""
    coordinator.delay = 30.0

    assert (await ask("workflow", "list", "--deadline", "0.2")).code == 5


async def test_failure_of_the_server(ask, coordinator):
    """An error that is neither of these ends with 1."""
    reason = ErrorReason.ERROR_REASON_SESSION_STATE_ILLEGAL
    coordinator.faults.append(CoordinatorError(Code.FAILED_PRECONDITION, reason, "the session runs"))

    assert (await ask("session", "delete", "session-1")).code == 1


async def test_sessions_are_controlled_by_name(ask, coordinator):
    """Each named one gets the command; a dry run says so, and what a retry would do."""
    for session_id in ("one", "two"):
        await ask("session", "start", "read-text", "--session-id", session_id, "--background")
    ended = await ask("session", "retry", "one", "two", "--timeout", "7", "--comment", "again", "--dry-run")

    assert ended.code == 0
    assert ended.out.splitlines() == [
        "one SUCCEEDED, not applied",
        "  say: rerun (it is FAILED)",
        "two SUCCEEDED, not applied",
        "  say: rerun (it is FAILED)",
    ]
    sent = coordinator.requests("PostSessionControl")
    assert [(one.session_id, one.timeout.seconds, one.comment) for one in sent] == [
        ("one", 7, "again"),
        ("two", 7, "again"),
    ]


async def test_sessions_are_controlled_by_selector(ask, coordinator):
    """All that match, in one call; names and a selector together, or neither, are refused before it."""
    await ask("session", "start", "read-text", "--session-id", "one", "--background")
    ended = await ask("session", "cancel", "--workflow", "read-text", "--state", "running", "--label", "team=a")
    refused = [await ask("session", "pause"), await ask("session", "pause", "one", "--workflow", "read-text")]

    assert ended.out.splitlines() == ["one", "1 sessions"]
    (sent,) = coordinator.requests("PostSessionControl")
    assert sent.control_action == pb.CONTROL_ACTION_CANCEL
    assert sent.selector == pb.SessionSelector(
        workflow_id="read-text", states=[pb.SESSION_STATE_RUNNING], labels={"team": "a"}
    )
    assert [one.code for one in refused] == [2, 2]


async def test_definition_is_stored_from_standard_input(ask, coordinator):
    """`workflow put -` reads the definition from standard input."""
    ended = await ask("workflow", "put", "-", stdin=b"workflow_id: made-here\n")

    assert ended.code == 0
    assert coordinator.requests("PutProcessingWorkflow")[0].source == "workflow_id: made-here\n"


async def test_definition_that_is_wrong(run):
    """`workflow validate` ends with 2 and does not send its user to itself."""
    ended = await run("workflow", "validate", "-", stdin=b"workflow_id: made-here\n")

    assert ended.code == 2
    assert ended.err.splitlines()[-1] == "next: docs/reference/workflow-definition.md has every field"


async def test_artifacts_go_and_come(ask, tmp_path):
    """`artifact put` prints the digest alone, `artifact get` writes a file or standard output."""
    content = os.urandom(3 << 20)
    (tmp_path / "large").write_bytes(content)

    digest = (await ask("artifact", "put", "large")).out.strip()
    await ask("artifact", "get", digest, "copy")

    assert len(digest) == 64
    assert (tmp_path / "copy").read_bytes() == content


async def test_commands(ask, coordinator):
    """`command` sends the request by field path and prints the reply."""
    coordinator.commands["model.get_model"] = lambda request: _reply(
        model_pb2.GetModelResponse(model_versions=[request.parameters["model_id"]])
    )

    ended = await ask("command", "model.get_model", "model_id=text")

    assert json.loads(ended.out) == {"model_versions": ["text"]}


async def test_models(ask, coordinator):
    """`model list` shows the repository, with the memory of what is resident."""
    model = model_pb2.ModelInfo(model_id="text", model_version="1", file_size_bytes=3 << 20)
    resident = model_pb2.ResidentModel(model_id="text", model_version="1", size_bytes=8 << 20)
    coordinator.commands["model.get_models"] = lambda request: _reply(model_pb2.GetModelsResponse(models=[model]))
    coordinator.commands["model.get_model_cache"] = lambda request: _reply(
        model_pb2.GetModelCacheResponse(models=[resident])
    )

    row = (await ask("model", "list")).out.splitlines()[1]

    assert row.split() == ["text", "1", "3.0", "MiB", "8.0", "MiB"]


async def test_configuration_is_shown_with_its_sources(run, tmp_path):
    """`config show` tells each value and where it comes from; a flag beats a variable, a variable the file."""
    (tmp_path / "processing-service.toml").write_text("drain_grace = 3\n[store]\nfolder = 'a'\n")
    environment = {"PROCESSING_SERVICE__STORE__FOLDER": "b", "PROCESSING_SERVICE__ONLY": "model"}

    ended = await run("config", "show", "--changed", "--set", "only=inference", "-o", "json", **environment)

    settings = {setting["key"]: (setting["value"], setting["source"]) for setting in json.loads(ended.out)}
    assert settings["drain_grace"] == (3.0, "processing-service.toml")
    assert settings["store.folder"] == ("b", "PROCESSING_SERVICE__STORE__FOLDER")
    assert settings["only"] == ("inference", "--set only")


async def test_configuration_that_is_wrong(run, tmp_path):
    """`config check` ends with 2 and names every fault with its place and the nearest key."""
    (tmp_path / "other.toml").write_text("[store]\nfoldr = 'a'\n[inference]\nworkers = 'many'\n")

    ended = await run("config", "check", "-c", "other.toml")

    assert ended.code == 2
    assert "store.foldr: there is no such setting (other.toml); did you mean 'store.folder'?" in ended.err
    assert "inference.workers: 'many' should be a valid integer" in ended.err


async def test_configuration_names_files_that_are_missing(run):
    """`config check` reads what `..._file` settings name."""
    ended = await run("config", "check", "--set", "client.token_file=nowhere")

    assert ended.code == 2
    assert "client.token_file" in ended.err


async def test_a_demo_without_models(run, tmp_path):
    """`demo` ends with 2 and names the folder before it starts or removes anything."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")

    ended = await run("demo", "--models", "nope")

    assert ended.code == 2
    assert "there is no folder 'nope'; `make models` makes" in " ".join(ended.err.split())
    assert not (tmp_path / "demo-output").exists()


async def test_configuration_that_is_right(run):
    """`config check` says how many settings somebody gave, for people and for programs."""
    none, one, plain = [
        await run("config", "check", *more) for more in ((), ("--set", "drain_grace=3"), ("-o", "json"))
    ]

    assert "settings: 1 given (`config show --changed` lists them)" in none.out  # the address, from the environment
    assert "settings: 2 given" in one.out
    assert json.loads(plain.out) == {"valid": True, "given_count": 1}


async def test_a_token_file_that_is_not_there(run):
    """Ends with 2, as every file that cannot be read."""
    ended = await run("workflow", "list", "--token-file", "nope")

    assert ended.code == 2
    assert "token_file: the file cannot be read (No such file or directory)" in ended.err


def test_a_reader_that_has_gone(tmp_path):
    """`| head` is the end of a command, and no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    command = (sys.executable, "-m", "processing_service.cli", "config", "check")
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ended = subprocess.run(command, cwd=tmp_path, env=buffered, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)

    assert ended.stderr == b""


async def test_usage_names_each_argument_once(run):
    """Brackets are the library's."""
    for command, usage in (("command", "[OPERATION] [KEY=VALUE]..."), ("session pause", "[SESSION]...")):
        help_text = (await run(*command.split(), "--help")).out
        assert f" {usage} " in " ".join(help_text.split())


async def test_help_needs_no_heavy_library(run):
    """`--help` loads neither gRPC nor protobuf nor pydantic nor rich, which is why it is quick."""
    script = (
        "import sys; sys.argv = ['processing-service', '--help']\n"
        "from processing_service.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'grpc', 'google.protobuf', 'pydantic', 'rich', 'numpy', 'yaml'} & set(sys.modules)))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()

    assert out.decode().splitlines()[-1] == "[]"


def _reply(message):
    reply = pb.PostCommandExecuteResponse()
    reply.result.update(MessageToDict(message, preserving_proto_field_name=True))
    return reply
