"""Real servers for the integration tests: one of each per test process, a fresh database for each test."""

import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from ordinaut.embedded.postgres import DATABASE, EmbeddedPostgres
from ordinaut.embedded.valkey import EmbeddedValkey
from ordinaut.settings import StoreSettings
from ordinaut.store.database import Database
from ordinaut.store.migrate import migrate
from tests.integration.support.queue_rig import Rig

TEMPLATE = "ordinaut_template"
NUMBERS = itertools.count(1)
# The data of a test need not survive a power cut. A copy of files takes an eighth of the CPU of a copy by pages.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB"}


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """A folder that any user may enter: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o711)
        yield Path(made)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_url(servers_folder: Path) -> AsyncIterator[str]:
    """A PostgreSQL server with a migrated template database; the URL of its empty database."""
    async with EmbeddedPostgres(servers_folder / "postgres", settings=FAST) as postgres:
        await _execute(postgres.url, f"CREATE DATABASE {TEMPLATE}")
        await migrate(_database(postgres.url, TEMPLATE))
        yield postgres.url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_url(servers_folder: Path) -> AsyncIterator[str]:
    """A Valkey server that all tests of the session share."""
    async with EmbeddedValkey(servers_folder / "valkey") as valkey:
        yield valkey.url


@asynccontextmanager
async def fresh_database(postgres_url: str) -> AsyncIterator[str]:
    """A migrated database of its own; also for the fixtures that a whole module shares."""
    name = f"test_{next(NUMBERS)}"
    await _execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    yield _database(postgres_url, name)
    await _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture
async def database_url(postgres_url: str) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    async with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
def store_settings(database_url: str) -> StoreSettings:
    """Settings that lead to the test's database."""
    return StoreSettings(database_url=database_url)


@pytest_asyncio.fixture
async def database(store_settings: StoreSettings) -> AsyncIterator[Database]:
    """A pool on the test's database."""
    opened = await Database.open(store_settings)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def rig(database: Database, store_settings: StoreSettings) -> Rig:
    """The test's database with a clock that stands still until the test moves it."""
    made = Rig(database, store_settings)
    await made.prepare()
    return made


def _database(url: str, name: str) -> str:
    return url.replace(f"/{DATABASE}?", f"/{name}?")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
