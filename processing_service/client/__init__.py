"""The typed asyncio client of the coordinator."""

from processing_service.client.batch_watching import BATCH_ENDED
from processing_service.client.coordinator import CoordinatorClient
from processing_service.client.outputs import Outputs
from processing_service.client.settings import ClientSettings
from processing_service.client.values import Value
from processing_service.client.watching import ENDED

__all__ = ["BATCH_ENDED", "ENDED", "ClientSettings", "CoordinatorClient", "Outputs", "Value"]
