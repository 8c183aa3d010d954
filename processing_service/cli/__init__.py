"""The command line: `processing-service`. Heavy libraries are imported by the commands that need them."""

import sys


def main() -> None:
    """Runs the command line and ends the process with its exit code (`failures.py` lists them)."""
    from processing_service.cli.app import app

    try:
        app()
    except Exception as error:
        from processing_service.cli.failures import report

        sys.exit(report(error))
