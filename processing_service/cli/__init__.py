"""The command line: `processing-service`. Heavy libraries are imported by the commands that need them."""

import os
import sys


def main() -> None:
    """Runs the command line and ends the process with its exit code (`failures.py` lists them)."""
    from processing_service.cli.app import app

    try:
        app()
    except Exception as error:
        from processing_service.cli.failures import report

        sys.exit(report(error))
    finally:
        _flush()


def _flush() -> None:
    """What is left goes out here: at the end of the process a reader that has gone (`| head`) would be a traceback."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
