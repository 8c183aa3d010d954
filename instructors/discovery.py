"""Domains that are not ours: described by a descriptor-set file, or by what their server says of itself.

Server reflection is asked in version v1 and, where that is unknown, in v1alpha; both have the same messages.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import grpc
from coordinator.error.v1.error_pb2 import ErrorReason
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc.aio import AioRpcError
from grpc_reflection.v1alpha import reflection_pb2 as pb

from instructors.domains import Domain, Domains
from instructors.foreign import ForeignDomain
from processing_service.wire.channels import open_channel
from processing_service.wire.errors import Code, CoordinatorError, Unavailable, Unreached, not_found
from processing_service.wire.interceptors.errors import from_rpc_error, never_left

log = logging.getLogger(__name__)

_PERIOD_S: Final = 1.0
"""How often a server that has not described itself is asked, in seconds."""
_METHODS: Final = tuple(
    f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1", "v1alpha")
)
_MAX_FILES: Final = 1000
"""Files that describe one domain, at most."""
_OWN: Final = ("google/", "coordinator/")
"""Files with these beginnings are taken from their Python package, where there is one."""

Files = Mapping[str, FileDescriptorProto]


async def join(foreign: ForeignDomain) -> Domain:
    """The domain with an open channel, described by its file or by its server; not described if that is away.

    Raises:
        CoordinatorError: DOMAIN_NOT_FOUND if it has no such service, DOMAIN_NOT_CONFIGURED if the
            file cannot be read or the server does not describe itself.
    """
    channel = open_channel(foreign.channel)
    try:
        service = await _described(channel, foreign)
    except BaseException:
        await channel.close()
        raise
    return Domain(foreign.name, service, channel, foreign.channel.address, foreign.max_in_flight)


async def _described(channel: grpc.aio.Channel, foreign: ForeignDomain) -> ServiceDescriptor | None:
    if foreign.descriptor_set_file is not None:
        return read(foreign.descriptor_set_file, foreign.service_name)
    try:
        return await ask(channel, foreign)
    except Unavailable as error:
        log.warning("%s; its operations are not known until it is there", error.message)
        return None


async def learn(foreign: ForeignDomain, domains: Domains) -> None:
    """Asks a server that was away every second, until it has described itself: then its domain has operations.

    What stands in the way is told to those who ask for an operation meanwhile.
    """
    channel = domains.domain(foreign.name).channel
    assert channel is not None
    trouble = ""
    while True:
        try:
            domains.describe(foreign.name, await ask(channel, foreign))
        except CoordinatorError as error:
            if error.message != trouble:
                trouble = error.message
                domains.note(foreign.name, trouble)
                log.warning("the operations of %s are not known yet: %s", foreign.name, trouble)
        else:
            log.info("the domain %s has described itself", foreign.name)
            return
        await asyncio.sleep(_PERIOD_S)


def read(file: Path, service_name: str = "") -> ServiceDescriptor:
    """The service that a descriptor-set file describes. Raises as `join`."""
    try:
        found = FileDescriptorSet.FromString(file.read_bytes())
    except (OSError, DecodeError) as error:
        text = f"{file.name!r} is not a descriptor set that can be read; write it with protoc --include_imports"
        raise _not_configured(text) from error
    files = {proto.name: proto for proto in found.file}
    names = [f"{proto.package}.{service.name}".lstrip(".") for proto in found.file for service in proto.service]
    return _service(files, service_name or _only(names))


async def ask(channel: grpc.aio.Channel, foreign: ForeignDomain) -> ServiceDescriptor:
    """The service as its server describes it. Raises as `join`; DOMAIN_UNAVAILABLE."""
    try:
        async with asyncio.timeout(foreign.timeout):
            files, name = await _ask_any_version(channel, foreign.service_name)
    except TimeoutError as error:
        text = f"the domain {foreign.name!r} did not describe itself within {foreign.timeout:g} s"
        raise Unavailable(ErrorReason.ERROR_REASON_DOMAIN_UNAVAILABLE, text) from error
    except AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            text = f"the domain {foreign.name!r} has no server reflection; name its descriptor-set file"
            raise _not_configured(text) from error
        if never_left(error, channel):
            raise Unreached(foreign.name, foreign.channel.address) from error
        raise from_rpc_error(error, f"the {foreign.name} domain") from error
    return _service(files, name)


async def _ask_any_version(channel: grpc.aio.Channel, service_name: str) -> tuple[Files, str]:
    for method in _METHODS[:-1]:
        try:
            return await _ask(channel, method, service_name)
        except AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
    return await _ask(channel, _METHODS[-1], service_name)


async def _ask(channel: grpc.aio.Channel, method: str, service_name: str) -> tuple[Files, str]:
    """The files of the service, by name, and its name.

    Each question is a stream of one message, sent in one go with its end: a write that comes after the status of a
    refused stream loses that status in grpc.aio.
    """
    answer: Any = channel.unary_unary(
        method, pb.ServerReflectionRequest.SerializeToString, pb.ServerReflectionResponse.FromString
    )
    if not service_name:
        listed = await answer(pb.ServerReflectionRequest(list_services=""))
        service_name = _only([found.name for found in listed.list_services_response.service])
    files: dict[str, FileDescriptorProto] = {}
    asked = pb.ServerReflectionRequest(file_containing_symbol=service_name)
    while True:
        _take(await answer(asked), files, service_name)
        missing = _missing(files)
        if not missing:
            return files, service_name
        asked = pb.ServerReflectionRequest(file_by_filename=missing)


def _take(answer: pb.ServerReflectionResponse, files: dict[str, FileDescriptorProto], service_name: str) -> None:
    before = len(files)
    for data in answer.file_descriptor_response.file_descriptor_proto:
        proto = FileDescriptorProto.FromString(data)
        files[proto.name] = proto
    if not before < len(files) <= _MAX_FILES:
        said = answer.error_response.error_message[:200] or "it repeats itself or has too many files"
        raise _not_configured(f"the server cannot describe {service_name!r}: {said}")


def _missing(files: Files) -> str:
    """A file that another one imports and that nobody has; empty if there is none."""
    needed = (name for proto in files.values() for name in proto.dependency)
    return next((name for name in needed if name not in files and _known(descriptor_pool.Default(), name) is None), "")


def _only(names: Iterable[str]) -> str:
    own = sorted(name for name in names if not name.startswith("grpc."))
    if len(own) == 1:
        return own[0]
    raise _not_configured(f"name the service of the domain; its server has {', '.join(own)[:500] or 'none'}")


def _service(files: Files, name: str) -> ServiceDescriptor:
    """The service in the pool that our own messages live in, or, if a name there is taken, in one of its own.

    In the shared pool its Tensor is our Tensor, so that steps can pass it on without a copy.
    """
    known = [f"{proto.package}.{found.name}".lstrip(".") for proto in files.values() for found in proto.service]
    if name not in known:
        raise not_found(ErrorReason.ERROR_REASON_DOMAIN_NOT_FOUND, "service", name, known)
    for pool in (descriptor_pool.Default(), DescriptorPool()):
        with suppress(TypeError, RecursionError):
            for proto in files.values():
                _add(pool, files, proto.name)
            return pool.FindServiceByName(name)
    raise _not_configured(f"the descriptors of {name!r} are damaged or not complete; write them with all imports")


def _add(pool: DescriptorPool, files: Files, name: str) -> None:
    """Adds a file behind all that it imports. Raises TypeError for one that does not fit."""
    known = _known(pool, name)
    if known is not None:
        if name in files and not name.startswith(_OWN) and not _same(known, files[name]):
            raise TypeError(name)
        return
    if name not in files:
        raise TypeError(name)
    for dependency in files[name].dependency:
        _add(pool, files, dependency)
    pool.AddSerializedFile(files[name].SerializeToString())


def _known(pool: DescriptorPool, name: str) -> FileDescriptor | None:
    """The file as the pool has it, once its Python package, if it is one of ours, is loaded."""
    if name.startswith(_OWN) and pool is descriptor_pool.Default():
        with suppress(ImportError):
            importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
    try:
        return pool.FindFileByName(name)
    except KeyError:
        return None


def _same(known: FileDescriptor, proto: FileDescriptorProto) -> bool:
    """True if both say the same, comments and JSON names apart."""
    mine, other = FileDescriptorProto(), FileDescriptorProto()
    known.CopyToProto(mine)
    other.CopyFrom(proto)
    for one in (mine, other):
        one.DiscardUnknownFields()  # what compilers add for themselves
        one.ClearField("source_code_info")
        for message in one.message_type:
            _forget_json_names(message)
    return mine == other


def _forget_json_names(message: Any) -> None:
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        _forget_json_names(nested)


def _not_configured(text: str) -> CoordinatorError:
    return CoordinatorError(Code.FAILED_PRECONDITION, ErrorReason.ERROR_REASON_DOMAIN_NOT_CONFIGURED, text)
