"""`serve`: one process of the service."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from processing_service.cli.flags import ConfigFlag, SetFlag

if TYPE_CHECKING:
    from processing_service.server.process import Running


def serve(
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="DOMAIN", help="Serve only processing, model, inference or postprocessing."),
    ] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", help="host:port or unix:path. [default: 127.0.0.1:50051]")
    ] = None,
    store: Annotated[
        Path | None, typer.Option("--store", help="Folder of the store. [default: processing-store]")
    ] = None,
    models: Annotated[
        Path | None, typer.Option("--models", help="Folder of the model repository. [default: models]")
    ] = None,
    model_address: Annotated[
        str | None,
        typer.Option("--model-address", metavar="ADDRESS", help="Where the Model domain is."),
    ] = None,
    inference_address: Annotated[
        str | None, typer.Option("--inference-address", metavar="ADDRESS", help="Where the Inference domain is.")
    ] = None,
    postprocessing_address: Annotated[
        str | None,
        typer.Option("--postprocessing-address", metavar="ADDRESS", help="Where the Postprocessing domain is."),
    ] = None,
    metrics_address: Annotated[
        str | None, typer.Option("--metrics-address", metavar="ADDRESS", help="Where Prometheus scrapes.")
    ] = None,
    config: ConfigFlag = None,
    assignments: SetFlag = None,
) -> None:
    """Serves the coordinator and its domains.

    A domain without an address is served by this process. Told to stop (SIGTERM, Ctrl-C) it drains first; told again,
    it stops at once.
    """
    from processing_service.cli.loading import load

    flags = {
        "--only": ("only", only),
        "--listen": ("listener.address", listen),
        "--store": ("store.folder", store),
        "--models": ("model.path", models),
        "--model-address": ("model_address", model_address),
        "--inference-address": ("inference_address", inference_address),
        "--postprocessing-address": ("postprocessing_address", postprocessing_address),
        "--metrics-address": ("telemetry.metrics.address", metrics_address),
    }
    settings = load(config, flags, assignments or ()).settings  # before the server: what is wrong is told at once
    from processing_service.server import event_loop
    from processing_service.server import serve as run
    from processing_service.wire.telemetry.logs import configure_logs

    configure_logs(settings.telemetry.logs)
    event_loop.run(run(settings, _announce))


def _announce(process: "Running") -> None:
    print(f"serving on {process.address}", flush=True)
    if process.metrics_address:
        print(f"metrics on {process.metrics_address}", flush=True)
    if process.recovered:
        print(f"sessions taken up: {process.recovered}", flush=True)
