"""`batch` as a process: what it sends, what it prints where, and its exit codes."""

import asyncio
import json
import signal
import sys

import pytest
from coordinator.processing.v1 import processing_pb2 as pb

from tests.batches import FakeBatches
from tests.doubles import serving


@pytest.fixture
async def coordinator():
    fake = FakeBatches()
    parameters = {"text": pb.WorkflowParameter(value_type=pb.VALUE_TYPE_STRING)}
    fake.workflows["read-text"] = pb.Workflow(workflow_id="read-text", parameters=parameters)
    async with serving(fake):
        yield fake


def sent(coordinator, method="PostBatchCreate"):
    (request,) = coordinator.requests(method)
    return request


def items_of(request):
    return [(item.item_id, dict(item.parameters), sorted(item.payloads)) for item in request.items]


async def watched(coordinator):
    """Returns once somebody watches."""
    async with asyncio.timeout(30):
        while not coordinator.watchers:  # noqa: ASYNC110 - another process is awaited
            await asyncio.sleep(0.01)


async def test_a_batch_of_files(ask, coordinator, tmp_path):
    """An item a file, with its content and the parameters that all share; a shared file goes to each, too."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"\x89PNG" + name.encode())
    (tmp_path / "frame").write_bytes(b"frame")

    ended = await ask(
        *("batch", "create", "read-text", "draw", "size=3", "frame=@frame"),
        *("--files", "*.png", "--as", "page", "--batch-id", "pages"),
    )

    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "pages CREATED, 4 cells: 2 items x 2 workflows\n"
    request = sent(coordinator)
    assert items_of(request) == [("a", {"size": 3}, ["frame", "page"]), ("b", {"size": 3}, ["frame", "page"])]
    assert request.items[1].payloads["page"].inline_bytes == b"\x89PNGb.png"


async def test_all_that_a_batch_can_be(ask, coordinator):
    """Each option is a field of the request."""
    options = "--model m --model n --max-parallel 3 --max-failures 10% --canary 4 --canary-failures 1"
    options += " --canary-seconds 1.5 --priority 9 --timeout 7 --label team=a --request-id r --batch-id b -o json"

    ended = await ask("batch", "create", "read-text", "--item", "a text=hello", *options.split())

    request = sent(coordinator)
    assert json.loads(ended.out)["batch_id"] == "b"
    assert (list(request.model_ids), request.max_parallel, request.max_failure_ratio) == (["m", "n"], 3, 0.1)
    assert (request.canary.cell_count, request.canary.max_failures) == (4, 1)
    assert request.canary.max_cell_duration.ToMilliseconds() == 1500
    assert (request.priority, request.cell_timeout.seconds, dict(request.labels)) == (9, 7, {"team": "a"})
    assert request.request_id == "r"


async def test_a_batch_of_rows(ask, coordinator):
    """A table from standard input; a column that the workflow declares as text stays text; more rows are added."""
    created = await ask(
        *("batch", "create", "read-text", "--items", "-", "--max-failures", "2", "--batch-id", "b"),
        stdin=b"item_id,text,count\na,007,7\n",
    )
    added = await ask("batch", "add-items", "b", "flag=true", "--items", "-", stdin=b'{"text": "x"}\n')

    assert items_of(sent(coordinator)) == [("a", {"text": "007", "count": 7}, [])]
    assert items_of(sent(coordinator, "PostBatchItems")) == [("line-1", {"text": "x", "flag": True}, [])]
    assert sent(coordinator).max_failures == 2
    assert (created.code, added.out) == (0, "b CREATED, 2 cells: 2 items x 1 workflow\n")


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        pytest.param("create a/b.png", "put a pattern of --files into quotes", id="pattern without quotes"),
        pytest.param("create read-text --items -", "line 1: is empty", id="no items"),
        pytest.param("add-items b", "give items", id="nothing to add"),
        pytest.param("list --state open", "is no state; it is one of CREATED", id="state"),
    ],
)
async def test_what_makes_no_sense_is_refused(ask, coordinator, words, fault):
    """With 2, and no batch is made."""
    ended = await ask("batch", *words.split())

    assert ended.code == 2
    assert fault in " ".join(ended.err.split())
    assert coordinator.batches == {}


async def test_an_item_that_is_refused(ask, coordinator):
    """The server's refusal names it, and nothing is left behind."""
    ended = await ask("batch", "create", "read-text", "--item", "a", "--item", "b bad=1")

    assert (ended.code, coordinator.batches) == (2, {})
    assert ended.err.startswith("error: item 'b': items[1].parameters.bad: there is no such parameter\n")


async def test_create_execute_and_watch_in_one(ask, coordinator):
    """Progress goes to stderr, the batch at its end to stdout, and the exit code is that of its end."""
    asking = asyncio.ensure_future(
        ask("batch", "create", "read-text", "--item", "a", "--item", "b", "--watch", "--batch-id", "b", "-o", "json")
    )
    await watched(coordinator)
    coordinator.end_cell("b", 0)
    coordinator.end_cell("b", 1, "not an image")
    coordinator.end("b", pb.BATCH_STATE_PARTIALLY_SUCCEEDED)
    ended = await asking

    assert ended.code == 6
    assert json.loads(ended.out)["state"] == "BATCH_STATE_PARTIALLY_SUCCEEDED"
    assert "Z b x read-text failed: not an image" in ended.err
    assert ended.err.splitlines()[-2:] == [
        "error: batch b ended PARTIALLY_SUCCEEDED: 1 of 2 cells succeeded, 1 failed",
        "next: `processing-service batch items b --state failed` shows why, "
        "`processing-service batch retry-failed b` runs them again",
    ]


async def test_execute(ask, coordinator):
    """Without --watch it says what was started."""
    coordinator.has("b", state=pb.BATCH_STATE_CREATED)

    assert (await ask("batch", "execute", "b")).out == "b RUNNING, 2 cells: 2 items x 1 workflow\n"


async def test_watch_ends_with_the_batch(ask, coordinator):
    """With the code of its state."""
    coordinator.has("b")
    coordinator.end("b", pb.BATCH_STATE_FAILED)

    assert (await ask("batch", "watch", "b")).code == 1


async def test_watch_goes_on_over_broken_connections(ask, coordinator):
    """As JSON lines: one snapshot, and each event once, whatever breaks; and stderr says so once."""
    coordinator.has("b")
    coordinator.cuts.extend([1, 0, 0, 0, 2])
    asking = asyncio.ensure_future(ask("batch", "watch", "b", "--after", "0", "-o", "jsonl"))
    async with asyncio.timeout(30):
        while len(coordinator.requests("WatchProcessingBatch")) < 6:  # noqa: ASYNC110 - another process is awaited
            await asyncio.sleep(0.01)
    coordinator.end_cell("b", 0)
    coordinator.end("b")
    ended = await asking

    updates = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.code == 0
    assert [int(update["event"]["sequence"]) for update in updates if "event" in update] == [1, 2, 3]
    assert sum("snapshot" in update for update in updates) == 1
    assert ended.err.count("reconnecting") == 1


@pytest.mark.parametrize("early", [True, False])
async def test_a_batch_that_waits_for_a_decision_is_not_waited_for(ask, coordinator, early):
    """Its canary paused it, so nothing goes on by itself: exit code 1, the evidence, and what may be done."""
    coordinator.has("b")
    if early:
        coordinator.pause("b", pb.PAUSED_REASON_CANARY, "the canary did not pass")
    asking = asyncio.ensure_future(ask("batch", "watch", "b"))
    if not early:
        await watched(coordinator)
        coordinator.pause("b", pb.PAUSED_REASON_CANARY, "the canary did not pass")
    ended = await asking

    assert ended.code == 1
    assert "the canary did not pass (CANARY_FAILED)" in ended.err
    assert "`processing-service batch retry-failed b`" in ended.err


async def test_a_batch_that_an_operator_paused_is_waited_for(coordinator, tmp_path):
    """They will go on with it; who leaves is told how to come back, and nothing happens to the batch."""
    coordinator.has("b")
    coordinator.pause("b", pb.PAUSED_REASON_OPERATOR)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "processing_service.cli", "batch", "watch", "b", "--address", coordinator.address),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await watched(coordinator)
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()

    assert process.returncode == 130
    assert err.decode() == "batch b goes on; `processing-service batch watch b` follows it\n"


async def test_lists(ask, coordinator):
    """Batches newest first with how far they are; only those in a state, if asked."""
    coordinator.has("one")
    coordinator.end_cell("one", 0, "no")
    coordinator.has("two")
    coordinator.pause("two", pb.PAUSED_REASON_BREAKER)
    table, some = await ask("batch", "list"), await ask("batch", "list", "--state", "paused", "-o", "jsonl")

    rows = [line.split() for line in table.out.splitlines()]
    assert rows[0] == ["BATCH", "STATE", "DONE", "UNSUCCESSFUL", "CREATED", "TOOK", "WORKFLOWS"]
    assert rows[1][:6] == ["two", "PAUSED", "by", "its", "breaker", "0/2"]
    assert rows[2] == ["one", "RUNNING", "1/2", "1", "failed", "2026-09-21T14:13:20Z", "read-text"]
    assert [json.loads(line)["batch_id"] for line in some.out.splitlines()] == ["two"]


async def test_a_batch_described(ask, coordinator):
    """Its cells by state, its limits, its canary with the verdict."""
    batch = coordinator.has("b", 3)
    batch.canary.CopyFrom(pb.Canary(cell_count=1, passed=True))
    batch.canary.longest_cell_duration.FromMilliseconds(1500)
    batch.max_failure_ratio = 0.1
    coordinator.end_cell("b", 0)
    coordinator.end_cell("b", 1, "no")
    lines = (await ask("batch", "describe", "b")).out.splitlines()

    assert "cells:     3: 3 items x 1 workflow" in lines
    assert "of them:   1 succeeded, 1 failed, 1 pending" in lines
    assert "may fail:  at most 10% of the cells" in lines
    assert "canary:    1 cell, at most 0 failed; passed: 0 failed, the longest took 1.5 s" in lines


async def test_cells(ask, coordinator, tmp_path):
    """All pages of them, each with what came of it; files are saved by item and workflow."""
    coordinator.has("b", 250)
    coordinator.end_cell("b", 0)
    coordinator.cells["b"][0].payloads["picture"].inline_bytes = b"\x89PNG"
    coordinator.cells["b"][0].payloads["picture"].media_type = "image/png"
    coordinator.end_cell("b", 1, "not an image")
    table = (await ask("batch", "items", "b", "--limit", "0", "--save", "out")).out.splitlines()
    failed = await ask("batch", "items", "b", "--state", "failed", "-o", "jsonl")

    assert len(table) == 251
    assert table[1].split(maxsplit=5)[:4] == ["page-0", "read-text", "SUCCEEDED", "1"]
    assert 'text="of page-0", picture: image/png, 4 B' in table[1]
    assert table[2].endswith("not an image (IMAGE_INVALID)")
    assert (tmp_path / "out" / "page-0" / "read-text" / "picture.png").read_bytes() == b"\x89PNG"
    assert [json.loads(line)["item_id"] for line in failed.out.splitlines()] == ["page-1"]


@pytest.mark.parametrize(
    ("command", "action", "shown"),
    [
        ("pause", pb.BATCH_ACTION_PAUSE, "PAUSED"),
        ("retry-failed", pb.BATCH_ACTION_RETRY_FAILED, "RUNNING"),
        ("reprioritize --priority 9", pb.BATCH_ACTION_REPRIORITIZE, "RUNNING, priority 9"),
    ],
)
async def test_batches_are_controlled_by_name(ask, coordinator, command, action, shown):
    """Each named one gets the command, with the comment."""
    coordinator.has("one")
    coordinator.has("two")
    ended = await ask("batch", *command.split(), "one", "two", "--comment", "why")

    assert ended.out.splitlines() == [f"one {shown}", f"two {shown}"]
    requests = coordinator.requests("PostBatchControl")
    assert [(one.batch_id, one.batch_action, one.comment) for one in requests] == [
        ("one", action, "why"),
        ("two", action, "why"),
    ]


async def test_what_is_not_possible_now(ask, coordinator):
    """Ends with 1 and the server's words."""
    coordinator.has("b")
    coordinator.end("b")
    ended = await ask("batch", "pause", "b")

    assert (ended.code, "is SUCCEEDED" in ended.err) == (1, True)


async def test_delete(ask, coordinator):
    """Says how many sessions went with it; one that is not there is told how to find others."""
    coordinator.has("b")
    gone, again = await ask("batch", "delete", "b"), await ask("batch", "delete", "b")

    assert gone.out == "b deleted, 2 sessions\n"
    assert again.code == 2
    assert again.err.splitlines()[-1] == "next: `processing-service batch list` shows what there is"
