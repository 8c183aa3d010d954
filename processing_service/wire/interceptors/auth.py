"""Who may call: bearer tokens. Off unless tokens are configured; the health service is open to all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import Code, CoordinatorError
from processing_service.wire.interceptors.metadata import Values
from processing_service.wire.security import TokenSettings, read_secret
from processing_service.wire.workflow_names import is_typed

_READS = ("Get", "Watch", "List", "ServerReflection")
_SCHEME = "bearer "


class Auth:
    """Knows the tokens by their digests, so that a look-up takes the same time whatever was sent.

    Args:
        tokens: their files are read here, once; raises INVALID_ARGUMENT if one cannot be read.
    """

    def __init__(self, tokens: Iterable[TokenSettings]) -> None:
        self._tokens = {_digest(read_secret(token.secret_file, "secret_file")): token for token in tokens}

    def check(self, method: str, values: Values) -> str:
        """The actor of the caller's token; raises UNAUTHENTICATED or PERMISSION_DENIED."""
        sent = values.get("authorization", "")
        if not sent[: len(_SCHEME)].lower() == _SCHEME:
            raise _unauthenticated("the call has no token; send metadata `authorization: Bearer <token>`")
        token = self._tokens.get(_digest(sent[len(_SCHEME) :].strip()))
        if token is None:
            raise _unauthenticated("the token of the call is not one that this server knows")
        if token.read_only and not _reads(method):
            text = f"the token of {token.actor!r} may only read; {method} changes something"
            raise CoordinatorError(Code.PERMISSION_DENIED, ErrorReason.ERROR_REASON_PERMISSION_DENIED, text)
        return token.actor


def _reads(method: str) -> bool:
    """Whether a call changes nothing; a workflow's own Watch may start a session."""
    return method.rpartition("/")[2].startswith(_READS) and not is_typed(method)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _unauthenticated(text: str) -> CoordinatorError:
    return CoordinatorError(Code.UNAUTHENTICATED, ErrorReason.ERROR_REASON_UNAUTHENTICATED, text)
