"""The generated code and the committed descriptor set say the same, and all of it."""

import importlib
from functools import cache
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).parents[2]

RPCS = {
    "processing": """
        GetProcessingWorkflows GetProcessingWorkflow PostWorkflowExecute GetProcessingSessions GetProcessingSession
        PostSessionControl DeleteProcessingSession GetProcessingBatches GetProcessingBatch PostBatchCreate
        PostBatchExecute DeleteProcessingBatch PutProcessingWorkflow DeleteProcessingWorkflow PostWorkflowPlan
        WatchProcessingSession WatchProcessingBatch GetProcessingSessionEvents PostBatchItems GetProcessingBatchItems
        PostBatchControl PostCommandExecute GetProcessingDomains GetProcessingArtifact PostProcessingArtifact
        GetProcessingContract""",
    "model": "GetModels GetModel PostModelLoad PostModelUnload GetModelCache",
    "inference": """
        GetInferenceCapabilities PostInferenceSession GetInferenceSessions GetInferenceSession DeleteInferenceSession
        PostInferenceExecute PostInferenceLoad PostInferenceUnload GetInferenceCache""",
    "postprocessing": "GetPostprocessingCapabilities PostPostprocessingExecute",
}
STREAMS = {
    "WatchProcessingSession": (False, True),
    "WatchProcessingBatch": (False, True),
    "GetProcessingArtifact": (False, True),
    "PostProcessingArtifact": (True, False),
}
"""Streaming by the client and by the server; every other RPC is unary."""


@cache
def files() -> dict[str, FileDescriptorProto]:
    """Our files of the committed descriptor set, by package."""
    stored = FileDescriptorSet.FromString(
        (ROOT / "generated" / "python" / "coordinator" / "coordinator.binpb").read_bytes()
    )
    return {file.package: file for file in stored.file if file.package.startswith("coordinator.")}


@pytest.mark.parametrize("domain", RPCS)
def test_every_rpc_is_there(domain: str) -> None:
    """Each service has the RPCs that clients were promised, with their streams, and no other."""
    file = files()[f"coordinator.{domain}.v1"]
    (service,) = file.service

    assert service.name == f"{domain.title()}Service"
    assert {method.name for method in service.method} == set(RPCS[domain].split())
    for method in service.method:
        streams = (method.client_streaming, method.server_streaming)
        assert streams == STREAMS.get(method.name, (False, False)), method.name


@pytest.mark.parametrize("domain", RPCS)
def test_every_rpc_says_what_it_does_and_how_it_fails(domain: str) -> None:
    """The comment of each RPC, with its errors, is in the descriptor set, where reflection tools find it."""
    file = files()[f"coordinator.{domain}.v1"]
    comments = {tuple(at.path): at.leading_comments for at in file.source_code_info.location}

    for index, method in enumerate(file.service[0].method):
        assert "Errors: " in " ".join(comments[6, 0, 2, index].split()), method.name


@pytest.mark.parametrize("package", sorted(files()))
def test_modules_import_and_describe_the_same_file(package: str) -> None:
    """The Python module of each file carries the committed descriptor, but for its comments."""
    stored = FileDescriptorProto()
    stored.CopyFrom(files()[package])
    stored.ClearField("source_code_info")
    module = importlib.import_module(stored.name.removesuffix(".proto").replace("/", ".") + "_pb2")

    embedded = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(embedded)

    assert embedded == stored


@pytest.mark.parametrize("domain", RPCS)
def test_servicers_have_every_rpc(domain: str) -> None:
    """The service module imports, and its servicer knows each RPC and no other."""
    module = importlib.import_module(f"coordinator.{domain}.v1.{domain}_pb2_grpc")
    servicer = getattr(module, f"{domain.title()}ServiceServicer")

    assert set(RPCS[domain].split()) == {name for name in vars(servicer) if not name.startswith("_")}


def test_files_carry_the_options_of_every_language() -> None:
    """Adding them later would move types, so each file has them from the start."""
    for package, file in files().items():
        _, name, version = package.split(".")
        assert file.options.csharp_namespace == f"Coordinator.{name.title()}.{version.title()}"
        assert file.options.go_package == f"coordinator/{name}/{version};{name}{version}"
        assert file.options.java_package == f"com.{package}"
        assert file.options.java_multiple_files


def test_coordinator_stays_a_namespace_package() -> None:
    """Other distributions may add packages beside ours, so there is no __init__.py on the way down."""
    assert list((ROOT / "generated" / "python" / "coordinator").rglob("__init__.py")) == []
