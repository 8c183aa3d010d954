"""What is above the limit is not parsed."""

import pytest

from processing_service.wire.errors import Code, CoordinatorError
from processing_service.wire.interceptors.sizes import limited


def test_a_message_above_the_limit_is_refused_with_both_numbers() -> None:
    """At the limit it is parsed."""
    parse = limited(bytes.decode, 3)

    assert parse(b"abc") == "abc"
    with pytest.raises(CoordinatorError) as caught:
        parse(b"abcd")
    assert (caught.value.code, caught.value.reason_name) == (Code.RESOURCE_EXHAUSTED, "PAYLOAD_TOO_LARGE")
    assert caught.value.metadata == {"size_bytes": "4", "limit_bytes": "3"}
