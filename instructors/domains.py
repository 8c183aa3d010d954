"""Which domains there are and what they can do: read from descriptors, never written by hand.

An operation is `domain.rpc_in_snake_case`; an RPC that is added to a .proto is routable with no change here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import grpc
from coordinator.error.v1.error_pb2 import ErrorReason
from coordinator.inference.v1 import inference_pb2
from coordinator.model.v1 import model_pb2
from coordinator.postprocessing.v1 import postprocessing_pb2
from coordinator.processing.v1 import processing_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FileDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from processing_service.engine.base import OperationType
from processing_service.wire.errors import (
    Code,
    CoordinatorError,
    Unavailable,
    invalid,
    nearest,
    not_found,
    shown_address,
)
from processing_service.wire.naming import NAME, fold, words

EMBEDDED: Final = "embedded"
"""Address of a domain that is served by this process."""

COMMAND: Final = "processing.post_command_execute"
"""The operation that is no step, and not inside itself."""

CONTRACT: Final[dict[str, ServiceDescriptor]] = {
    "inference": inference_pb2.DESCRIPTOR.services_by_name["InferenceService"],
    "model": model_pb2.DESCRIPTOR.services_by_name["ModelService"],
    "postprocessing": postprocessing_pb2.DESCRIPTOR.services_by_name["PostprocessingService"],
    "processing": processing_pb2.DESCRIPTOR.services_by_name["ProcessingService"],
}
"""The services of the contract by domain."""

_MAX_SHOWN: Final = 128
"""Characters of a caller's name that go into a message."""
_SAFE: Final = (MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT)


@dataclass(frozen=True, slots=True)
class Domain:
    """A service that steps and commands can call."""

    name: str
    """Name, as in operations; snake_case."""
    service: ServiceDescriptor | None
    """None while its server has not described it: it has no operations yet."""
    channel: grpc.aio.Channel | None = None
    """None describes it without reaching it: enough to check definitions."""
    address: str = EMBEDDED
    """`embedded`, `unix:...` or `host:port`."""
    max_in_flight: int = 64
    """Calls that are out at the same time, at most; others wait for their turn."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            text = f"{self.name!r} is not a domain name: lower-case words joined by '_'"
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "domain", text)
        if self.max_in_flight < 1:
            raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "max_in_flight", "must be at least 1")

    @property
    def embedded(self) -> bool:
        """True if its calls stay in this process."""
        return self.address == EMBEDDED


@dataclass(frozen=True, slots=True)
class Operation:
    """One RPC of a domain."""

    kind: OperationType
    domain: str
    path: str
    """`/package.Service/Method`."""
    unary: bool
    """False for streams."""
    request_class: type[Message]
    response_class: type[Message]

    @property
    def name(self) -> str:
        """`domain.rpc_in_snake_case`."""
        return self.kind.operation

    @property
    def rpc(self) -> str:
        """`rpc_in_snake_case`."""
        return self.kind.operation.partition(".")[2]

    @property
    def response_name(self) -> str:
        """Full name of the response message."""
        return self.kind.response.full_name


class Domains:
    """The registered domains; an `OperationCatalog`."""

    def __init__(self, domains: Iterable[Domain] = ()) -> None:
        self._domains: dict[str, Domain] = {}
        self._operations: dict[str, Operation] = {}
        self._troubles: dict[str, str] = {}
        """By domain that is not described, why."""
        for domain in domains:
            self.add(domain)

    @classmethod
    def of_contract(cls) -> Domains:
        """The domains of the contract without channels: what definitions are checked against where no server is."""
        return cls(Domain(name, service) for name, service in CONTRACT.items())

    def add(self, domain: Domain) -> None:
        """Registers a domain.

        Raises:
            CoordinatorError: FIELD_CONFLICT if the name is taken, or if two RPCs would be one operation.
        """
        if domain.name in self._domains:
            raise _conflict(f"the domain {domain.name!r} is registered already")
        if domain.service is not None:
            self._operations |= _operations(domain.name, domain.service)
        self._domains[domain.name] = domain

    def describe(self, name: str, service: ServiceDescriptor) -> None:
        """Gives a domain that was added without one its description. Raises CoordinatorError: FIELD_CONFLICT."""
        self._operations |= _operations(name, service)
        self._domains[name] = replace(self._domains[name], service=service)

    def note(self, name: str, trouble: str) -> None:
        """Notes why a domain has not described itself, for those who ask for its operations."""
        self._troubles[name] = trouble

    def __iter__(self) -> Iterator[Domain]:
        """The domains by name."""
        return iter(sorted(self._domains.values(), key=lambda domain: domain.name))

    def __len__(self) -> int:
        return len(self._domains)

    def __contains__(self, name: object) -> bool:
        return name in self._domains

    def domain(self, name: str) -> Domain:
        """The domain of that name. Raises CoordinatorError: DOMAIN_NOT_FOUND, with the nearest."""
        if name not in self._domains:
            raise not_found(ErrorReason.ERROR_REASON_DOMAIN_NOT_FOUND, "domain", name, self._domains, self._hint())
        return self._domains[name]

    def operation(self, name: str) -> Operation:
        """The operation of that name.

        Raises:
            CoordinatorError: DOMAIN_NOT_FOUND or OPERATION_NOT_FOUND, with the nearest name; DOMAIN_UNAVAILABLE while
                its domain has not described itself.
        """
        found = self._operations.get(name)
        if found is not None:
            return found
        name = name[:_MAX_SHOWN]
        domain, dot, _ = name.partition(".")
        if dot and self.domain(domain).service is None:
            raise self._undescribed(domain)
        known = self.operations(domain if dot else "")
        names = [operation.name for operation in known]
        raise not_found(ErrorReason.ERROR_REASON_OPERATION_NOT_FOUND, "operation", name, names, self._hint())

    def operations(self, domain: str = "") -> list[Operation]:
        """The operations of a domain, of all if none is named, by name."""
        return sorted(
            (found for found in self._operations.values() if domain in ("", found.domain)), key=lambda found: found.name
        )

    def spelled(self, name: str) -> str:
        """The name of the operation that a legacy spelling (`Model.GetModel`) means; `name` itself if there is none."""
        if name in self._operations:
            return name
        meant = [known for known in self._operations if fold(known) == fold(name)]
        return meant[0] if len(meant) == 1 else name

    def find(self, operation: str) -> OperationType:
        """The type of an operation. Raises as `operation`."""
        return self.operation(operation).kind

    def message(self, type_name: str) -> Descriptor:
        """The message type of that full name.

        Raises:
            CoordinatorError: FIELD_INVALID, with the nearest name; DOMAIN_UNAVAILABLE while a domain that may have it
                has not described itself.
        """
        services = [domain.service for domain in self._domains.values() if domain.service is not None]
        for service in services:
            try:
                return service.file.pool.FindMessageTypeByName(type_name)
            except KeyError:
                continue
        if len(services) < len(self._domains):
            raise self._undescribed(next(domain.name for domain in self if domain.service is None))
        near = nearest(type_name, _messages(service.file for service in services))
        text = f"there is no message {type_name!r}"
        raise invalid(ErrorReason.ERROR_REASON_FIELD_INVALID, "type_name", text, near)

    def _undescribed(self, name: str) -> CoordinatorError:
        domain = self._domains[name]
        why = self._troubles.get(name) or f"the {name} domain has not described itself"
        error = Unavailable(
            ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE, f"the operations of {name!r} are not known yet: {why}"
        )
        error.metadata = {"domain": name, "address": shown_address(domain.address)}
        return error

    def _hint(self) -> str:
        return f"GetProcessingDomains lists them; the domains are {', '.join(sorted(self._domains)) or 'none'}"


def _operations(domain: str, service: ServiceDescriptor) -> dict[str, Operation]:
    operations = [_operation(domain, service, method) for method in service.methods]
    by_name = {operation.name: operation for operation in operations}
    if len(by_name) < len(operations):
        raise _conflict(f"two RPCs of {service.full_name} have one name in snake_case; rename one")
    return by_name


def _operation(domain: str, service: ServiceDescriptor, method: MethodDescriptor) -> Operation:
    name = f"{domain}.{'_'.join(words(method.name))}"
    unary = not (method.client_streaming or method.server_streaming)
    return Operation(
        kind=OperationType(
            operation=name,
            request=method.input_type,
            response=method.output_type,
            idempotent=method.GetOptions().idempotency_level in _SAFE,
            callable=unary and name != COMMAND,
        ),
        domain=domain,
        path=f"/{service.full_name}/{method.name}",
        unary=unary,
        request_class=message_factory.GetMessageClass(method.input_type),
        response_class=message_factory.GetMessageClass(method.output_type),
    )


def _conflict(text: str) -> CoordinatorError:
    return CoordinatorError(Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_FIELD_CONFLICT, text)


def _messages(files: Iterable[FileDescriptor]) -> set[str]:
    """Full names of the messages of files and of what they import."""
    found: dict[str, FileDescriptor] = {}
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file.name not in found:
            found[file.name] = file
            waiting.extend(file.dependencies)
    return {message.full_name for file in found.values() for message in file.message_types_by_name.values()}
