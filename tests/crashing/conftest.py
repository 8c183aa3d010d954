"""One place for all campaigns: its processes take seconds to start."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.crashing.site import Site, site


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def where(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A domain that counts, and a nursery."""
    async with site(tmp_path_factory.mktemp("crash")) as made:
        yield made
