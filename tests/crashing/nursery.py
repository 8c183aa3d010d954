"""Brings real servers to the world, one after the other: `python -m tests.crashing.nursery`.

A server is a process of its own over a real store, started by the command line's own `serve`. It is forked from this
process, which has imported everything before, so a start takes a fifth of a second and not one and a half. Each line on
standard input is the order for one server, as JSON; what the server prints goes to standard output, and its end stands
there as `ended` with the code. When standard input ends the server is killed, and so does this process end.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

from tests.crashing import faults, fuses

_LOOK_S = 0.005


def main() -> None:
    """Starts servers until nobody orders one."""
    _import_all()
    print("ready", flush=True)
    while line := sys.stdin.readline():
        order = json.loads(line)
        child = os.fork() or _serve(order)
        print(f"born {child}", flush=True)
        print(f"ended {_until_ended(child)}", flush=True)


def _import_all() -> None:
    """What a server imports, so that its child has it; nothing of it may start a thread."""
    with suppress(ImportError):  # it is an extra
        import uvloop  # noqa: F401

    import processing_service.cli.app
    import processing_service.cli.loading
    import processing_service.cli.serve
    import processing_service.server
    import processing_service.wire.telemetry.logs  # noqa: F401
    from processing_service.engine.store.sqlite import batches

    batches._SLICE = 3  # type: ignore[misc]  # batches of a few cells are removed in more than one transaction, too


def _serve(order: dict[str, Any]) -> NoReturn:
    """The child: one server, to its end."""
    if order["point"]:
        fuses.arm(order["point"], order["passes"])
    if order["fault"]:
        faults.FAULTS[order["fault"]]()
    sys.argv = ["processing-service", "serve", *order["arguments"]]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    from processing_service.cli import main as run

    try:
        run()
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    os._exit(0)


def _until_ended(child: int) -> int:
    """The code that it ends with; it is killed once nobody is left who wants it."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if select.select([0], [], [], _LOOK_S)[0]:  # nobody orders while one runs: it is the end of the input
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            sys.exit()


if __name__ == "__main__":
    main()
