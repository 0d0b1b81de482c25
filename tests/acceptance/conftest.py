"""One running system for the acceptance tests that do it no harm."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.acceptance.system import SystemUnderTest


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SystemUnderTest]:
    """`ordinaut up`, shared by the whole session: tests take names of their own and kill nothing."""
    async with SystemUnderTest(tmp_path_factory.mktemp("shared") / "data") as system:
        yield system
