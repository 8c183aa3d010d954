"""`command`: any operation of any domain, by name."""

from pathlib import Path
from typing import Annotated, Any

import typer

from processing_service.cli.verbs import Call


async def command(
    call: Call,
    operation: Annotated[
        str, typer.Argument(metavar="OPERATION", help="Such as model.get_model; none lists all.")
    ] = "",
    parameters: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="The request by field path; key=@file is the content of a file."),
    ] = None,
    request_id: Annotated[str, typer.Option("--request-id", help="Makes the command safe to repeat.")] = "",
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FOLDER", help="Write bytes of the reply into this folder.")
    ] = None,
) -> None:
    """Calls any operation of any domain.

    The coordinator passes it on; the reply is printed.
    """
    from processing_service.cli.arguments import to_values
    from processing_service.cli.commands import call_operation, list_operations

    if not operation:
        await list_operations(call)
        return
    values: dict[str, Any] = to_values(parameters or ())
    await call_operation(call, operation, values, request_id, save)
