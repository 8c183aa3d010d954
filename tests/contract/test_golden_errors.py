"""Every reason of the contract as a real server sends it, the same bytes as ever."""

import os
from pathlib import Path
from types import ModuleType

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason, Failure

from processing_service.wire.errors import DOMAIN, Code, from_failure, reason_name_of, reason_of
from processing_service.wire.status import from_status
from tests.contract import golden_errors
from tests.contract.golden_errors import Golden
from tests.contract.refusals import batches, faults, missing, models, places, taken, time, wrong

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "errors.md").read_text("utf-8")
CHAPTERS = (missing, wrong, taken, models, time, batches, places, faults)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.__name__.rpartition(".")[2])
async def test_a_server_makes_the_golden_errors(chapter: ModuleType, tmp_path: Path) -> None:
    """Real calls of a real server, each refused with its reason; what varies is left out."""
    made = {name: golden_errors.normalised(error) for name, error in (await chapter.errors(tmp_path)).items()}
    if os.environ.get("GOLDEN") == "write":
        golden_errors.write(made)
        pytest.fail("written anew: look at the difference, then run without GOLDEN")
    golden = golden_errors.stored()

    assert {name: golden_errors.reason_of(error) for name, error in made.items()} == {name: name for name in made}
    assert made == {name: golden[name] for name in made}
    for name, error in made.items():
        assert golden_errors.encoded(error) == golden_errors.encoded(golden[name])


def test_every_reason_of_the_contract_has_a_golden_error() -> None:
    """And there is none for a reason that is no more."""
    reasons = {reason_name_of(reason) for reason in ErrorReason.values() if reason}

    assert set(golden_errors.stored()) == reasons
    assert len(list(golden_errors.FOLDER.iterdir())) == len(reasons)


@pytest.mark.parametrize("name", sorted(golden_errors.stored()))
def test_python_reads_it(name: str) -> None:
    """The reason is the one of its file, and the message says something."""
    error = golden_errors.stored()[name]
    known = from_failure(error) if isinstance(error, Failure) else from_status(error)

    assert known is not None
    assert known.reason == reason_of(name) == ErrorReason.Value(f"ERROR_REASON_{name}")
    assert known.code == Code(_code(error))
    assert known.message
    if not isinstance(error, Failure):
        assert golden_errors.info_of(error).domain == DOMAIN


@pytest.mark.parametrize("name", sorted(golden_errors.stored().keys() - {"STEP_FAILED", "FOREIGN"}))
def test_the_reference_has_its_status(name: str) -> None:
    """The paragraph of the reason names the status that came; two reasons have that of what they stand for."""
    paragraph = REFERENCE.split(f"### {name}\n")[1].split("###")[0]

    assert Code(_code(golden_errors.stored()[name])).name in paragraph


async def test_what_no_client_can_provoke_is_listed(tmp_path: Path) -> None:
    """Each with the cause, and how it is made all the same; every other reason comes of a call."""
    assert set(await faults.errors(tmp_path)) == set(faults.UNREACHABLE)


def _code(error: Golden) -> int:
    return error.status_code if isinstance(error, Failure) else error.code
