"""RapidOCR as shipped: installed beside this environment, and run in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import psutil

from benchmarks.score import Line
from benchmarks.servers import ROOT

_PEERS: Final = ROOT / ".cache" / "peers"


class RapidOcr:
    """RapidOCR in its process."""

    def __init__(self) -> None:
        environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
        command = [_PEERS / "bin" / "python", Path(__file__).with_name("rapidocr_loop.py")]
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.process = psutil.Process(self._child.pid)
        self._answer()

    def read(self, page: Path) -> tuple[float, list[Line]]:
        """Seconds that it took, and what it read."""
        assert self._child.stdin is not None
        print(page, file=self._child.stdin, flush=True)
        answer = json.loads(self._answer())
        return answer["seconds"], [Line(line["text"], line["corners"]) for line in answer["lines"]]

    def _answer(self) -> str:
        assert self._child.stdout is not None
        if line := self._child.stdout.readline():
            return line
        raise RuntimeError(f"RapidOCR ended with {self._child.wait()}; remove .cache/peers to install it again")

    def close(self) -> None:
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
