"""`key=value` arguments."""

from pathlib import Path

import pytest
import typer
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.cli.arguments import to_labels, to_states, to_values


def test_values():
    """JSON where it is JSON, text otherwise, `@` for a file, dots for a path."""
    values = to_values(
        [
            "count=5",
            "share=0.5",
            "fast=true",
            "none=null",
            'text="5"',
            "title=a page = a sheet",
            "nan=NaN",
            "sizes=[1, 2]",
            "page=@dir/page.png",
            "decode.max_pixels=7",
            "decode.format=png",
            "inputs.x=@x.bin",
            "empty=",
        ]
    )

    assert values == {
        "count": 5,
        "share": 0.5,
        "fast": True,
        "none": None,
        "text": "5",
        "title": "a page = a sheet",
        "nan": "NaN",
        "sizes": [1, 2],
        "page": Path("dir/page.png"),
        "decode": {"max_pixels": 7, "format": "png"},
        "inputs.x": Path("x.bin"),
        "empty": "",
    }


@pytest.mark.parametrize("wrong", [["page"], ["=5"], ["a=1", "a=2"], ["a=1", "a.b=2"], ["a.b=1", "a.b=2"]])
def test_wrong_arguments(wrong):
    """Without `=`, without a key, or with a key twice is a usage error."""
    with pytest.raises(typer.BadParameter):
        to_values(wrong)


def test_labels():
    """Labels are text, whatever they look like."""
    assert to_labels(["stage=1", "owner=a=b"]) == {"stage": "1", "owner": "a=b"}
    assert to_labels(None) == {}


def test_states():
    """States are known in any case, with or without prefix; another name is a usage error that lists them."""
    assert to_states(["failed", "SESSION_STATE_RUNNING"]) == [pb.SESSION_STATE_FAILED, pb.SESSION_STATE_RUNNING]
    with pytest.raises(typer.BadParameter, match="SUCCEEDED"):
        to_states(["done"])
