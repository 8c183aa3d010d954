"""Crash points name what is there, and are in the tests alone."""

import inspect
import tomllib

import pytest

from tests.crashing.fuses import find
from tests.crashing.points import BY_HARNESS, POINTS, Target
from tests.crashing.servers import ROOT

each_target = pytest.mark.parametrize(
    "target", [target for point in POINTS.values() for target in point.targets], ids=lambda target: target.method
)


@each_target
def test_a_point_lies_at_a_method_that_there_is(target: Target) -> None:
    """A method that was renamed would be a point that nobody passes."""
    owner, method = find(target.method)

    assert callable(getattr(owner, method))


@each_target
def test_what_counts_as_a_pass_can_be_asked_of_all_that_the_method_takes(target: Target) -> None:
    """One that raised would break the server, and not kill it."""
    owner, method = find(target.method)
    takes = inspect.signature(getattr(owner, method)).parameters.values()
    places = [each.name for each in takes if each.kind is each.POSITIONAL_OR_KEYWORD]
    needed = [each.name for each in takes if each.kind is each.POSITIONAL_OR_KEYWORD and each.default is each.empty]
    for arguments in (places, needed):
        inspect.signature(target.passes).bind(*(["result"] if target.when == "after" else []), *arguments)


def test_all_points_but_one_lie_inside_the_server() -> None:
    """The one behind the answer can only be seen by who got it."""
    assert [name for name, point in POINTS.items() if not point.targets] == [BY_HARNESS]


def test_no_package_that_is_installed_has_crash_points() -> None:
    """Neither as files nor by name."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    packages = build["targets"]["wheel"]["packages"]
    sources = [path for package in packages for path in (ROOT / package).rglob("*.py")]

    assert sources
    assert [path for path in sources if "crashing" in path.read_text("utf-8")] == []
