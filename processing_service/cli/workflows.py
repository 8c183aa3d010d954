"""`workflow`: definitions, listed, shown, checked, drawn, stored, planned, deleted."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from processing_service.cli.flags import LabelFlag, ParametersArgument
from processing_service.cli.verbs import Call, verb

app = typer.Typer(no_args_is_help=True, help="Workflow definitions.")

WorkflowId = Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of the workflow.")]
FileArgument = Annotated[
    typer.FileBinaryRead, typer.Argument(metavar="FILE", help="Definition as YAML or JSON; - is standard input.")
]


class Drawing(StrEnum):
    """How a workflow is drawn."""

    ASCII = "ascii"
    MERMAID = "mermaid"


@verb(app, "list")
async def list_workflows(call: Call, label: LabelFlag = None) -> None:
    """Lists the workflows."""
    from processing_service.cli.arguments import to_labels
    from processing_service.cli.tables import WORKFLOW_COLUMNS

    await call.output.rows(call.client.get_processing_workflows(labels=to_labels(label)), WORKFLOW_COLUMNS)


@verb(app, "describe")
async def describe(call: Call, workflow_id: WorkflowId) -> None:
    """Shows one workflow as YAML."""
    reply = await call.client.get_processing_workflow(workflow_id)
    call.output.one(reply.workflow, reply.source.splitlines())


@verb(app, "validate")
async def validate(
    call: Call,
    file: FileArgument,
    server: Annotated[bool, typer.Option("--server", help="Let the server check; it knows all domains.")] = False,
) -> None:
    """Checks a definition without storing it.

    Needs no server, unless it uses domains that are not in the contract.
    """
    from processing_service.cli.definitions import check, read

    workflow, warnings = await check(call, read(file), server=server)
    lines = [f"warning: {warning}" for warning in warnings]
    call.output.one(workflow, [*lines, f"{workflow.workflow_id} is valid, digest {workflow.digest}"])


@verb(app, "graph")
async def graph(
    call: Call,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of a workflow, or the file of one.")],
    drawing: Annotated[Drawing, typer.Option("--as", help="Lines for the terminal, or mermaid text.")] = Drawing.ASCII,
) -> None:
    """Draws the steps of a workflow and what each waits for."""
    from processing_service.cli import graph as graphs
    from processing_service.cli.definitions import find

    links = graphs.links_of(await find(call, workflow))
    draw = graphs.to_mermaid if drawing is Drawing.MERMAID else graphs.to_ascii
    call.output.one([link.to_plain() for link in links], draw(links))


@verb(app, "put")
async def put(
    call: Call,
    file: FileArgument,
    allow_breaking: Annotated[
        bool, typer.Option("--allow-breaking", help="Also if clients of its typed service would break.")
    ] = False,
) -> None:
    """Checks a definition and stores it."""
    from processing_service.cli.definitions import read

    reply = await call.client.put_processing_workflow(read(file), allow_breaking=allow_breaking)
    workflow = reply.workflow
    done = f"stored as revision {workflow.revision}" if reply.changed else "was stored before, with the same meaning"
    warnings = [f"warning: {warning}" for warning in reply.warnings]
    call.output.one(reply, [*warnings, f"{workflow.workflow_id} {done}, digest {workflow.digest}"])


@verb(app, "export")
async def export(
    call: Call,
    workflow_id: WorkflowId,
    proto: Annotated[
        bool, typer.Option("--proto", help="The typed service as .proto text, to make clients of.")
    ] = False,
    into: Annotated[
        Path | None,
        typer.Option("--into", metavar="FOLDER", help="Write it below this import root instead of showing it."),
    ] = None,
) -> None:
    """Gives the definition as YAML, or its typed service as .proto."""
    from processing_service.cli.exports import exported, write

    found = await exported(call, workflow_id, proto=proto)
    if into is None:
        call.output.one(found, found.content.splitlines())
    else:
        written = await write(found, into)
        call.output.one({"path": str(written)}, [f"{written} written"])


@verb(app, "plan")
async def plan(
    call: Call,
    workflow_id: WorkflowId,
    parameters: ParametersArgument = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Fills the workflow's parameter model_id.")] = "",
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", help="Its budget. [default: the workflow's]"),
    ] = None,
) -> None:
    """Shows what a session would do, without starting it; exit code 1 if it cannot succeed in its time."""
    from processing_service.cli import plans
    from processing_service.cli.arguments import to_values

    await plans.show(call, workflow_id, to_values(parameters or ()), model_id=model, timeout=timeout)


@verb(app, "delete")
async def delete(call: Call, workflow_id: WorkflowId) -> None:
    """Deletes a workflow; its sessions stay."""
    await call.client.delete_processing_workflow(workflow_id)
    call.output.one({"workflow_id": workflow_id, "deleted": True}, [f"{workflow_id} deleted"])
