"""What a batch is to be, from the words and options of a command; and its items, sent."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import typer
from coordinator.processing.v1 import processing_pb2 as pb

from processing_service.cli.arguments import to_values
from processing_service.cli.item_sources import ItemSources, Named
from processing_service.cli.output import is_terminal
from processing_service.cli.verbs import Call
from processing_service.client.batch_items import PAGE_ITEMS
from processing_service.client.values import is_plain, to_duration


def divide(words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Workflows, and the parameters that all items share: what has a `=` is a parameter.

    Raises:
        typer.BadParameter: for a word that is neither, or if there is no workflow.
    """
    workflow_ids = [word for word in words if "=" not in word]
    path = next((word for word in workflow_ids if "/" in word or "." in word), None)
    if path is not None:
        text = f"{path!r} is no name of a workflow; put a pattern of --files into quotes, so that the shell leaves it"
        raise typer.BadParameter(text)
    if not workflow_ids:
        raise typer.BadParameter("name at least one workflow")
    return workflow_ids, to_values(word for word in words if "=" in word)


def failure_limit(text: str) -> dict[str, Any]:
    """The field that `3` or `10%` is. Raises typer.BadParameter for anything else."""
    number = text.removesuffix("%")
    try:
        return {"max_failure_ratio": float(number) / 100} if number != text else {"max_failures": int(text)}
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number of cells nor a share such as 10%") from None


def canary_of(cells: int, failures: int | None, seconds: float | None) -> pb.Canary | None:
    """The canary; None for no cells. Raises typer.BadParameter for limits of a canary that is not asked for."""
    if cells:
        return pb.Canary(cell_count=cells, max_failures=failures or 0, max_cell_duration=to_duration(seconds))
    if failures is not None or seconds is not None:
        raise typer.BadParameter("say how many cells are tried first with --canary")
    return None


async def send(
    call: Call,
    sources: ItemSources,
    shared: Mapping[str, Any],
    target: pb.PostBatchCreateRequest | pb.Batch,
    request_id: str,
) -> pb.Batch:
    """Creates a batch with all items, or adds them to one that is there.

    Raises:
        typer.BadParameter: for items that cannot be read, or sources that have none.
        CoordinatorError: as `create_batch` and `add_items`.
    """
    common = {name: value if is_plain(value) else await call.client.to_datum(value) for name, value in shared.items()}
    texts = await _texts(call, target.workflow_ids) if sources.tables else ()
    items = _some(sources, ((item_id, {**common, **values}) for item_id, values in sources.items(texts)))
    with _Counter() as counter:
        if isinstance(target, pb.Batch):
            return await call.client.add_items(target.batch_id, items, request_id=request_id, on_page=counter.show)
        target.request_id = request_id
        return await call.client.create_batch(target, items, on_page=counter.show)


async def _texts(call: Call, workflow_ids: Iterable[str]) -> set[str]:
    """Parameters that are text for every workflow that has them: a column of `007` is no number then."""
    texts: set[str] = set()
    others: set[str] = set()
    for workflow_id in workflow_ids:
        workflow = (await call.client.get_processing_workflow(workflow_id)).workflow
        for name, parameter in workflow.parameters.items():
            is_text = parameter.value_type == pb.VALUE_TYPE_STRING and not parameter.is_list
            (texts if is_text else others).add(name)
    return texts - others


def _some(sources: ItemSources, items: Iterator[Named]) -> Iterator[Named]:
    """The items; a source that has none is a mistake."""
    none = True
    for item in items:
        none = False
        yield item
    if none and sources.given:
        raise typer.BadParameter("there is no item in it", param_hint="--items")


class _Counter:
    """Says on a terminal how many items are there, if that takes more than one page."""

    def __init__(self) -> None:
        self._shown = False

    def __enter__(self) -> _Counter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print(file=sys.stderr)

    def show(self, batch: pb.Batch) -> None:
        """Draws the number over the one before."""
        if batch.counts.items >= PAGE_ITEMS and is_terminal(sys.stderr):
            self._shown = True
            print(f"\r{batch.counts.items} items", end="", file=sys.stderr, flush=True)
