"""The exported service of a workflow: it lints, its names survive, and clients made of it agree on every byte."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from processing_service.wire.naming_rules import faults
from tests.contract.dotnet import Check, compiled, is_missing
from tests.coordinators import Served, echo, serving
from tests.modules import load
from tests.typed_services import reflected

ROOT = Path(__file__).parents[2]
BUF = Path(sys.executable).with_name("buf")
PROTOC = ROOT / ".venv-proto" / "bin" / "protoc"
PROJECT = Path(__file__).parent / "csharp_typed"
UNCHECKED = "C# clients of an exported service were not compiled"
DESCRIPTION = "Greets.\nTwice:  \u2028with */ and // and \r\n\n  all that a comment could end with."
READ_TEXT = ROOT / "examples" / "workflows" / "read-text.yaml"

needs_protoc = pytest.mark.skipif(
    not PROTOC.exists(), reason="NOT RUN: clients of an exported service were not compiled; make check brings protoc"
)


async def put(coordinator: Served, workflow_id: str, **parts: Any) -> None:
    await coordinator.put(workflow_id, echo(), **parts)


async def export(coordinator: Served, workflow_id: str, into: Path) -> Path:
    """Writes the service below a folder that has the contract's files, by the command line; its path in there."""
    shutil.copytree(ROOT / "protos", into, dirs_exist_ok=True)
    command = (sys.executable, "-m", "processing_service.cli", "workflow", "export", workflow_id)
    options = ("--proto", "--into", str(into), "--address", coordinator.address)
    process = await asyncio.create_subprocess_exec(*command, *options)
    assert await process.wait() == 0
    return Path("coordinator", "workflows", "v1", f"{workflow_id.replace('-', '_')}_service.proto")


async def ran(*command: object, cwd: Path = ROOT) -> str:
    """What a command prints; it has to succeed."""
    done = await asyncio.to_thread(
        subprocess.run,
        list(map(str, command)),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_exported_services_pass_the_linters(coordinator: Served, tmp_path: Path) -> None:
    """buf's STANDARD rules and those of comments, and N1 to N9, with reserved numbers and difficult words."""
    await coordinator.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=READ_TEXT.read_text()))
    names = {"a1": "INTEGER", "text": "STRING", "some_data": "BYTES"}
    parameters = {name: {"value_type": kind, "description": DESCRIPTION} for name, kind in names.items()}
    await put(coordinator, "execute-watch2", title=DESCRIPTION, description=DESCRIPTION, parameters=parameters)
    source = json.dumps({"workflow_id": "execute-watch2", "steps": [echo()]})
    await coordinator.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=source, allow_breaking=True))
    await export(coordinator, "read-text", tmp_path)
    await export(coordinator, "execute-watch2", tmp_path)
    await ran(BUF, "lint", tmp_path)
    await ran(BUF, "build", tmp_path, "-o", tmp_path / "set.binpb")
    files = FileDescriptorSet.FromString((tmp_path / "set.binpb").read_bytes())

    assert faults(files) == []
    assert [list(range(1, 5)), ["a1", "some_data", "text"]] == [
        [1, *(number for kept in reserved(files).reserved_range for number in range(kept.start, kept.end))],
        list(reserved(files).reserved_name),
    ]


def reserved(files: FileDescriptorSet) -> Any:
    (file,) = [file for file in files.file if file.name.endswith("execute_watch2_service.proto")]
    return file.message_type[0]


async def test_the_exported_service_is_the_one_that_is_served(coordinator: Served, tmp_path: Path) -> None:
    """Compiled, it is field for field what reflection describes."""
    await coordinator.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=READ_TEXT.read_text()))
    path = await export(coordinator, "read-text", tmp_path)
    await ran(BUF, "build", tmp_path, "--exclude-source-info", "-o", tmp_path / "set.binpb")
    files = FileDescriptorSet.FromString((tmp_path / "set.binpb").read_bytes())
    (compiled,) = [file for file in files.file if file.name == str(path)]
    served = type(compiled)()
    (await reflected(coordinator, "ReadTextService")).descriptor.file.CopyToProto(served)

    compiled.DiscardUnknownFields()  # which buf adds
    assert served == compiled


async def test_a_breaking_export_is_what_buf_calls_breaking(coordinator: Served, tmp_path: Path) -> None:
    """And one that only adds is not."""
    parameter = {"value_type": "STRING", "optional": True}
    await put(coordinator, "greet", parameters={"name": parameter})
    await export(coordinator, "greet", tmp_path)
    await ran(BUF, "build", tmp_path, "-o", tmp_path / "before.binpb")
    await put(coordinator, "greet", parameters={"name": parameter, "more": parameter})
    await export(coordinator, "greet", tmp_path)

    await ran(BUF, "breaking", tmp_path, "--against", tmp_path / "before.binpb")


@needs_protoc
async def test_a_python_client_of_the_export_calls_it(coordinator: Served, tmp_path: Path) -> None:
    """Compiled by protoc, with classes of its own."""
    parameters = {"name": {"value_type": "STRING"}}
    outputs = {"text": {"value": "${parameters.name}"}}
    await put(coordinator, "greet-all", parameters=parameters, outputs=outputs)
    module = await compiled_python(tmp_path, await export(coordinator, "greet-all", tmp_path))
    path = "/coordinator.workflows.v1.GreetAllService/Execute"
    request, response = module.GreetAllServiceExecuteRequest, module.GreetAllServiceExecuteResponse
    call: Any = coordinator.channel.unary_unary(path, request.SerializeToString, response.FromString)
    reply = await call(request(name="Ada", workflow_call=pb.WorkflowCall(session_id="s")))

    assert (reply.text, reply.workflow_reply.session.session_id) == ("Ada", "s")


@needs_protoc
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_python_and_c_sharp_clients_of_the_export_agree_on_every_byte(
    coordinator: Served, tmp_path: Path
) -> None:
    """The same call gives the same bytes, and C# reads the response that Python wrote."""
    if is_missing():
        pytest.skip(f"no .NET 10 SDK on PATH: {UNCHECKED}")
    await coordinator.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=READ_TEXT.read_text()))
    path = await export(coordinator, "read-text", tmp_path / "protos")
    module = await compiled_python(tmp_path / "protos", path)
    call = pb.WorkflowCall(session_id="by-hand", priority=7, admission_class=pb.ADMISSION_CLASS_INTERACTIVE)
    request = module.ReadTextServiceExecuteRequest(
        workflow_call=call,
        detection_model_id="",
        max_side=1200,
        min_confidence=0.25,
        page=Datum(inline_bytes=b"page", media_type="image/png"),
    )
    response = module.ReadTextServiceExecuteResponse(
        text="a b", upside_down=True, lines=[{"text": "a"}, {"text": "b"}], annotated=Datum(media_type="image/png")
    )
    (tmp_path / "reply.binpb").write_bytes(response.SerializeToString())
    check = await compiled_c_sharp(tmp_path, path)
    result = check(tmp_path / "call.binpb", tmp_path / "reply.binpb", tmp_path / "read.txt")

    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "call.binpb").read_bytes() == request.SerializeToString()
    assert (tmp_path / "read.txt").read_text() == "a b|True|2|image/png"


async def compiled_python(protos: Path, path: Path) -> ModuleType:
    """The module that protoc makes."""
    folder = protos.with_name(f"{protos.name}-python")
    folder.mkdir()
    await ran(PROTOC, f"--python_out={folder}", path, cwd=protos)
    return load(folder / path.with_name(f"{path.stem}_pb2.py"))


async def compiled_c_sharp(folder: Path, path: Path) -> Check:
    """The program that has what protoc makes in it."""
    made = folder / "csharp"
    made.mkdir()
    await ran(PROTOC, f"--csharp_out={made}", path, cwd=folder / "protos")
    return await asyncio.to_thread(compiled, PROJECT, folder / "artifacts", UNCHECKED, f"-p:TypedFolder={made}")


@pytest.fixture
async def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A coordinator with its embedded domains."""
    async with serving(tmp_path_factory.mktemp("coordinator")) as served:
        yield served
