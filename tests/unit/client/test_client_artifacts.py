"""Content by digest, and values as parameters and outputs."""

import hashlib

import numpy as np
import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.payload.v1.payload_pb2 import Artifact, Datum
from hypothesis import given
from hypothesis import strategies as st

from processing_service.client.values import from_struct, to_struct
from processing_service.wire.errors import Code, CoordinatorError

LARGE = bytes(range(256)) * 5000
"""1.2 MiB: more than one chunk, and more than goes inside a request."""


def digest_of(data):
    return hashlib.sha256(data).hexdigest()


async def test_file_goes_up_in_chunks(client, coordinator, tmp_path):
    """A file is stored under its digest, its media type taken from its name, no chunk above 1 MiB."""
    path = tmp_path / "page.png"
    path.write_bytes(LARGE)

    reply = await client.post_processing_artifact(path)

    assert reply.artifact == Artifact(digest=digest_of(LARGE), size_bytes=len(LARGE), media_type="image/png")
    (messages,) = coordinator.requests("PostProcessingArtifact")
    assert [len(message.data) for message in messages] == [0, 1 << 20, len(LARGE) - (1 << 20)]


async def test_content_comes_down_whole(client, coordinator, tmp_path):
    """A downloaded file has the content that was stored, and nothing else is left beside it."""
    digest = (await client.post_processing_artifact(LARGE)).artifact.digest

    path = await client.download_artifact(digest, tmp_path / "page.png")

    assert path.read_bytes() == LARGE
    assert list(tmp_path.iterdir()) == [path]


async def test_download_goes_on_where_it_broke(client, coordinator):
    """A connection that breaks costs no byte twice: the next call asks for the rest."""
    digest = (await client.post_processing_artifact(LARGE)).artifact.digest
    coordinator.cuts.extend([2, 1])

    assert await client.read_artifact(digest) == LARGE
    offsets = [request.offset for request in coordinator.requests("GetProcessingArtifact")]
    assert offsets == [0, 2 << 16, 3 << 16]


async def test_damaged_content_is_refused(client, coordinator, tmp_path):
    """Content with another digest than its name is DATA_LOSS, and no file is written."""
    digest = (await client.post_processing_artifact(LARGE)).artifact.digest
    coordinator.artifacts[digest] = (Artifact(digest=digest), LARGE[:-1])

    with pytest.raises(CoordinatorError) as caught:
        await client.download_artifact(digest, tmp_path / "page.png")

    assert caught.value.code is Code.DATA_LOSS
    assert list(tmp_path.iterdir()) == []


async def test_file_that_is_missing(client, tmp_path):
    """A path that cannot be read is named in the error, and nothing is sent."""
    with pytest.raises(CoordinatorError, match="cannot be read") as caught:
        await client.post_workflow_execute("read-text", {"page": tmp_path / "none.png"})

    assert caught.value.reason == ErrorReason.ERROR_REASON_FIELD_INVALID


async def test_small_values_go_inside_and_large_ones_as_artifacts(client, coordinator, tmp_path):
    """Bytes, files and arrays become payloads; above 256 KiB they are stored first."""
    page = tmp_path / "page.png"
    page.write_bytes(LARGE)
    values = {
        "title": "a page",
        "stamp": b"\x01\x02",
        "page": page,
        "mask": np.zeros((2, 3), np.uint8),
        "image": np.zeros((512, 1024), np.uint8),
        "known": Artifact(digest="0" * 64),
    }

    await client.post_workflow_execute("read-text", values)

    (request,) = coordinator.requests("PostWorkflowExecute")
    payloads = request.payloads
    assert dict(request.parameters) == {"title": "a page"}
    assert payloads["stamp"] == Datum(inline_bytes=b"\x01\x02")
    assert payloads["page"].artifact.digest == digest_of(LARGE)
    assert list(payloads["mask"].tensor.shape) == [2, 3]
    assert payloads["image"].artifact.type_name == "coordinator.payload.v1.Tensor"
    assert payloads["known"].artifact.digest == "0" * 64


async def test_outputs_are_read_on_demand(client, coordinator):
    """Plain outputs are Python values at once; stored ones are fetched when they are read."""
    array = np.arange(512 * 1024, dtype=np.int32).reshape(512, 1024)
    session = await client.execute_workflow(
        "read-text", {"lines": ["a", "b"], "count": 3, "page": LARGE, "image": array}
    )
    outputs = client.outputs_of(session)

    assert set(outputs) == {"lines", "count", "page", "image"}
    assert outputs["lines"] == ["a", "b"]
    assert outputs["count"] == 3
    assert coordinator.requests("GetProcessingArtifact") == []
    assert await outputs.read("page") == LARGE
    np.testing.assert_array_equal(await outputs.array("image"), array)


async def test_outputs_are_saved(client, tmp_path):
    """An output is written to a file, whether it came along or is stored."""
    session = await client.execute_workflow("read-text", {"small": b"abc", "large": LARGE})
    outputs = client.outputs_of(session)

    assert (await outputs.save("small", tmp_path / "small")).read_bytes() == b"abc"
    assert (await outputs.save("large", tmp_path / "large")).read_bytes() == LARGE


async def test_output_of_another_kind(client):
    """Reading a name that is no payload, or bytes as a tensor, says so."""
    outputs = client.outputs_of(await client.execute_workflow("read-text", {"text": "a", "page": b"abc"}))

    with pytest.raises(CoordinatorError, match="no payload 'pag'; did you mean 'page'"):
        await outputs.read("pag")
    with pytest.raises(CoordinatorError, match="not a tensor"):
        await outputs.array("page")


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**53), 2**53),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), plain))
def test_plain_values_survive(values):
    """What goes into a Struct comes out equal."""
    assert from_struct(to_struct(values)) == values


def test_large_integers_go_as_text():
    """A whole number that a double cannot hold goes as decimal digits."""
    assert from_struct(to_struct({"n": 2**53, "m": 2**53 + 1})) == {"n": 2**53, "m": "9007199254740993"}


def test_bytes_inside_a_list():
    """Bytes inside a list are refused with the path where they stand."""
    with pytest.raises(CoordinatorError) as caught:
        to_struct({"pages": [{"image": b"abc"}]})

    assert caught.value.violations[0].field_path == "parameters.pages[0].image"
