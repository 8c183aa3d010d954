"""TLS and bearer tokens: settings, and the gRPC credentials made from them. Secrets are named by file, never given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc
from coordinator.error.v1.error_pb2 import ErrorReason

from processing_service.wire.errors import Code, CoordinatorError


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Certificates of one side of a connection, as PEM files. A server needs the first two, a client none."""

    certificate_file: str = ""
    """Chain that this side shows; empty shows none (clients only)."""
    private_key_file: str = ""
    """Key of `certificate_file`."""
    authority_file: str = ""
    """Certificates of the authorities that the other side must come from. A client without it uses the well-known
    ones; a server with it asks every client for a certificate."""

    def __post_init__(self) -> None:
        if bool(self.certificate_file) != bool(self.private_key_file):
            raise _invalid("tls: certificate_file and private_key_file go together; set both or neither")


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """One bearer token that the server accepts."""

    actor: str
    """Whom it stands for; shown in histories and logs."""
    secret_file: str
    """File whose first line is the token."""
    read_only: bool = False
    """Whether it may only call RPCs that change nothing (Get..., Watch...)."""


def server_credentials(tls: TlsSettings) -> grpc.ServerCredentials:
    """Raises INVALID_ARGUMENT if a file is missing."""
    if not tls.certificate_file:
        raise _invalid("tls: a server needs certificate_file and private_key_file")
    pair = (_read(tls.private_key_file, "private_key_file"), _read(tls.certificate_file, "certificate_file"))
    authority = _read(tls.authority_file, "authority_file") if tls.authority_file else None
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)


def channel_credentials(tls: TlsSettings) -> grpc.ChannelCredentials:
    """Raises INVALID_ARGUMENT if a file is missing."""
    authority = _read(tls.authority_file, "authority_file") if tls.authority_file else None
    if not tls.certificate_file:
        return grpc.ssl_channel_credentials(authority)
    key, chain = _read(tls.private_key_file, "private_key_file"), _read(tls.certificate_file, "certificate_file")
    return grpc.ssl_channel_credentials(authority, key, chain)


def read_secret(file: str, setting: str) -> str:
    """The first line of a secret's file; raises INVALID_ARGUMENT if there is none."""
    text = _read(file, setting).decode("ascii", "replace").strip()
    if not text:
        raise _invalid(f"{setting}: the file is empty; write the secret as its first line")
    return text.splitlines()[0].strip()


def _read(file: str, setting: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise _invalid(f"{setting}: the file cannot be read ({error.strerror}); check its path and rights") from error


def _invalid(text: str) -> CoordinatorError:
    return CoordinatorError(Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_FIELD_INVALID, text)
