"""What putting a workflow makes of its service."""

from __future__ import annotations

from typing import NamedTuple

from coordinator.processing.v1.processing_pb2 import Workflow
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import Default

from processing_service.engine.definitions import Definition
from processing_service.engine.interfaces.compatibility import breaking, breaks
from processing_service.engine.interfaces.descriptors import closure, file_of, files_of
from processing_service.engine.store.base import Published
from processing_service.wire.errors import Violation
from processing_service.wire.naming_rules import faults


class Publication(NamedTuple):
    """The service that a definition has from now on."""

    published: Published
    warnings: tuple[str, ...]
    """Why it has none."""


def publish(
    definition: Definition, before: Published, replaced: Workflow | None, *, allow_breaking: bool = False
) -> Publication:
    """Makes the service of a definition.

    Args:
        before: the service as it was.
        replaced: the definition that it belonged to; None if there is none.
        allow_breaking: publish it although clients of the service as it was would break.

    Raises:
        CoordinatorError: WORKFLOW_BREAKING.
    """
    former = own_file(FileDescriptorSet.FromString(before.files))
    file = file_of(definition, former)
    named_badly = _violations(file)
    if before.is_live and replaced is not None and not allow_breaking:
        found = named_badly or breaks(former, file, replaced, definition.workflow)
        if found:
            raise breaking(definition.workflow.workflow_id, found)
    if named_badly:
        return Publication(before._replace(is_live=False), tuple(map(_warning, named_badly)))
    return Publication(_published(file, definition), ())


def _warning(fault: Violation) -> str:
    return f"{fault.field_path}: {fault.description}; until it is renamed the workflow has no typed service"


def _published(file: FileDescriptorProto, definition: Definition) -> Published:
    stored = FileDescriptorSet()
    for name, needed in closure(files_of(definition)).items():
        if not _is_known(name):
            needed.CopyToProto(stored.file.add())
    stored.file.append(file)
    return Published(stored.SerializeToString(deterministic=True), is_live=True)


def own_file(files: FileDescriptorSet) -> FileDescriptorProto:
    """The service's file; empty if there is none."""
    return files.file[-1] if files.file else FileDescriptorProto()


def _is_known(name: str) -> bool:
    """Whether a file is of the contract, or of the libraries."""
    try:
        Default().FindFileByName(name)
    except KeyError:
        return False
    return True


def _violations(file: FileDescriptorProto) -> list[Violation]:
    """Names that some language could not have, by where they stand in the definition."""
    sections = dict(zip((message.name for message in file.message_type), ("parameters", "outputs"), strict=False))
    found = []
    for fault in faults(FileDescriptorSet(file=[file])):
        owner, _, name = fault.element.partition(".")
        path = f"{sections[owner]}.{name}" if owner in sections and name else "workflow_id"
        found.append(Violation(path, f"{fault.what} ({fault.rule})", fault.suggestion))
    return found
