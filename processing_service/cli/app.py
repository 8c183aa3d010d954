"""All commands, by noun."""

from typing import Annotated

import typer

from processing_service.cli import models

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Runs durable workflows over Model, Inference and Postprocessing services.",
)
app.add_typer(models.app, name="model")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("processing-coordinator"))
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Runs durable workflows over Model, Inference and Postprocessing services."""
