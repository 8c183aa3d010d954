"""It was there before, or it is not possible now."""

from pathlib import Path

from coordinator.processing.v1 import processing_pb2 as pb

from tests.contract.golden_errors import Golden, failure_in, status_of
from tests.coordinators import EXECUTE, Served, echo, serving


async def errors(folder: Path) -> dict[str, Golden]:
    """Identifiers that are taken, and actions that are not legal."""
    async with serving(folder) as served:
        await served.put("say", echo())
        await served.execute("say", session_id="first", request_id="once")
        await served.stub.PostBatchCreate(_batch())
        resume = pb.PostSessionControlRequest(session_id="first", control_action=pb.CONTROL_ACTION_RESUME)
        halt = pb.PostBatchControlRequest(batch_id="pages", batch_action=pb.BATCH_ACTION_PAUSE)
        await served.put("read", echo(), parameters={"page": {"value_type": "STRING"}})
        again = pb.PostBatchItemsRequest(batch_id="pages", items=[pb.BatchItem(item_id="one")])
        return {
            "SESSION_ALREADY_EXISTS": await status_of(served.execute("say", session_id="first")),
            "BATCH_ALREADY_EXISTS": await status_of(served.stub.PostBatchCreate(_batch())),
            "REQUEST_ID_REUSED": await status_of(served.execute("say", session_id="second", request_id="once")),
            "BATCH_ITEM_ALREADY_EXISTS": await status_of(served.stub.PostBatchItems(again)),
            "WORKFLOW_BREAKING": await status_of(served.put("read", echo())),
            "SESSION_STATE_ILLEGAL": await status_of(served.stub.PostSessionControl(resume)),
            "BATCH_STATE_ILLEGAL": await status_of(served.stub.PostBatchControl(halt)),
            "SEQUENCE_OUT_OF_RANGE": await status_of(served.watch("first", after=1000)),
            "SESSION_TOO_DEEP": await _ping_pong(served),
        }


def _batch() -> pb.PostBatchCreateRequest:
    return pb.PostBatchCreateRequest(batch_id="pages", workflow_ids=["say"], items=[pb.BatchItem(item_id="one")])


async def _ping_pong(served: Served) -> Golden:
    """Two workflows that call each other."""
    await served.put("ping", _child("pong"))
    await served.put("pong", _child("ping"))
    await served.execute("ping", session_id="rally")
    reply = await served.stub.GetProcessingSessions(pb.GetProcessingSessionsRequest(page_size=1))
    return failure_in(reply.sessions[0].failure, "SESSION_TOO_DEEP")


def _child(workflow_id: str) -> dict[str, object]:
    return {"step_id": "child", "operation": EXECUTE, "parameters": {"workflow_id": workflow_id}}
