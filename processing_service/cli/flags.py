"""The options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How a command prints what it got."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


OutputFlag = Annotated[Format, typer.Option("--output", "-o", help="For people, or for programs.")]
AddressFlag = Annotated[
    str | None, typer.Option("--address", "-a", metavar="HOST:PORT", help="Where the coordinator is.")
]
DeadlineFlag = Annotated[
    float | None, typer.Option("--deadline", metavar="SECONDS", help="Longest time of a call. [default: 30]")
]
TokenFlag = Annotated[Path | None, typer.Option("--token-file", help="File whose first line is your token.")]
ConfigFlag = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="TOML file. [default: processing-service.toml if present]"),
]
SetFlag = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as store.folder=/data.")
]
LabelFlag = Annotated[
    list[str] | None, typer.Option("--label", "-l", metavar="KEY=VALUE", help="A label; may be given again.")
]
ParametersArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Numbers, true, false, null, lists and tables as JSON, anything else is text; "
        "key=@file is the content of a file.",
    ),
]
