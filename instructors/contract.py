"""What a client has to know before its first call: version, descriptors, features, limits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from typing import Final

from coordinator.processing.v1 import processing_pb2 as pb

CONTRACT_VERSION: Final = "1.0.0"
"""Version of the contract; clients need an equal major."""


class ContractInstructor:
    """Describes the contract that this server speaks.

    Args:
        features: what this server can do.
        limits: limits by name; the name ends with the unit.
    """

    def __init__(self, features: Sequence[str], limits: Mapping[str, int]) -> None:
        descriptors = files("coordinator").joinpath("coordinator.binpb").read_bytes()
        self._reply = pb.GetProcessingContractResponse(
            contract_version=CONTRACT_VERSION,
            descriptor_digest=hashlib.sha256(descriptors).hexdigest(),
            server_version=version("processing-coordinator"),
            features=sorted(features),
            limits=[pb.ContractLimit(name=name, value=limits[name]) for name in sorted(limits)],
        )

    def describe(self) -> pb.GetProcessingContractResponse:
        """The reply to GetProcessingContract."""
        return self._reply
