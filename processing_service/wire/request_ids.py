"""The refusal of a request_id that came with other content before; every service gives the same one."""

from __future__ import annotations

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import Code, CoordinatorError


def request_id_reused(request_id: str, first: bytes, now: bytes) -> CoordinatorError:
    """ALREADY_EXISTS with the digests of both contents, which are SHA-256."""
    return CoordinatorError(
        Code.ALREADY_EXISTS,
        ErrorReason.ERROR_REASON_REQUEST_ID_REUSED,
        f"request_id {request_id!r} was used with other content (then {first.hex()[:12]}, now {now.hex()[:12]}); "
        "use a new one for a new request",
        metadata={"request_id": request_id, "first_digest": first.hex(), "digest": now.hex()},
    )
