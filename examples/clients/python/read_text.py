"""Lists workflows, reads a page and watches it, controls a session, and decodes a refusal.

    read_text.py ADDRESS PAGE

Made by grpcio-tools and the blocking client of grpcio alone; `processing_service.client` does more, with less.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "gen"))

import grpc
from coordinator.payload.v1.payload_pb2 import Datum
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import ProcessingServiceStub
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status

CALL_S, WATCH_S = 30, 600
"""Deadlines of a call and of a whole watch, in seconds."""

RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": "coordinator.processing.v1.ProcessingService"}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.05s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}
"""What may be repeated is, since every mutating call has a request_id. The coordinator's own delay
(grpc-retry-pushback-ms) goes before the backoff."""

OPTIONS = (
    ("grpc.service_config", json.dumps(RETRIES)),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
)

WRONG_WORKFLOW = """\
workflow_id: wrong
steps:
  - step_id: first
    operation: postprocessing.post_postprocessing_exekute
"""


def tour(stub: ProcessingServiceStub, page: Path) -> None:
    """Each part of it once."""
    list_workflows(stub)
    read(stub, page)
    control(stub)
    refuse(stub)


def list_workflows(stub: ProcessingServiceStub) -> None:
    """Prints those that are stored."""
    for workflow in stub.GetProcessingWorkflows(pb.GetProcessingWorkflowsRequest(), timeout=CALL_S).workflows:
        print("workflow", workflow.workflow_id, workflow.title)


def read(stub: ProcessingServiceStub, page: Path) -> None:
    """Reads the page, prints each event as it comes and then what was read."""
    request = pb.PostWorkflowExecuteRequest(
        workflow_id="read-text", payloads={"page": Datum(inline_bytes=page.read_bytes())}
    )
    session_id = start(stub, request)
    for event in watch(stub, session_id):
        print("event", event.sequence, pb.EventKind.Name(event.kind))
    session = get(stub, session_id)
    print("state", pb.SessionState.Name(session.state))
    for line in session.outputs["text"].split("\n"):
        print("line", line)


def control(stub: ProcessingServiceStub) -> None:
    """Pauses, resumes and cancels a session, and prints what its history has of that."""
    request = pb.PostWorkflowExecuteRequest(workflow_id="three-echoes")
    request.parameters["delay_seconds"] = "60s"
    session_id = start(stub, request)
    for action in (pb.CONTROL_ACTION_PAUSE, pb.CONTROL_ACTION_RESUME, pb.CONTROL_ACTION_CANCEL):
        order = pb.PostSessionControlRequest(session_id=session_id, control_action=action, request_id=new_id())
        stub.PostSessionControl(order, timeout=CALL_S)
    for event in watch(stub, session_id):
        if event.control_action:
            print("control", pb.ControlAction.Name(event.control_action))
    print("state", pb.SessionState.Name(get(stub, session_id).state))


def refuse(stub: ProcessingServiceStub) -> None:
    """Has a workflow checked that names an operation wrongly."""
    try:
        stub.PutProcessingWorkflow(
            pb.PutProcessingWorkflowRequest(source=WRONG_WORKFLOW, validate_only=True), timeout=CALL_S
        )
    except grpc.RpcError as error:
        describe(error)
    else:
        raise AssertionError("a wrong workflow was not refused")


def start(stub: ProcessingServiceStub, request: pb.PostWorkflowExecuteRequest) -> str:
    """Begins a session in the background; its session_id."""
    request.request_id = new_id()  # makes a repeat of the call safe
    request.background = True
    return str(stub.PostWorkflowExecute(request, timeout=CALL_S).session.session_id)


def watch(stub: ProcessingServiceStub, session_id: str) -> Iterator[pb.SessionEvent]:
    """Its events from the first one, until it has ended."""
    request = pb.WatchProcessingSessionRequest(session_id=session_id, after_sequence=0)
    updates = stub.WatchProcessingSession(request, timeout=WATCH_S)
    return (update.event for update in updates if update.HasField("event"))


def get(stub: ProcessingServiceStub, session_id: str) -> pb.Session:
    """The session as it stands."""
    return stub.GetProcessingSession(pb.GetProcessingSessionRequest(session_id=session_id), timeout=CALL_S).session


def describe(error: grpc.RpcError) -> None:
    """Prints an error of a call by its google.rpc details."""
    status = rpc_status.from_call(error)
    if status is None:  # from the library, not from the coordinator
        print("refused", error.code().value[0], "", error.details())
        return
    info, request, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for detail in status.details:
        for known in (info, request, retry):
            detail.Unpack(known)
    print("refused", status.code, info.reason, status.message)
    for violation in request.field_violations:
        print("violation", violation.field, violation.description)
    if retry.HasField("retry_delay"):
        print("retry_after_ms", retry.retry_delay.ToMilliseconds())


def new_id() -> str:
    """A request_id."""
    return str(uuid.uuid4())


def main() -> int:
    """The exit code: 1 if a call failed, 2 if the arguments are wrong."""
    if len(sys.argv) != 3:
        print("usage: read_text.py ADDRESS PAGE", file=sys.stderr)
        return 2
    try:
        # grpc.secure_channel where it crosses machines
        with grpc.insecure_channel(sys.argv[1], OPTIONS) as channel:
            tour(ProcessingServiceStub(channel), Path(sys.argv[2]))
    except grpc.RpcError as error:
        describe(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
