"""Commands that talk to a coordinator: an async function becomes one, with the options that all of them have."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

import typer

from processing_service.cli.flags import AddressFlag, ConfigFlag, DeadlineFlag, Format, OutputFlag, TokenFlag

if TYPE_CHECKING:
    from processing_service.cli.output import Output
    from processing_service.client import CoordinatorClient


@dataclass(frozen=True, slots=True)
class Call:
    """What a command works with."""

    client: CoordinatorClient
    output: Output


Work = Callable[..., Awaitable[None]]

_SHARED = {
    "output": (OutputFlag, Format.TABLE),
    "address": (AddressFlag, None),
    "deadline": (DeadlineFlag, None),
    "token_file": (TokenFlag, None),
    "config": (ConfigFlag, None),
}


def verb(app: typer.Typer, name: str) -> Callable[[Work], Work]:
    """Adds `work(call, ...)` to the app as command `name`; its other parameters become arguments and options."""

    def add(work: Work) -> Work:
        @functools.wraps(work)
        def command(**arguments: Any) -> None:
            shared = {key: arguments.pop(key) for key in _SHARED}
            try:
                asyncio.run(_work(work, shared, arguments))
            except Exception as error:
                from processing_service.cli.failures import report, stop

                raise stop(report(error, as_json=shared["output"] is not Format.TABLE)) from None

        signature = _signature(work)
        command.__dict__.pop("__wrapped__")  # typer is to see the parameters below, not those of the work
        command.__dict__["__signature__"] = signature
        command.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
        app.command(name)(command)
        return work

    return add


async def _work(work: Work, shared: dict[str, Any], arguments: dict[str, Any]) -> None:
    from processing_service.cli.failures import say_break
    from processing_service.cli.loading import load
    from processing_service.cli.output import Output
    from processing_service.client import CoordinatorClient

    flags = {
        "--address": ("client.address", shared["address"]),
        "--deadline": ("client.deadline", shared["deadline"]),
        "--token-file": ("client.token_file", shared["token_file"] and str(shared["token_file"])),
    }
    settings = load(shared["config"], flags).settings.client
    async with CoordinatorClient(settings=settings, on_break=say_break) as client:
        await work(Call(client, Output(shared["output"])), **arguments)


def _signature(work: Work) -> inspect.Signature:
    """That of the function, its first parameter left out, and the shared options behind its own."""
    hints = get_type_hints(work, include_extras=True, localns={"Call": Call})
    own = list(inspect.signature(work).parameters.values())[1:]
    parameters = [one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in _SHARED.items()
    ]
    return inspect.Signature(parameters)
