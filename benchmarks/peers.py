"""What the benchmarks measure beside: installed beside this environment, each run in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.servers import ROOT

_PEERS: Final = ROOT / ".cache" / "peers"


class Peer:
    """A script that takes a line and answers with a line of JSON, once it has said that it is ready.

    Args:
        script: its file name, in this folder.
        variables: added to its environment.
    """

    def __init__(self, script: str, *arguments: str, **variables: str) -> None:
        self._name = script
        self._child = subprocess.Popen(
            [_PEERS / "bin" / "python", Path(__file__).with_name(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | variables,
        )
        self.process = psutil.Process(self._child.pid)
        self._answer()

    def ask(self, line: object) -> Any:
        """What it answers to a line."""
        assert self._child.stdin is not None
        print(line, file=self._child.stdin, flush=True)
        return json.loads(self._answer())

    def _answer(self) -> str:
        assert self._child.stdout is not None
        if line := self._child.stdout.readline():
            return line
        raise RuntimeError(f"{self._name} ended with {self._child.wait()}; remove .cache/peers to install it again")

    def close(self) -> None:
        """Ends it."""
        self._child.kill()
        self._child.communicate()


def install() -> None:
    """An environment of its own from peers.lock, unless it is there."""
    lock, done = Path(__file__).with_name("peers.lock"), _PEERS / "ok"
    if done.exists() and done.read_text("utf-8") == lock.read_text("utf-8"):
        return
    uv, python = str(Path(sys.executable).with_name("uv")), str(_PEERS / "bin" / "python")
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, _PEERS], check=True)
    packages = ["--python", python, "--require-hashes", "-r", str(lock)]
    subprocess.run([uv, "pip", "install", "--quiet", *packages], check=True)
    done.write_text(lock.read_text("utf-8"), "utf-8")
