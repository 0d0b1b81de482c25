"""Running systems that tests share: one for those that do it no harm, and one for those that kill parts of it.

They end with the acceptance tests of a process, because an idle system needs CPU as well.
"""

import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.acceptance.system import SystemUnderTest

NUMBERS = itertools.count(1)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def shared_system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SystemUnderTest]:
    """`ordinaut up`, shared by many files: tests use different names and kill nothing."""
    async with SystemUnderTest(tmp_path_factory.mktemp("shared") / "data") as system:
        yield system


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def wounded_system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SystemUnderTest]:
    """`ordinaut up`, of which tests kill any part: it stops in good order at the end, and nothing is left."""
    async with SystemUnderTest(tmp_path_factory.mktemp("wounded") / "data") as system:
        yield system
        assert await system.stop() == 0
    assert system.left_behind() == {}


@pytest_asyncio.fixture(loop_scope="session")
async def mortal_system(wounded_system: SystemUnderTest) -> SystemUnderTest:
    """A system whose parts may be killed, also all at once if `start` follows, with a project of the test's own.

    Its tests run in the session's loop, which started its processes.
    """
    if not wounded_system.running:  # a test has failed between the two
        await wounded_system.start()
    await wounded_system.enter_project(f"project-{next(NUMBERS)}")
    return wounded_system
