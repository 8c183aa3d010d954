"""`artifact`: content by digest, fetched and stored."""

from pathlib import Path
from typing import Annotated

import typer

from processing_service.cli.verbs import Call, verb

app = typer.Typer(no_args_is_help=True, help="Stored content, by digest.")


@verb(app, "get")
async def get(
    call: Call,
    digest: Annotated[str, typer.Argument(metavar="DIGEST", help="SHA-256 of the content.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; - is standard output.")],
) -> None:
    """Fetches content; its digest is checked."""
    if str(file) == "-":
        out = typer.get_binary_stream("stdout")
        async for chunk in call.client.get_processing_artifact(digest):
            out.write(chunk)
        return
    path = await call.client.download_artifact(digest, file)
    call.output.one({"digest": digest, "file": str(path)}, [f"{path} written"])


@verb(app, "put")
async def put(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to store.")],
    media_type: Annotated[str, typer.Option("--media-type", help="[default: by the file's name]")] = "",
) -> None:
    """Stores the content of a file and prints its digest."""
    reply = await call.client.post_processing_artifact(file, media_type=media_type)
    call.output.one(reply, [reply.artifact.digest])
