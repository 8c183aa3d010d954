"""A batch of pages that is watched from the command line survives kill -9 of its server in the middle."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from coordinator.processing.v1 import processing_pb2 as pb

from tests.acceptance.processes import topology

ROOT = Path(__file__).parents[2]
PAGES = 20
SOME = 3
"""Cells that have ended before the kill."""
WORKFLOWS = {
    "find-lines": ("regions", {"regions": "${steps.regions.detect_regions.regions}"}),
    "find-top": ("vote", {"upside_down": "${steps.vote.vote.won}"}),
}
"""Parts of `read-text` that are quick: the last step of each, and its outputs."""


def part_of_reading(workflow_id: str, last: str, outputs: dict[str, str]) -> str:
    """The definition of `read-text` up to a step, over small pages."""
    whole = yaml.safe_load((ROOT / "examples" / "workflows" / "read-text.yaml").read_text(encoding="utf-8"))
    names = [step["step_id"] for step in whole["steps"]]
    steps = whole["steps"][: names.index(last) + 1]
    used = {name: value for name, value in whole["parameters"].items() if f"parameters.{name}}}" in json.dumps(steps)}
    used["max_side"]["default_value"] = 640
    shown = {name: {"value": value} for name, value in outputs.items()}
    return json.dumps({"workflow_id": workflow_id, "parameters": used, "steps": steps, "outputs": shown})


def lay_out(folder: Path) -> Path:
    """A folder with twenty pages."""
    pages = sorted((ROOT / "examples" / "pages").glob("*.[pj][np]g"))
    folder.mkdir()
    for number in range(PAGES):
        page = pages[number % len(pages)]
        shutil.copy(page, folder / f"{number:02}-{page.name}")
    return folder


class Command:
    """A `processing-service batch ...` as a process."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        """Starts it."""
        command = (sys.executable, "-m", "processing_service.cli", "batch", *words, "--address", self._address)
        return await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=1 << 24
        )

    async def run(self, *words: str) -> str:
        """Runs it to its end, which has to be good; what it prints."""
        return await ended(await self.start(*words))


async def ended(process: asyncio.subprocess.Process) -> str:
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def until_some_ended(watcher: asyncio.subprocess.Process) -> list[dict[str, Any]]:
    """What a watcher has seen once some cells have ended."""
    seen: list[dict[str, Any]] = []
    while sum(is_end_of_cell(update) for update in seen) < SOME:
        seen.append(await next_update(watcher))
    return seen


async def next_update(watcher: asyncio.subprocess.Process) -> dict[str, Any]:
    assert watcher.stdout is not None
    update: dict[str, Any] = json.loads(await watcher.stdout.readline())
    return update


def is_end_of_cell(update: dict[str, Any]) -> bool:
    return bool(update.get("event", {}).get("kind") == "BATCH_EVENT_KIND_CELL_ENDED")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_watched_page_batch_survives_a_kill_in_the_middle(tmp_path: Path, model_repository: Path) -> None:
    """20 pages x 2 workflows end with 40 results: what the watcher saw, the cells, and the sum by state agree."""
    pages = lay_out(tmp_path / "pages")
    async with topology("embedded", tmp_path, model_repository) as servers:
        async with servers.client() as client:
            for workflow_id, (last, outputs) in WORKFLOWS.items():
                await client.put_processing_workflow(part_of_reading(workflow_id, last, outputs))
        command = Command(servers.coordinator.address)
        await command.run(
            *("create", *WORKFLOWS, "--files", str(pages), "--as", "page", "--batch-id", "pages"),
            *("--max-parallel", "2"),
        )
        for_people = await command.start("watch", "pages")
        assert for_people.stdout is not None
        first = (await for_people.stdout.readline()).decode()
        for_programs = await command.start("watch", "pages", "--after", "0", "-o", "jsonl")
        seen = [await next_update(for_programs)]
        await command.run("execute", "pages")
        seen += await until_some_ended(for_programs)
        await servers.kill()
        await servers.start()
        async with servers.client() as client:
            assert (await client.get_processing_batch("pages")).batch.state == pb.BATCH_STATE_RUNNING

        lines = (await ended(for_people)).splitlines()
        seen += map(json.loads, (await ended(for_programs)).splitlines())
        cells = [json.loads(line) for line in (await command.run("items", "pages", "-o", "jsonl")).splitlines()]
        async with servers.client() as client:
            batch = (await client.get_processing_batch("pages")).batch
            selector = pb.SessionSelector(batch_id="pages")
            sessions = [session async for session in client.get_processing_sessions(selector=selector)]

    assert first.startswith("batch pages is CREATED, ")
    assert lines[-1].endswith("batch ended SUCCEEDED: 40 of 40 cells succeeded")
    assert [int(one["event"]["sequence"]) for one in seen if "event" in one] == list(range(1, batch.last_sequence + 1))
    told = Counter(
        (cell["item_id"], cell["workflow_id"]) for cell in (u["event"]["cell"] for u in seen if is_end_of_cell(u))
    )
    there = Counter((cell["item_id"], cell["workflow_id"]) for cell in cells)
    assert told == there == Counter((page.stem, workflow) for page in pages.iterdir() for workflow in WORKFLOWS)
    assert [cell["outputs"].keys() for cell in cells] == [WORKFLOWS[cell["workflow_id"]][1].keys() for cell in cells]
    counts = {field.name: value for field, value in batch.counts.ListFields()}
    assert counts == {"items": PAGES, "total": 2 * PAGES, "succeeded": 2 * PAGES}
    assert len(sessions) == 2 * PAGES
