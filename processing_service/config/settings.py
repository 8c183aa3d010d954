"""Every setting of the service: the settings classes of the concerns, each from where it lives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from instructors.admission_settings import AdmissionSettings
from instructors.foreign import ForeignDomain
from processing_service.client.settings import ClientSettings
from processing_service.domains.inference.settings import InferenceSettings
from processing_service.domains.model.settings import RepositorySettings
from processing_service.domains.postprocessing.settings import PostprocessingSettings
from processing_service.engine.managers.settings import SessionSettings
from processing_service.engine.store.sqlite.store import StoreSettings
from processing_service.wire.interceptors.deadlines import DeadlineSettings
from processing_service.wire.listener import ListenerSettings
from processing_service.wire.security import TlsSettings, TokenSettings
from processing_service.wire.telemetry.setup import TelemetrySettings

Domain = Literal["processing", "model", "inference", "postprocessing"]
"""What `only` can name."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One process: what it serves, where, and with which limits. Each class is a section of the same name."""

    only: Domain | None = None
    """The one service that this process serves; None serves the coordinator and every domain without an address."""
    model_address: str | None = None
    """Where the Model domain is, as `host:port` or `unix:path`; None embeds it."""
    inference_address: str | None = None
    """Where the Inference domain is; None embeds it."""
    postprocessing_address: str | None = None
    """Where the Postprocessing domain is; None embeds it."""
    foreign_domains: tuple[ForeignDomain, ...] = ()
    """Services that are not part of the contract, whose RPCs steps and commands can call too."""
    channel_tls: TlsSettings | None = None
    """How domains with an address are reached; None means plain text."""
    drain_grace: float = 30.0
    """Seconds that calls and sessions in flight have to end when the process is told to stop."""
    tokens: tuple[TokenSettings, ...] = ()
    """Bearer tokens that callers must show; none lets every caller in."""
    listener: ListenerSettings = field(default_factory=ListenerSettings)
    """The address where this process serves."""
    deadlines: DeadlineSettings = field(default_factory=DeadlineSettings)
    """How long served calls may take."""
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    """Logs, metrics and traces."""
    sessions: SessionSettings = field(default_factory=SessionSettings)
    """Bounds of sessions."""
    admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    """How steps wait for their models."""
    store: StoreSettings = field(default_factory=StoreSettings)
    """Where sessions, workflows and artifacts are kept."""
    model: RepositorySettings = field(default_factory=RepositorySettings)
    """The model repository."""
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    """What models may take."""
    postprocessing: PostprocessingSettings = field(default_factory=PostprocessingSettings)
    """Limits of the operations."""
    client: ClientSettings = field(default_factory=ClientSettings)
    """How commands reach a coordinator."""
