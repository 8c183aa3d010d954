"""Content goes in and comes out by its digest, over the wire."""

import asyncio
import hashlib
import os

import pytest
from coordinator.payload.v1.payload_pb2 import Artifact, Datum
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.wire.errors import Code
from tests.coordinators import ECHO, refused

DATA = os.urandom(3 << 20)
DIGEST = hashlib.sha256(DATA).hexdigest()


async def chunks(data=DATA, **artifact):
    """The content in chunks; what it will be stands in the first."""
    for start in range(0, len(data), 1 << 20):
        first = Artifact(**artifact) if start == 0 else None
        yield pb.PostProcessingArtifactRequest(artifact=first, data=data[start : start + (1 << 20)])


def files(folder):
    """What lies in the store beside its database, whole or not."""
    return [path for path in folder.glob("store/artifacts/**/*") if path.is_file()]


async def content(coordinator, digest, offset=0):
    """What a digest stands for."""
    call = coordinator.stub.GetProcessingArtifact(pb.GetProcessingArtifactRequest(digest=digest, offset=offset))
    return [chunk async for chunk in call]


async def test_content_comes_back_in_chunks_from_any_offset(coordinator):
    """It is stored once, under its digest, with its kind."""
    stored = await coordinator.stub.PostProcessingArtifact(chunks(digest=DIGEST, media_type="image/png"))
    again = await coordinator.stub.PostProcessingArtifact(chunks())
    whole, rest = await content(coordinator, DIGEST), await content(coordinator, DIGEST, (2 << 20) + 5)

    assert (stored.created, again.created) == (True, False)
    assert whole[0].artifact == Artifact(digest=DIGEST, size_bytes=len(DATA), media_type="image/png")
    assert b"".join(chunk.data for chunk in whole) == DATA
    assert max(len(chunk.data) for chunk in whole) == 1 << 20
    assert b"".join(chunk.data for chunk in rest) == DATA[(2 << 20) + 5 :]


@pytest.mark.parametrize("announced", [{"digest": "0" * 64}, {"size_bytes": 7}])
async def test_content_that_is_not_what_was_announced_is_refused(coordinator, tmp_path, announced):
    """DIGEST_MISMATCH names the field; nothing is stored."""
    error = await refused(coordinator.stub.PostProcessingArtifact(chunks(**announced)))

    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, "DIGEST_MISMATCH")
    assert error.violations[0].field_path == f"artifact.{next(iter(announced))}"
    assert files(tmp_path) == []


async def test_an_upload_whose_caller_leaves_leaves_nothing(coordinator, tmp_path):
    """What came until then is removed."""
    call = coordinator.stub.PostProcessingArtifact()
    await call.write(pb.PostProcessingArtifactRequest(artifact=Artifact(digest=DIGEST), data=DATA[: 2 << 20]))
    while not files(tmp_path):  # noqa: ASYNC110  # nobody is told
        await asyncio.sleep(0.01)
    call.cancel()

    while files(tmp_path):  # noqa: ASYNC110  # nobody is told
        await asyncio.sleep(0.01)


async def test_content_may_come_in_any_parts(coordinator):
    """Empty, tiny and all at once; no content at all is one, too."""
    for parts in ([b""], [b"a", b"", b"b" * 3], [DATA]):
        requests = [pb.PostProcessingArtifactRequest(data=part) for part in parts]
        stored = await coordinator.stub.PostProcessingArtifact(iter(requests))

        assert stored.artifact.digest == hashlib.sha256(b"".join(parts)).hexdigest()
        assert b"".join(chunk.data for chunk in await content(coordinator, stored.artifact.digest)) == b"".join(parts)


async def test_a_chunk_that_is_none_is_refused(coordinator):
    """Bytes that are not a request of the contract are INVALID_ARGUMENT in a stream, too."""
    path = "/coordinator.processing.v1.ProcessingService/PostProcessingArtifact"
    error = await refused(coordinator.channel.stream_unary(path)(iter([b"\xff" * 9])))

    assert (error.code, error.reason_name) == (Code.INVALID_ARGUMENT, "FIELD_INVALID")


async def test_an_unknown_digest_and_an_offset_past_the_end_are_refused(coordinator):
    """NOT_FOUND, also for what is no digest at all; OUT_OF_RANGE."""
    stored = await coordinator.stub.PostProcessingArtifact(chunks(b"small"))
    for digest in ("0" * 64, "../../etc/passwd", ""):
        request = pb.GetProcessingArtifactRequest(digest=digest)
        error = await refused(coordinator.stub.GetProcessingArtifact(request))
        assert (error.reason_name, error.metadata["resource_name"]) == ("ARTIFACT_NOT_FOUND", digest)
        assert repr(digest) in error.message
    request = pb.GetProcessingArtifactRequest(digest=stored.artifact.digest, offset=6)
    assert (await refused(coordinator.stub.GetProcessingArtifact(request))).code is Code.OUT_OF_RANGE


async def test_large_payloads_are_kept_by_reference_and_reach_the_domain_as_bytes(coordinator):
    """A megabyte goes in, through two steps, and out as an artifact."""
    steps = [
        {"step_id": "first", "operation": ECHO, "parameters": {"echo": {"datum": "${parameters.page}"}}},
        {"step_id": "second", "operation": ECHO, "parameters": {"echo": {"datum": "${steps.first.echo.datum}"}}},
    ]
    outputs = {"page": {"value": "${steps.second.echo.datum}"}}
    await coordinator.put("pass-on", *steps, parameters={"page": {"value_type": "BYTES"}}, outputs=outputs)
    page = Datum(inline_bytes=DATA[: 1 << 20], media_type="image/png")
    session = (await coordinator.execute("pass-on", payloads={"page": page})).session
    artifact = session.payloads["page"].artifact

    assert session.state == pb.SESSION_STATE_SUCCEEDED
    assert b"".join(chunk.data for chunk in await content(coordinator, artifact.digest)) == DATA[: 1 << 20]


async def test_a_reference_that_nothing_stands_behind_starts_nothing(coordinator):
    """ARTIFACT_NOT_FOUND before a session is made."""
    await coordinator.put(
        "pass-on",
        {"step_id": "first", "operation": ECHO, "parameters": {"echo": {"datum": "${parameters.page}"}}},
        parameters={"page": {"value_type": "BYTES"}},
    )
    page = Datum(artifact=Artifact(digest="0" * 64))

    assert (await refused(coordinator.execute("pass-on", payloads={"page": page}))).reason_name == "ARTIFACT_NOT_FOUND"
    assert await coordinator.sessions() == []
