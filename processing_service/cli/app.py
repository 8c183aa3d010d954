"""All commands, by noun."""

from typing import Annotated

import typer

from processing_service.cli import artifacts, batches, configuration, models, sessions, workflows
from processing_service.cli.command import command
from processing_service.cli.demo import demo
from processing_service.cli.serve import serve
from processing_service.cli.verbs import verb

_HELP = "Runs durable workflows over Model, Inference and Postprocessing services."

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, help=_HELP)
app.command("serve")(serve)
app.command("demo")(demo)
app.add_typer(workflows.app, name="workflow")
app.add_typer(sessions.app, name="session")
app.add_typer(batches.app, name="batch")
app.add_typer(models.app, name="model")
app.add_typer(artifacts.app, name="artifact")
verb(app, "command")(command)
app.add_typer(configuration.app, name="config")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("processing-coordinator"))
        raise typer.Exit


@app.callback(help=_HELP)
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Takes what comes before the command."""
