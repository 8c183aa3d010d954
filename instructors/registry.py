"""The instructors of all domains, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from instructors.base import BaseInstructor, CallSettings, not_configured
from instructors.domains import Domain, Domains
from instructors.inference import InferenceInstructor
from instructors.model import ModelInstructor
from instructors.postprocessing import PostprocessingInstructor
from processing_service.wire.callcontext import current
from processing_service.wire.telemetry.hooks import Telemetry

_SPECIAL: Final[dict[str, type[BaseInstructor]]] = {
    "inference": InferenceInstructor,
    "model": ModelInstructor,
    "postprocessing": PostprocessingInstructor,
}
"""Domains of which more is to be known than their descriptors say."""


class Instructors(Mapping[str, BaseInstructor]):
    """One instructor a domain, made when it is first asked for.

    Args:
        domains: where operations are found; domains that are added later are reached too.
        telemetry: told of calls that leave the process, and of legacy spellings.
    """

    def __init__(
        self, domains: Domains, settings: CallSettings | None = None, telemetry: Telemetry | None = None
    ) -> None:
        self.domains = domains
        self.settings = settings or CallSettings()
        self._telemetry = telemetry or Telemetry()
        self._made: dict[str, BaseInstructor] = {}

    def __getitem__(self, name: str) -> BaseInstructor:
        """The instructor of a domain. Raises CoordinatorError: DOMAIN_NOT_FOUND, with the nearest name."""
        return self._made.get(name) or self._make(self.domains.domain(name))

    def __contains__(self, name: object) -> bool:
        return name in self.domains

    def __iter__(self) -> Iterator[str]:
        return (domain.name for domain in self.domains)

    def __len__(self) -> int:
        return len(self.domains)

    @property
    def model(self) -> ModelInstructor:
        """That of the Model domain. Raises CoordinatorError: DOMAIN_NOT_CONFIGURED."""
        found = self._own("model")
        assert isinstance(found, ModelInstructor)
        return found

    @property
    def inference(self) -> InferenceInstructor:
        """That of the Inference domain. Raises CoordinatorError: DOMAIN_NOT_CONFIGURED."""
        found = self._own("inference")
        assert isinstance(found, InferenceInstructor)
        return found

    async def pin(self, model_id: str) -> str:
        """The newest version of a model, `version@digest`. Raises CoordinatorError: MODEL_NOT_FOUND."""
        return (await self.model.resolve(model_id, current())).text

    def _own(self, name: str) -> BaseInstructor:
        if name not in self.domains:
            raise not_configured(name)
        return self[name]

    def _make(self, domain: Domain) -> BaseInstructor:
        kind = _SPECIAL.get(domain.name, BaseInstructor)
        made = self._made[domain.name] = kind(domain, self.domains, self, self.settings, self._telemetry)
        return made
