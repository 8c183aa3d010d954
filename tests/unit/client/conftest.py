"""A client and the coordinator that it talks to."""

import pytest

from processing_service.client import CoordinatorClient
from tests.doubles import FakeCoordinator, serving


@pytest.fixture
async def coordinator():
    async with serving(FakeCoordinator()) as fake:
        yield fake


@pytest.fixture
async def client(coordinator):
    async with CoordinatorClient(coordinator.address) as client:
        yield client
