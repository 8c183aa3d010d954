"""How large values are found to be."""

from __future__ import annotations

from typing import Any

import pytest
from coordinator.postprocessing.v1 import postprocessing_pb2 as pb
from google.protobuf.struct_pb2 import Struct

from processing_service.engine.definitions.extents import SCALAR, Extent, measure, text_extent, widest

REGION = pb.Region(corners=[pb.Point(x=1, y=2)] * 4, score=0.5)


@pytest.mark.parametrize(
    ("value", "extent"),
    [
        (1, SCALAR),
        (None, SCALAR),
        ("a" * 160, Extent(11, 11)),
        (b"a" * 160, Extent(11, 11)),
        ([], Extent(0, 1, SCALAR)),
        ([1, 2.5, True, None], Extent(4, 5, SCALAR)),
        (["a" * 32, ""], Extent(2, 5, text_extent(32))),
        ([[1, 2], [3]], Extent(2, 6, Extent(2, 3, SCALAR))),
        ({"a": [1, 2, 3]}, Extent(1, 6, Extent(3, 4, SCALAR))),
    ],
)
def test_values_are_measured_at_every_depth(value: Any, extent: Extent) -> None:
    """Length, weight of all that is in it, and the widest of its elements."""
    assert measure(value) == extent


def test_a_message_is_its_bytes_or_what_stands_in_it() -> None:
    """The bytes are at hand; looking inside is exact."""
    quick, exact = measure([REGION] * 10), measure([REGION] * 10, inside=True)

    assert quick.length == exact.length == 10
    assert quick.inner.length == REGION.ByteSize() + 16
    assert exact.inner.inner.length == 4


def test_a_struct_is_never_looked_into() -> None:
    """An expression sees it as a map, which has other depths."""
    struct = Struct()
    struct.update({"a": [1] * 100})

    assert measure(struct, inside=True) == measure(struct) == Extent(struct.ByteSize() + 16, struct.ByteSize() + 16)


def test_only_so_many_fields_are_looked_at() -> None:
    """Behind them a message is its bytes again, which is more."""
    many = [REGION] * 20_000

    assert measure(many[:100], inside=True).inner.inner.length == 4
    assert measure(many, inside=True).inner.length >= REGION.ByteSize()


def test_the_widest_holds_each_of_them() -> None:
    """By part, at every depth; of nothing it is a scalar."""
    text, numbers = text_extent(320), Extent(3, 4, SCALAR)

    assert widest([]) == SCALAR
    assert widest([text, numbers]) == Extent(21, 21, Extent(21, 21))
    assert widest([numbers, numbers]) == numbers
