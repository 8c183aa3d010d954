"""Where it runs: domains, server, store, credentials."""

import sqlite3
from contextlib import closing
from pathlib import Path

from coordinator.inference.v1 import inference_pb2
from coordinator.model.v1 import model_pb2
from coordinator.model.v1.model_pb2_grpc import ModelServiceStub
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

from instructors.foreign import ForeignDomain
from processing_service.domains.inference.settings import InferenceSettings
from processing_service.engine.store.sqlite.faults import FILE_NAME
from processing_service.wire.channels import ChannelSettings
from processing_service.wire.errors import Code
from processing_service.wire.security import TokenSettings
from processing_service.wire.telemetry.hooks import Telemetry
from tests import onnx_models as onnx
from tests.contract.golden_errors import Golden, status_of
from tests.coordinators import Served, echo, serving, wired
from tests.greetings import Greeter, compile_set, read
from tests.integration.test_foreign_domains import there
from tests.integration.test_storage import full

GREET = pb.PostCommandExecuteRequest(operation="greetings.greet")
CONTRACT = pb.GetProcessingContractRequest()


async def errors(folder: Path) -> dict[str, Golden]:
    """Each on a server that is set up for it."""
    return {
        "DOMAIN_UNAVAILABLE": await _domain_away(folder / "away"),
        "FOREIGN": await _foreign(folder / "foreign"),
        "DOMAIN_NOT_CONFIGURED": await _domain_alone(folder / "alone"),
        "SERVER_DRAINING": await _draining(folder / "draining"),
        "SERVER_OVERLOADED": await _overloaded(folder / "overloaded"),
        "STORE_UNAVAILABLE": await _store_gone(folder / "gone"),
        "STORE_FULL": await _store_full(folder / "full"),
        "SESSION_FENCED": await _fenced(folder / "fenced"),
        **await _tokens(folder / "tokens"),
    }


async def _domain_away(folder: Path) -> Golden:
    foreign = ForeignDomain("greetings", ChannelSettings(f"unix:{folder}/greetings.sock"))
    async with serving(folder, foreign_domains=(foreign,), drain_grace=0.0) as served:
        return await status_of(served.stub.PostCommandExecute(GREET))


async def _foreign(folder: Path) -> Golden:
    """A domain has a reason of its own."""
    described, address = _described(folder), f"unix:{folder}/greetings.sock"
    greeter = Greeter(read(described))
    info = error_details_pb2.ErrorInfo(reason="GREETER_ASLEEP", domain="greetings.example")
    status = status_pb2.Status(code=Code.FAILED_PRECONDITION, message="not today", details=[Any()])
    status.details[0].Pack(info)
    greeter.statuses = [status]
    foreign = ForeignDomain("greetings", ChannelSettings(address), descriptor_set_file=described)
    async with there(greeter, address), serving(folder / "served", foreign_domains=(foreign,)) as served:
        return await status_of(served.stub.PostCommandExecute(GREET))


def _described(folder: Path) -> Path:
    folder.mkdir()
    return compile_set(folder)


async def _domain_alone(folder: Path) -> Golden:
    """A Model service without an Inference service to ask."""
    onnx.put(folder / "models", "doubling", onnx.doubling())
    async with serving(folder, only="model") as served:
        request = model_pb2.PostModelLoadRequest(model_id="doubling")
        return await status_of(ModelServiceStub(served.channel).PostModelLoad(request))


async def _draining(folder: Path) -> Golden:
    async with wired(folder, Telemetry()) as (coordinator, served):
        await served.put("say", echo())
        await coordinator.drain(0.0)
        return await status_of(served.execute("say"))


async def _overloaded(folder: Path) -> Golden:
    """One inference session more than are kept."""
    onnx.put(folder / "models", "doubling", onnx.doubling())
    request = inference_pb2.PostInferenceSessionRequest(model_id="doubling")
    async with serving(folder, inference=InferenceSettings(max_sessions=1)) as served:
        await served.inference.PostInferenceSession(request)
        return await status_of(served.inference.PostInferenceSession(request))


async def _store_gone(folder: Path) -> Golden:
    """Its folder is somewhere else for a while."""
    async with serving(folder, drain_grace=0.0) as served:
        store, elsewhere = folder / "store", folder / "elsewhere"
        store.rename(elsewhere)
        status = await status_of(served.put("say", echo()))
        elsewhere.rename(store)
        return status


async def _store_full(folder: Path) -> Golden:
    async with wired(folder, Telemetry()) as (coordinator, served), full(coordinator):
        return await status_of(served.put("say", echo(text="x" * 400_000)))


async def _fenced(folder: Path) -> Golden:
    """Another coordinator has taken the store over."""
    async with serving(folder, drain_grace=0.0) as served:
        with closing(sqlite3.connect(folder / "store" / FILE_NAME)) as other, other:
            other.execute("UPDATE owner SET epoch = epoch + 1")
        return await status_of(served.put("say", echo()))


async def _tokens(folder: Path) -> dict[str, Golden]:
    async with serving(folder, tokens=(_reader(folder),)) as served:
        return {
            "UNAUTHENTICATED": await status_of(served.stub.GetProcessingContract(CONTRACT)),
            "PERMISSION_DENIED": await _delete(served),
        }


def _reader(folder: Path) -> TokenSettings:
    folder.mkdir()
    (folder / "token").write_text("let me see\n")
    return TokenSettings("reader", str(folder / "token"), read_only=True)


async def _delete(served: Served) -> Golden:
    request = pb.DeleteProcessingWorkflowRequest(workflow_id="say")
    metadata = (("authorization", "Bearer let me see"),)
    return await status_of(served.stub.DeleteProcessingWorkflow(request, metadata=metadata))
