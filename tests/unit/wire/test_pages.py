"""Pages of lists: their size, and tokens that belong to one list and filter."""

import base64

import pytest
from coordinator.processing.v1 import processing_pb2 as pb
from google.protobuf.wrappers_pb2 import BytesValue

from processing_service.wire.errors import CoordinatorError
from processing_service.wire.pages import PAGE_BYTES, fit, list_of, make_token, page_size, read_number, read_token


def test_a_page_has_a_hundred_entries_unless_asked():
    """And never more than a thousand."""
    assert [page_size(asked) for asked in (0, 1, 1000, 5000)] == [100, 1, 1000, 1000]
    with pytest.raises(CoordinatorError, match="FIELD_INVALID"):
        page_size(-1)


@pytest.mark.parametrize("key", ["", "a", "text-detection/1", "ü" * 50, "1" * 200])
def test_a_token_gives_its_key_back(key):
    """It is text that fits a URL, and bound to its list."""
    token = make_token(b"list", key)

    assert read_token(b"list", token) == key
    assert token.isascii()
    assert "=" not in token
    with pytest.raises(CoordinatorError, match="PAGE_TOKEN_INVALID"):
        read_token(b"another list", token)


def test_lists_without_a_filter_are_not_the_same() -> None:
    """Their requests have no bytes, and some have the same; a token of one is none of another."""
    asked = (
        pb.GetProcessingSessionsRequest(),
        pb.GetProcessingWorkflowsRequest(),
        pb.GetProcessingBatchItemsRequest(batch_id="a"),
        pb.GetProcessingSessionEventsRequest(session_id="a"),
    )

    assert len({list_of(request) for request in asked}) == len(asked)


def test_no_token_is_the_first_page():
    """An empty token begins."""
    assert read_token(b"list", "") == ""
    assert read_number(b"list", "") == 0


@pytest.mark.parametrize(
    "token", ["x", "====", "ü", "\x00", "A" * 10_000, base64.urlsafe_b64encode(b"\xff" * 30).decode()]
)
def test_any_other_text_is_refused(token):
    """Whatever a caller sends that was not given out is PAGE_TOKEN_INVALID."""
    with pytest.raises(CoordinatorError, match="PAGE_TOKEN_INVALID"):
        read_token(b"list", token)


@pytest.mark.parametrize("key", ["x", "-1", "1.5", "²", "9" * 40])
def test_a_token_that_was_made_up_is_no_number(key):
    """Where a number is expected nothing else passes, even under the right filter."""
    with pytest.raises(CoordinatorError, match="PAGE_TOKEN_INVALID"):
        read_number(b"list", make_token(b"list", key))
    assert read_number(b"list", make_token(b"list", "42")) == 42


def test_a_page_fits_a_message():
    """Entries go on it until it is full; one that is too large for it goes alone."""
    entry, large = BytesValue(value=b"x" * 1000), BytesValue(value=b"x" * (PAGE_BYTES + 1))

    assert len(fit([entry] * 10, 4)) == 4
    assert sum(one.ByteSize() for one in fit([entry] * 9999, 9999)) <= PAGE_BYTES
    assert fit([entry, large, entry], 9) == [entry]
    assert fit([large, entry], 9) == [large]
    assert fit([], 9) == []
