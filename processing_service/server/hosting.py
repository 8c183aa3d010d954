"""The domains of one process: which are served here, and where the others are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import grpc
from coordinator.inference.v1.inference_pb2_grpc import InferenceServiceStub, add_InferenceServiceServicer_to_server
from coordinator.model.v1.model_pb2_grpc import add_ModelServiceServicer_to_server
from coordinator.postprocessing.v1.postprocessing_pb2_grpc import add_PostprocessingServiceServicer_to_server

from instructors.discovery import join
from instructors.domains import CONTRACT, EMBEDDED, Domain
from instructors.foreign import ForeignDomain
from processing_service.config import Settings
from processing_service.wire.channels import ChannelSettings, InProcessChannel, InProcessServer, open_channel
from processing_service.wire.interceptors.edge import Edge
from processing_service.wire.telemetry.hooks import Telemetry

if TYPE_CHECKING:
    from processing_service.domains.model.repository import ModelRepository

log = logging.getLogger(__name__)

DOMAINS: Final = ("inference", "model", "postprocessing")
"""The domains of the contract that do the work; `model` asks `inference`, so it comes after it."""


class Hosting:
    """Serves domains in this process and opens channels to the others.

    Args:
        names: domains that this process serves unless they have an address.
        stack: closes what is opened.
    """

    def __init__(self, settings: Settings, names: tuple[str, ...], telemetry: Telemetry, stack: AsyncExitStack) -> None:
        self._settings, self._telemetry, self._stack = settings, telemetry, stack
        self._edge = Edge(telemetry, limits=settings.deadlines)
        self.embedded = InProcessServer(self._edge.wrap)
        """Holds the servicers of this process, for calls that stay in it."""
        self._adders: dict[str, Callable[[grpc.aio.Server], None]] = {}
        self.channels: dict[str, grpc.aio.Channel] = {}
        """Channel by domain of the contract."""
        self.foreign: list[Domain] = []
        """Domains that are not part of the contract; there once `join` was awaited."""
        self.undescribed: dict[str, ForeignDomain] = {}
        """Those of them whose server was away and has not described itself yet."""
        for name in DOMAINS:
            if self.address(name) is not None:
                self.channels[name] = self._open(name)
        for name in DOMAINS:
            if name in names and name not in self.channels:
                self._host(name)

    def address(self, name: str) -> str | None:
        """Where a domain is; None if it is not told."""
        address: str | None = getattr(self._settings, f"{name}_address")
        return address

    @property
    def hosted(self) -> list[str]:
        """The domains that this process serves."""
        return list(self._adders)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serves the hosted domains on a listener, too."""
        for add in self._adders.values():
            add(server)

    def domains(self) -> list[Domain]:
        """The domains that this process can call."""
        ours = [
            Domain(name, CONTRACT[name], channel, self.address(name) or EMBEDDED)
            for name, channel in self.channels.items()
        ]
        return ours + self.foreign

    async def join(self) -> None:
        """Opens the channels of foreign domains and reads what describes them. Raises as `discovery.join`."""
        for foreign in self._settings.foreign_domains:
            domain = await join(foreign)
            assert domain.channel is not None
            self._stack.push_async_callback(domain.channel.close)
            self.foreign.append(domain)
            if domain.service is None:
                self.undescribed[domain.name] = foreign

    def remote(self) -> dict[str, tuple[str, grpc.aio.Channel]]:
        """Service name and channel of the domains that other processes serve, by domain; no name = all of a server."""
        return {
            domain.name: (self._service_name(domain), domain.channel)
            for domain in self.domains()
            if not domain.embedded and domain.channel is not None
        }

    def _service_name(self, domain: Domain) -> str:
        return domain.service.full_name if domain.service is not None else self.undescribed[domain.name].service_name

    def _open(self, name: str) -> grpc.aio.Channel:
        address = self.address(name)
        assert address is not None
        channel = open_channel(ChannelSettings(address, tls=self._settings.channel_tls))
        self._stack.push_async_callback(channel.close)
        return channel

    def _host(self, name: str) -> None:
        add = getattr(self, f"_{name}")()
        add(self.embedded)
        self._adders[name] = add
        self.channels[name] = InProcessChannel(self.embedded)

    @cached_property
    def _repository(self) -> ModelRepository:
        """The models of this process; the log says if there are none."""
        from processing_service.domains.model.repository import ModelRepository

        repository = ModelRepository(self._settings.model)
        if lack := repository.lack():
            log.warning("%s; until then no model can be used", lack)
        return repository

    def _inference(self) -> Callable[[grpc.aio.Server], None]:
        from processing_service.domains.inference.servicer import InferenceServicer

        servicer = InferenceServicer(self._repository, self._settings.inference, telemetry=self._telemetry)
        self._stack.push_async_callback(servicer.close)
        return lambda server: add_InferenceServiceServicer_to_server(servicer, server)

    def _model(self) -> Callable[[grpc.aio.Server], None]:
        from processing_service.domains.model.servicer import ModelServicer

        channel = self.channels.get("inference")
        inference: Any = InferenceServiceStub(channel) if channel is not None else None
        servicer = ModelServicer(self._repository, inference)
        return lambda server: add_ModelServiceServicer_to_server(servicer, server)

    def _postprocessing(self) -> Callable[[grpc.aio.Server], None]:
        from processing_service.domains.postprocessing.servicer import PostprocessingServicer

        servicer = PostprocessingServicer(self._settings.postprocessing)
        self._stack.callback(servicer.close)
        return lambda server: add_PostprocessingServiceServicer_to_server(servicer, server)


def service_name(domain: str) -> str:
    """Full name of the service of a domain of the contract."""
    return CONTRACT[domain].full_name
