"""`config`: the settings in effect, and whether they are right."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from processing_service.cli.flags import ConfigFlag, Format, OutputFlag, SetFlag

if TYPE_CHECKING:
    from processing_service.config import Loaded

app = typer.Typer(no_args_is_help=True, help="Settings: defaults < file < environment < flags.")


@app.command("show")
def show(
    changed: Annotated[bool, typer.Option("--changed", help="Only settings that somebody gave.")] = False,
    config: ConfigFlag = None,
    assignments: SetFlag = None,
    output: OutputFlag = Format.TABLE,
) -> None:
    """Prints every setting with its value and where it comes from."""
    from processing_service.cli.output import Column, Output
    from processing_service.config import explain

    loaded = _load(config, assignments)
    found = [setting for setting in explain(loaded) if not changed or setting.key in loaded.sources]
    columns = (
        Column("setting", lambda setting: setting.key),
        Column("value", lambda setting: _text(setting.value)),
        Column("from", lambda setting: setting.source),
    )
    Output(output).table(found, columns)


@app.command("check")
def check(config: ConfigFlag = None, assignments: SetFlag = None, output: OutputFlag = Format.TABLE) -> None:
    """Checks the settings and the files they name, without starting anything; exit code 2 if something is wrong."""
    from processing_service.cli.output import Output

    loaded = _load(config, assignments)
    _check_files(loaded)
    count = len(loaded.sources)
    given = f"{count} given (`config show --changed` lists them)" if count else "none given"
    Output(output).one({"valid": True, "given_count": count}, [f"the configuration is valid; settings: {given}"])


def _load(config: Path | None, assignments: Iterable[str] | None) -> "Loaded":
    from processing_service.cli.loading import load

    return load(config, {}, assignments or ())


def _check_files(loaded: "Loaded") -> None:
    """Every `..._file` that is named must be readable."""
    from processing_service.config import explain

    files = [(setting.key, str(setting.value)) for setting in explain(loaded) if setting.key.endswith("_file")]
    files += [(f"tokens[{index}].secret_file", token.secret_file) for index, token in enumerate(loaded.settings.tokens)]
    missing = [(key, name) for key, name in files if name and not _is_readable(name)]
    if missing:
        raise _unreadable(missing)


def _unreadable(missing: list[tuple[str, str]]) -> Exception:
    from coordinator.error.v1.error_pb2 import ErrorReason

    from processing_service.wire.errors import Violation, invalid_all

    violations = [Violation(key, f"the file {name!r} cannot be read") for key, name in missing]
    return invalid_all(ErrorReason.ERROR_REASON_FIELD_INVALID, violations)


def _is_readable(name: str) -> bool:
    try:
        with Path(name).open("rb"):
            return True
    except OSError:
        return False


def _text(value: object) -> str:
    return "" if value is None or value == () else str(value)
