"""Server processes to measure: started, found ready, looked at, and ended whatever happens."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

import grpc
import psutil
from grpc.aio import AioRpcError
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from benchmarks.lag import Lag
from benchmarks.rounds import tell
from processing_service.wire.channels import ChannelSettings, open_channel

ROOT = Path(__file__).parents[1]
_PATIENCE_S = 60.0


class Server:
    """A process that serves.

    Args:
        process: it.
        address: where it listens.
        metrics_address: where its metrics are.
        startup: seconds from its start to its first answer that it is SERVING.
    """

    def __init__(self, process: subprocess.Popen[bytes], address: str, metrics_address: str, startup: float) -> None:
        self.address, self.startup = address, startup
        self.process = psutil.Process(process.pid)
        self.lag = Lag(metrics_address)

    @property
    def resident_mb(self) -> float:
        """Memory that it has now, in 10^6 bytes."""
        return float(self.process.memory_info().rss / 1e6)

    @property
    def peak_mb(self) -> float:
        """The most memory that it ever had, in 10^6 bytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


@asynccontextmanager
async def serving(folder: Path, *flags: str, address: str = "") -> AsyncIterator[Server]:
    """`processing-service serve` with its store in `folder`, at a free address unless one is given."""
    metrics_address = free_address()
    arguments = ["--store", str(folder / "store"), "--models", str(ROOT / "models")]
    arguments += ["--metrics-address", metrics_address, *flags]
    async with running("processing_service.cli", ["serve", *arguments], folder, metrics_address, address) as server:
        yield server


@asynccontextmanager
async def running(
    module: str, flags: Sequence[str], folder: Path, metrics_address: str, address: str = ""
) -> AsyncIterator[Server]:
    """A Python module that serves at `--listen`, from its first SERVING on."""
    address = address or free_address()
    started = perf_counter()
    process = _spawn([sys.executable, "-m", module, *flags, "--listen", address], folder)
    try:
        await asyncio.wait_for(_ready(process, address), _PATIENCE_S)
        yield Server(process, address, metrics_address, perf_counter() - started)
    except (TimeoutError, ChildProcessError) as error:
        raise RuntimeError(f"{module} {' '.join(flags)} did not come to serve:\n{_last_words(folder)}") from error
    except AioRpcError:
        tell(_last_words(folder))
        raise
    finally:
        _end(process)


def _spawn(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=clean_environment())


def clean_environment() -> dict[str, str]:
    """That of this process without settings of a service, and with the benchmarks to be imported."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PROCESSING_SERVICE__")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has its bytecode: that is not to be compiled
    environment["PYTHONPYCACHEPREFIX"] = str(ROOT / ".cache" / "bytecode")
    return environment | {"PYTHONPATH": f"{ROOT}:{ROOT}/generated/python"}


def _last_words(folder: Path) -> str:
    return (folder / "log").read_text("utf-8")[-3000:]


async def _ready(process: subprocess.Popen[bytes], address: str) -> None:
    host, _, port = address.rpartition(":")
    while not _listens(host, int(port)):
        if process.poll() is not None:
            raise ChildProcessError
        await asyncio.sleep(0.005)
    async with open_channel(ChannelSettings(address)) as channel:
        check = HealthStub(channel).Check
        while (await check(HealthCheckRequest(), timeout=10)).status != HealthCheckResponse.SERVING:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.005)


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_address() -> str:
    """Where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def channel_to(server: Server) -> grpc.aio.Channel:
    """A channel as all clients of the benchmarks have it."""
    return open_channel(ChannelSettings(server.address))
