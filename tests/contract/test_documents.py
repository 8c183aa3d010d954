"""The pages of docs/reference name all that there is: reasons, settings, metrics, limits, commands, fields."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from enum import IntEnum
from pathlib import Path

import pytest
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.processing.v1.processing_pb2 import (
    Foreach,
    RetryPolicy,
    Workflow,
    WorkflowOutput,
    WorkflowParameter,
    WorkflowStep,
)
from google.protobuf.message import Message

from instructors.domains import Domains
from processing_service.cli.app import app
from processing_service.client import CoordinatorClient
from processing_service.config import Settings
from processing_service.config.keys import keys_of
from processing_service.engine.batches.records import BatchState
from processing_service.engine.definitions import parse_definition
from processing_service.engine.records import SessionState, StepState
from processing_service.engine.store.sqlite import StoreSettings
from processing_service.server import running
from processing_service.wire import callcontext
from processing_service.wire.listener import ListenerSettings
from processing_service.wire.telemetry.metrics import MetricsSettings
from processing_service.wire.telemetry.setup import TelemetrySettings
from tests.clients.languages import PROGRAMS, Program
from tests.modules import load_script

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
CLIENTS = ROOT / "examples" / "clients"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *CLIENTS.glob("*.md"), *CLIENTS.glob("*/*.md")])


def text_of(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def test_every_reason_of_an_error_has_one_paragraph() -> None:
    """In errors.md, under its name as it stands in ErrorInfo."""
    reasons = [name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()[1:]]
    assert sorted(re.findall(r"^### (\w+)$", text_of("errors.md"), re.MULTILINE)) == sorted(reasons)


def test_the_tables_of_settings_are_those_of_the_classes() -> None:
    """As scripts/document_settings.py makes them, with every key."""
    written, script = text_of("configuration.md"), load_script("document_settings")
    assert script.rewritten(written) == written, "run python scripts/document_settings.py"
    keys = set(re.findall(r"^\| `([\w.\[\]]+)`", written, re.MULTILINE)) | set(
        re.findall(r"^## `\[\[(\w+)\]\]`", written, re.MULTILINE)
    )
    assert set(keys_of(Settings)) <= keys


async def test_every_metric_of_a_live_scrape_has_a_row(tmp_path: Path) -> None:
    """In metrics.md, with its labels and its type; and no row is of a metric that does not exist."""
    settings = Settings(
        listener=ListenerSettings(address="127.0.0.1:0"),
        store=StoreSettings(tmp_path),
        telemetry=TelemetrySettings(metrics=MetricsSettings("127.0.0.1:0")),
    )
    async with running(settings) as process:
        page = await asyncio.to_thread(_scrape, f"http://{process.metrics_address}/metrics")
    live = set(re.findall(r"^# TYPE (\w+) (\w+)$", page, re.MULTILINE))
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", text_of("metrics.md"), re.MULTILINE)
    assert set(rows) == live


async def test_every_limit_of_the_contract_has_a_row(tmp_path: Path) -> None:
    """In limits.md, with the value that a server without settings tells."""
    settings = Settings(listener=ListenerSettings(address="127.0.0.1:0"), store=StoreSettings(tmp_path))
    async with running(settings) as process, CoordinatorClient(process.address) as client:
        limits = (await client.get_processing_contract()).limits
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", text_of("limits.md"), re.MULTILINE)
    assert sorted(rows) == sorted((limit.name, str(limit.value)) for limit in limits)


def _scrape(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as reply:
        return str(reply.read().decode())


def test_every_metadata_key_has_a_row() -> None:
    """In metadata.md: those of calls, by their constants."""
    keys = [value for name, value in vars(callcontext).items() if name.isupper() and isinstance(value, str)]
    assert keys
    assert [key for key in keys if f"| `{key}` |" not in text_of("metadata.md")] == []


@pytest.mark.parametrize("message", [Workflow, WorkflowParameter, WorkflowStep, WorkflowOutput, Foreach, RetryPolicy])
def test_every_field_of_a_definition_has_a_row(message: type[Message]) -> None:
    """In workflow-definition.md, in the section of what it is a field of."""
    title = message.DESCRIPTOR.name.removeprefix("Workflow").removesuffix("Policy") or "Workflow"
    section = text_of("workflow-definition.md").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [row.partition(" | ")[0] for row in section.splitlines() if row.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(message.DESCRIPTOR.fields_by_name)


def test_every_command_has_a_line() -> None:
    """In cli.md, as it is typed."""
    names = {command.name for command in app.registered_commands}
    for group in app.registered_groups:
        assert group.typer_instance is not None
        names |= {f"{group.name} {command.name}" for command in group.typer_instance.registered_commands}
    assert set(re.findall(r"^\| `processing-service ([a-z]+(?: [a-z-]+)?)", text_of("cli.md"), re.MULTILINE)) == names


@pytest.mark.parametrize(("name", "states"), [("session", SessionState), ("step", StepState), ("batch", BatchState)])
def test_the_drawn_states_are_those_of_the_engine(name: str, states: type[IntEnum]) -> None:
    """As scripts/draw_states.py draws them now, with every state and with no arrow for what is not legal."""
    script = load_script("draw_states")
    machine, picture = script.DRAWINGS[name], script.path_of(name).read_text(encoding="utf-8")
    assert picture == script.drawn(machine), "run python scripts/draw_states.py"
    assert [state.name for state in states if f">{state.name}</text>" not in picture] == []
    asked = {
        (wish.name, source) for wish, legal in machine.wishes.items() for source in script.sources(legal, machine.boxes)
    }
    assert asked == set(machine.asked)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_readme_of_a_client_has_the_lines_that_the_tests_run(program: Program) -> None:
    """To build it, and to run it with a page."""
    text = (CLIENTS / program.folder / "README.md").read_text(encoding="utf-8")
    command = " ".join(f"'{part}'" if "*" in part else part for part in program.command)
    assert "./build.sh\n```" in text
    assert f"\n{command} localhost:50051 ../../pages/04-photo.jpg\n" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Files exist, and so do the headings that are named."""
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, heading = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        assert found.exists(), target
        assert not heading or heading in _headings(found), target


def _headings(page: Path) -> set[str]:
    """The anchors of a page, as they are made from headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def definitions() -> list[object]:
    """The definitions that documents show, each with its name."""
    found = []
    for page in PAGES:
        shown = re.findall(r"^```yaml\n(workflow_id: .*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
        found += [pytest.param(source, id=source.split()[1]) for source in shown]
    return found


@pytest.mark.parametrize("source", definitions())
def test_definitions_pass_their_checks(source: str) -> None:
    """Every definition that a document shows can be put as it is."""
    definition, warnings = parse_definition(source, Domains.of_contract())
    assert definition.workflow.steps
    assert warnings == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_that_are_named_exist(page: Path) -> None:
    """In the text of every page, under the name that they have now."""
    sections = "listener|deadlines|telemetry|sessions|store|inference|postprocessing|client"
    known = {*keys_of(Settings), *(key.rpartition(".")[0] for key in keys_of(Settings))}
    named = re.findall(rf"`((?:{sections})\.[a-z_.]+)`", page.read_text(encoding="utf-8"))
    operations = {operation.name for operation in Domains.of_contract().operations()}
    assert {name for name in named if name not in operations} <= known
