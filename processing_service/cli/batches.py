"""`batch`: workflows over many items, created, filled, executed, watched, read, controlled, deleted."""

from pathlib import Path
from typing import Annotated

import typer

from processing_service.cli import batch_controls
from processing_service.cli.flags import LabelFlag
from processing_service.cli.verbs import Call, verb

app = typer.Typer(no_args_is_help=True, help="Workflows over many items.")

BatchId = Annotated[str, typer.Argument(metavar="BATCH", help="Name of the batch.")]
ItemFlag = Annotated[
    list[str] | None,
    typer.Option("--item", metavar="'ID KEY=VALUE...'", help="One item; may be given again."),
]
ItemsFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--items",
        metavar="FILE",
        help="JSON lines or CSV, the columns are parameters, item_id names the item; - is standard input.",
    ),
]
FilesFlag = Annotated[
    list[str] | None,
    typer.Option("--files", metavar="PATTERN", help="An item a file: paths, folders, patterns in quotes."),
]
AsFlag = Annotated[
    list[str] | None,
    typer.Option("--as", metavar="PARAMETER", help="Which parameter each of --files, or the path in that column, is."),
]
RequestFlag = Annotated[str, typer.Option("--request-id", help="Makes the command safe to repeat.")]
WatchFlag = Annotated[bool, typer.Option("--watch", "-w", help="Start it and follow it to its end on stderr.")]
MaxWaitFlag = Annotated[
    float | None, typer.Option("--max-wait", metavar="SECONDS", help="Stop waiting after this; the batch goes on.")
]


@verb(app, "create")
async def create(
    call: Call,
    words: Annotated[
        list[str],
        typer.Argument(metavar="WORKFLOW|KEY=VALUE", help="Workflows to run, and parameters that all items share."),
    ],
    item: ItemFlag = None,
    items: ItemsFlag = None,
    files: FilesFlag = None,
    as_: AsFlag = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="MODEL", help="Run each item with this model; may be given again."),
    ] = None,
    batch_id: Annotated[str, typer.Option("--batch-id", help="Name it yourself.")] = "",
    max_parallel: Annotated[int, typer.Option("--max-parallel", min=0, help="Cells at the same time; 0 = 8.")] = 0,
    max_failures: Annotated[
        str, typer.Option("--max-failures", metavar="N|N%", help="More failed cells fail the batch. [default: any]")
    ] = "",
    canary: Annotated[
        int, typer.Option("--canary", min=0, metavar="CELLS", help="So many must pass before the rest starts.")
    ] = 0,
    canary_failures: Annotated[
        int | None, typer.Option("--canary-failures", min=0, help="Of them so many may fail. [default: 0]")
    ] = None,
    canary_seconds: Annotated[
        float | None, typer.Option("--canary-seconds", help="And none may take longer. [default: any time]")
    ] = None,
    priority: Annotated[int, typer.Option("--priority", min=0, max=10, help="1 to 10, 10 first; 0 = 5.")] = 0,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="Budget of each cell. [default: 600]")
    ] = None,
    label: LabelFlag = None,
    request_id: RequestFlag = "",
    execute: Annotated[bool, typer.Option("--execute", "-x", help="Start it at once.")] = False,
    watch: WatchFlag = False,
    max_wait: MaxWaitFlag = None,
) -> None:
    """Creates a batch of items.

    Its cells are every item with every model and every workflow. It runs once it is executed: at once with --execute or
    --watch.
    """
    from coordinator.processing.v1 import processing_pb2 as pb

    from processing_service.cli import batch_creation, batch_runs
    from processing_service.cli.arguments import to_labels
    from processing_service.cli.batch_tables import created_line
    from processing_service.cli.item_sources import ItemSources
    from processing_service.client.values import to_duration

    workflow_ids, shared = batch_creation.divide(words)
    creation = pb.PostBatchCreateRequest(
        workflow_ids=workflow_ids,
        model_ids=model,
        batch_id=batch_id,
        max_parallel=max_parallel,
        priority=priority,
        canary=batch_creation.canary_of(canary, canary_failures, canary_seconds),
        labels=to_labels(label),
        cell_timeout=to_duration(timeout),
        **batch_creation.failure_limit(max_failures) if max_failures else {},
    )
    sources = ItemSources(item or (), items or (), files or (), as_ or ())
    batch = await batch_creation.send(call, sources, shared, creation, request_id)
    if execute or watch:
        await batch_runs.execute(call, batch.batch_id, request_id, watch=watch, max_wait=max_wait)
    else:
        call.output.one(batch, [created_line(batch)])


@verb(app, "add-items")
async def add_items(
    call: Call,
    batch_id: BatchId,
    shared: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Parameters that all items share.")
    ] = None,
    item: ItemFlag = None,
    items: ItemsFlag = None,
    files: FilesFlag = None,
    as_: AsFlag = None,
    request_id: RequestFlag = "",
) -> None:
    """Adds items to a batch that has not started."""
    from processing_service.cli import batch_creation
    from processing_service.cli.arguments import to_values
    from processing_service.cli.batch_tables import created_line
    from processing_service.cli.item_sources import ItemSources

    values = to_values(shared or ())
    sources = ItemSources(item or (), items or (), files or (), as_ or ())
    if not sources.given:
        raise typer.BadParameter("give items: --item, --items or --files")
    target = (await call.client.get_processing_batch(batch_id)).batch
    batch = await batch_creation.send(call, sources, values, target, request_id)
    call.output.one(batch, [created_line(batch)])


@verb(app, "execute")
async def execute(
    call: Call, batch_id: BatchId, request_id: RequestFlag = "", watch: WatchFlag = False, max_wait: MaxWaitFlag = None
) -> None:
    """Starts a batch."""
    from processing_service.cli import batch_runs

    await batch_runs.execute(call, batch_id, request_id, watch=watch, max_wait=max_wait)


@verb(app, "list")
async def list_batches(
    call: Call,
    state: Annotated[list[str] | None, typer.Option("--state", help="Only in this state; may be given again.")] = None,
    label: LabelFlag = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Most batches; 0 = all.")] = 100,
) -> None:
    """Lists batches, newest first."""
    from processing_service.cli.arguments import to_batch_states, to_labels
    from processing_service.cli.batch_tables import BATCH_COLUMNS

    states, labels = to_batch_states(state), to_labels(label)
    batches = call.client.get_processing_batches(states=states, labels=labels, page_size=min(limit, 1000))
    await call.output.rows(batches, BATCH_COLUMNS, limit)


@verb(app, "describe")
async def describe(call: Call, batch_id: BatchId) -> None:
    """Shows one batch.

    Its cells by state, its limits, its canary, its failure.
    """
    from processing_service.cli.batch_tables import batch_lines

    batch = (await call.client.get_processing_batch(batch_id)).batch
    call.output.one(batch, batch_lines(batch))


@verb(app, "items")
async def items(
    call: Call,
    batch_id: BatchId,
    state: Annotated[list[str] | None, typer.Option("--state", help="Only in this state; may be given again.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Most cells; 0 = all.")] = 100,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="FOLDER", help="Write outputs that are files into FOLDER/ITEM/WORKFLOW."),
    ] = None,
) -> None:
    """Lists the cells of a batch.

    Each with its outputs, or with the reason why there are none.
    """
    from processing_service.cli.arguments import to_states
    from processing_service.cli.batch_runs import save_cells
    from processing_service.cli.batch_tables import CELL_COLUMNS

    states = to_states(state)
    cells = call.client.get_processing_batch_items(batch_id, states=states, page_size=min(limit, 1000))
    await call.output.rows(cells if save is None else save_cells(call, cells, save), CELL_COLUMNS, limit)


@verb(app, "watch")
async def watch(
    call: Call,
    batch_id: BatchId,
    after: Annotated[
        int | None, typer.Option("--after", min=0, help="Show the events behind this number first; 0 = all.")
    ] = None,
    max_wait: MaxWaitFlag = None,
) -> None:
    """Follows a batch to its end.

    Also over restarts of the server. Exit code 0 if all cells succeeded, 6 if some failed and no more than may, 1
    otherwise; also 1 if its canary or its breaker paused it, for then somebody has to decide.
    """
    from processing_service.cli import batch_runs

    await batch_runs.watch(call, batch_id, after, max_wait)


@verb(app, "delete")
async def delete(
    call: Call,
    batch_ids: Annotated[list[str], typer.Argument(metavar="BATCH", help="Names of batches.")],
    force: Annotated[bool, typer.Option("--force", help="Cancel those that have not ended.")] = False,
) -> None:
    """Deletes batches with all their sessions."""
    from processing_service.cli.batch_tables import many

    for batch_id in batch_ids:
        reply = await call.client.delete_processing_batch(batch_id, force=force)
        plain = {"batch_id": batch_id, "deleted": True, "deleted_session_count": reply.deleted_session_count}
        call.output.one(plain, [f"{batch_id} deleted, {many(reply.deleted_session_count, 'session')}"])


batch_controls.add_to(app)
