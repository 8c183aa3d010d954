"""What no client can bring about with a call, sent by a real server all the same.

Stores are really opened and refuse. What they raise goes out by the listener and the edge that every service has, from
a servicer that raises it.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import grpc
from coordinator.processing.v1 import processing_pb2 as pb
from coordinator.processing.v1.processing_pb2_grpc import (
    ProcessingServiceServicer,
    ProcessingServiceStub,
    add_ProcessingServiceServicer_to_server,
)

from processing_service.engine.store.sqlite.faults import FILE_NAME
from processing_service.engine.store.sqlite.store import SqliteStore, StoreSettings
from processing_service.server.monitor import SERVICE
from processing_service.wire.errors import CoordinatorError
from processing_service.wire.health import Health
from processing_service.wire.interceptors.edge import Edge
from processing_service.wire.listener import Listener, ListenerSettings
from processing_service.wire.telemetry.hooks import Telemetry
from tests.contract.golden_errors import Golden, status_of

UNREACHABLE: Final = {
    "NOT_IMPLEMENTED": "every RPC of the contract is served; by a servicer that leaves all of them out",
    "INTERNAL": "a fault of the server; by a servicer with one",
    "STORE_LOCKED": "a process that finds it does not serve; raised by a second store in the folder of a first",
    "STORE_TOO_NEW": "as above; raised by a store over a file of version 99",
    "STORE_READ_ONLY": "as above; raised by a store whose folder is a file",
    "STORE_DAMAGED": "as above; raised by a store over a file that is no database",
}
"""Reasons that a client cannot provoke, with how they are made here."""


async def errors(folder: Path) -> dict[str, Golden]:
    """Each of `UNREACHABLE`."""
    raised = {
        "INTERNAL": RuntimeError("a fault on purpose"),
        "STORE_LOCKED": await _locked(folder / "locked"),
        "STORE_TOO_NEW": await _too_new(folder / "new"),
        "STORE_READ_ONLY": _refusal(_file(folder / "read-only", b"a file")),
        "STORE_DAMAGED": _refusal(_file(folder / "damaged" / FILE_NAME, b"no database").parent),
    }
    found: dict[str, Golden] = {reason_name: await _sent(Raising(error)) for reason_name, error in raised.items()}
    return found | {"NOT_IMPLEMENTED": await _sent(ProcessingServiceServicer())}


class Raising(ProcessingServiceServicer):
    """Answers with an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def PutProcessingWorkflow(self, request: Any, context: Any) -> Any:
        raise self._error


async def _sent(servicer: ProcessingServiceServicer) -> Golden:
    """What a client gets of it."""
    listener = Listener(ListenerSettings("127.0.0.1:0"), Edge(Telemetry()), Health([SERVICE]))
    add_ProcessingServiceServicer_to_server(servicer, listener.server)
    await listener.start([SERVICE])
    async with grpc.aio.insecure_channel(listener.address) as channel:
        stub = ProcessingServiceStub(channel)
        status = await status_of(stub.PutProcessingWorkflow(pb.PutProcessingWorkflowRequest()))
    await listener.drain(0.0)
    return status


def _refusal(folder: Path) -> CoordinatorError:
    """Why no store is opened there."""
    try:
        SqliteStore(StoreSettings(folder))
    except CoordinatorError as error:
        return error
    raise AssertionError("it was opened")


async def _locked(folder: Path) -> CoordinatorError:
    first = SqliteStore(StoreSettings(folder))
    error = _refusal(folder)
    await first.close()
    return error


async def _too_new(folder: Path) -> CoordinatorError:
    await SqliteStore(StoreSettings(folder)).close()
    with closing(sqlite3.connect(folder / FILE_NAME)) as other, other:
        other.execute("PRAGMA user_version = 99")
    return _refusal(folder)


def _file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path
