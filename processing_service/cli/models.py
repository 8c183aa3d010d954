"""`model`: what is in the repository, and what is resident."""

from pathlib import Path
from typing import Annotated

import typer

from processing_service.cli.flags import ConfigFlag, Format, LabelFlag, OutputFlag
from processing_service.cli.verbs import Call, verb

app = typer.Typer(no_args_is_help=True, help="The model repository, and what of it is in memory.")

ModelId = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")]
Version = Annotated[str, typer.Option("--version", help="Version of the model. [default: newest]")]


@verb(app, "list")
async def list_models(call: Call, label: LabelFlag = None) -> None:
    """Lists the models of the repository, one line a version; those in memory with their size."""
    from processing_service.cli.arguments import to_labels
    from processing_service.cli.tables import model_columns
    from processing_service.wire.errors import CoordinatorError

    try:
        resident = (await call.client.get_model_cache()).models if call.output.for_people else ()
    except CoordinatorError:
        resident = ()
    await call.output.rows(call.client.get_models(labels=to_labels(label)), model_columns(resident))


@verb(app, "load")
async def load(call: Call, model_id: ModelId, version: Version = "") -> None:
    """Brings a model into memory."""
    from processing_service.cli.tables import size

    reply = await call.client.post_model_load(model_id, version)
    model = reply.model
    done = "is in memory now" if reply.loaded else "was in memory already"
    call.output.one(reply, [f"{model.model_id} {model.model_version} {done}, {size(model.size_bytes)}"])


@verb(app, "unload")
async def unload(
    call: Call,
    model_id: ModelId,
    version: Annotated[str, typer.Option("--version", help="Version of the model. [default: all]")] = "",
    drain: Annotated[bool, typer.Option("--drain", help="Wait until no call holds it.")] = False,
) -> None:
    """Gives the memory of a model back."""
    from processing_service.cli.tables import size

    reply = await call.client.post_model_unload(model_id, version, drain=drain)
    versions = ", ".join(reply.model_versions)
    done = f"version {versions} unloaded, {size(reply.freed_bytes)} given back" if versions else "was not in memory"
    call.output.one(reply, [f"{model_id}: {done}"])


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="FOLDER", help="Files of the packages that hold models.")],
    models: Annotated[Path | None, typer.Option("--models", help="Folder of the repository. [default: models]")] = None,
    config: ConfigFlag = None,
    output: OutputFlag = Format.TABLE,
) -> None:
    """Makes the model repository from packages that hold models; needs no server."""
    from processing_service.cli.loading import load as load_settings
    from processing_service.cli.output import Column, Output
    from processing_service.domains.model.importing import import_models

    repository = load_settings(config, {"--models": ("model.path", models)}).settings.model.path
    model_ids = import_models(source, repository)
    found = [{"model_id": model_id, "folder": str(repository / model_id)} for model_id in model_ids]
    columns = [Column("model", lambda row: row["model_id"]), Column("folder", lambda row: row["folder"])]
    Output(output).table(found, columns)
