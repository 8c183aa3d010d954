"""The peer that runs batches: queues of DBOS on SQLite, in an environment of its own.

Takes a number of cells a line, enqueues as many workflows of one no-op step, waits for their results, and answers with
a line of JSON: {"seconds"}. The durability is its own: a file of SQLite as it opens it.

    dbos_loop.py FOLDER async|sync CONCURRENCY POLLING_SECONDS

CONCURRENCY is that of its worker, 0 = unlimited.
"""

import asyncio
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from dbos import DBOS

_QUEUE = "cells"
_LOOK_S = 0.25
"""How often a result is looked for, in seconds; it does so once a second by default."""


@DBOS.step()
async def echo(text: str) -> str:
    return text


@DBOS.workflow()
async def cell(text: str) -> str:
    return await echo(text)


@DBOS.step()
def echo_in_thread(text: str) -> str:
    return text


@DBOS.workflow()
def cell_in_thread(text: str) -> str:
    return echo_in_thread(text)


async def run(workflow: Any, cells: int) -> float:
    """Seconds from the first that is enqueued to the last result."""
    started = perf_counter()
    handles = [await DBOS.enqueue_workflow_async(_QUEUE, workflow, f"text {number}") for number in range(cells)]
    results = await asyncio.gather(*(handle.get_result(polling_interval_sec=_LOOK_S) for handle in handles))
    assert results == [f"text {number}" for number in range(cells)]
    return perf_counter() - started


async def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # its own log goes elsewhere
    folder, kind, concurrency, polling = sys.argv[1:]
    workflow = cell if kind == "async" else cell_in_thread
    store = f"sqlite:///{Path(folder, 'dbos.sqlite')}"
    DBOS(config={"name": "cells", "system_database_url": store, "run_admin_server": False, "log_level": "ERROR"})
    DBOS.launch()
    await DBOS.register_queue_async(
        _QUEUE, worker_concurrency=int(concurrency) or None, polling_interval_sec=float(polling)
    )
    print("ready", file=answers, flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps({"seconds": await run(workflow, int(line))}), file=answers, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
