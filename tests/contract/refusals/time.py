"""Time that is over, and sessions that were ended."""

import asyncio
from pathlib import Path
from typing import Any

from coordinator.postprocessing.v1.postprocessing_pb2 import EchoOperation, PostPostprocessingExecuteRequest
from coordinator.postprocessing.v1.postprocessing_pb2_grpc import PostprocessingServiceStub
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from processing_service.wire.interceptors.deadlines import DeadlineSettings
from tests.contract.golden_errors import Golden, failure_in, status_of
from tests.coordinators import Served, echo, serving
from tests.integration.test_admission import PARAMETERS, cancel, holding, infer, one_room, run

ONCE: dict[str, Any] = {"retry": {"max_attempts": 1}}
HASTY = DeadlineSettings(default=0.2)
RESTARTS = 7


async def errors(folder: Path) -> dict[str, Golden]:
    """By sessions that take long."""
    async with serving(folder / "sessions", drain_grace=0.0) as served:
        found = {
            "BUDGET_TOO_SHORT": await _late(served),
            "STEP_TIMED_OUT": await _failed(served, "STEP_TIMED_OUT", echo(delay="60s", timeout="0.1s", **ONCE)),
            "STEP_FAILED": await _failed(served, "STEP_FAILED", echo(delay="-1s", **ONCE)),
            "CANCELLED": await _ended(served, pb.CONTROL_ACTION_CANCEL),
            "TERMINATED": await _ended(served, pb.CONTROL_ACTION_TERMINATE),
        }
    found["STEP_QUEUED_TOO_LONG"] = await _queued(folder / "queued")
    found["WORKER_LOST"] = await _lost(folder / "lost")
    async with serving(folder / "hasty", deadlines=HASTY) as served:
        request = PostPostprocessingExecuteRequest(echo=EchoOperation(delay=Duration(seconds=60)))
        domain = PostprocessingServiceStub(served.channel)
        found["DEADLINE_EXCEEDED"] = await status_of(domain.PostPostprocessingExecute(request))
    return found


async def _failed(served: Served, reason_name: str, *steps: dict[str, Any]) -> Golden:
    workflow_id = reason_name.lower().replace("_", "-")
    await served.put(workflow_id, *steps)
    session = (await served.execute(workflow_id, session_id=workflow_id)).session
    return failure_in(session.failure, reason_name)


async def _late(served: Served) -> Golden:
    """Five calls took a second: a session of 0.9 s does not begin another."""
    await served.put("one", echo(delay="1s"))
    await asyncio.gather(*[served.execute("one") for _ in range(5)])
    session = (await served.execute("one", session_id="late", timeout=Duration(nanos=900_000_000))).session
    return failure_in(session.failure, "BUDGET_TOO_SHORT")


async def _ended(served: Served, action: pb.ControlAction.ValueType) -> Golden:
    session_id = pb.ControlAction.Name(action).lower().replace("_", "-")
    await served.put("long", echo(delay="60s"))
    await served.execute("long", session_id=session_id, background=True)
    await served.stub.PostSessionControl(pb.PostSessionControlRequest(session_id=session_id, control_action=action))
    return (await served.ended(session_id)).failure


async def _queued(folder: Path) -> Golden:
    """A step waits for a model while another one has all the memory."""
    async with one_room(folder) as served:
        impatient = infer(max_queued="0.1s", **ONCE)
        await served.put("impatient", impatient, parameters=PARAMETERS)
        holder = await holding(served)
        await run(served, "a", workflow_id="impatient", session_id="impatient")
        session = await served.ended("impatient")
        await cancel(served, holder)
    return failure_in(session.failure, "STEP_QUEUED_TOO_LONG")


async def _lost(folder: Path) -> Golden:
    """The process goes down again and again while a session runs."""
    for restart in range(RESTARTS):
        async with serving(folder, drain_grace=0.0) as served:
            if not restart:
                await served.put("long", echo(delay="60s"))
                await served.execute("long", session_id="unlucky", background=True)
            session = await served.session("unlucky")
            if restart == RESTARTS - 1:
                session = await served.ended("unlucky")
    return failure_in(session.failure, "WORKER_LOST")
