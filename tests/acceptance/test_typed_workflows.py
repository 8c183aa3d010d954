"""Typed services of a server that is killed: what a put has acknowledged is served by the next one."""

from __future__ import annotations

from pathlib import Path

from coordinator.processing.v1 import processing_pb2 as pb

from tests.acceptance.processes import Server
from tests.coordinators import reach
from tests.typed_services import listed, reflected

ROOT = Path(__file__).parents[2]
SOURCE = (ROOT / "examples" / "workflows" / "three-echoes.yaml").read_text(encoding="utf-8")


async def test_a_typed_service_survives_a_kill_right_after_its_put(tmp_path: Path) -> None:
    """With the field numbers that the first process gave."""
    options = ("--listen", "localhost:0", "--store", str(tmp_path / "store"), "--models", str(tmp_path / "models"))
    first = Server(*options)
    async with reach(await first.start()) as served:
        await served.stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest(source=SOURCE))
        before = (await reflected(served, "ThreeEchoesService")).request.DESCRIPTOR.fields_by_name
        await first.kill()
    second = Server(*options)
    async with reach(await second.start()) as served:
        try:
            echoes = await reflected(served, "ThreeEchoesService")
            reply, names = await echoes.execute(text="hello"), await listed(served)
        finally:
            await second.kill()

    assert (reply.text, names) == ("hello", ["ThreeEchoesService"])
    fields = echoes.request.DESCRIPTOR.fields_by_name
    assert {name: field.number for name, field in fields.items()} == {name: f.number for name, f in before.items()}
