"""Hints between processes, also after their connection was lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from ordinaut.errors import UnavailableError
from ordinaut.settings import StoreSettings
from ordinaut.store import hints as module
from ordinaut.store.database import Database
from ordinaut.store.hints import WORK, Hints, wait_hint
from tests.patience import PATIENCE

LISTENING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@asynccontextmanager
async def listening(database: Database) -> AsyncIterator[tuple[Hints, asyncio.Event]]:
    """A process that serves hints and is connected."""
    hints = Hints(database)
    received = hints.subscribe(WORK)
    serving = asyncio.create_task(hints.serve())
    try:
        assert await wait_hint(received, PATIENCE)
        yield hints, received
        assert not serving.done()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_a_hint_reaches_every_process(database: Database) -> None:
    async with listening(database) as (sender, own), listening(database) as (_, remote):
        sender.send(WORK)
        assert own.is_set()
        assert await wait_hint(remote, PATIENCE)


@pytest.mark.parametrize("harm", ["pg_terminate_backend", "pg_cancel_backend"])
async def test_hints_survive_a_broken_connection(
    harm: str, database: Database, store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.05)
    killer = await asyncpg.connect(store_settings.database_url)
    try:
        async with listening(database) as (sender, _), listening(database) as (_, remote):
            for _ in range(20):
                for row in await killer.fetch(LISTENING):
                    await killer.execute(f"SELECT {harm}($1)", row["pid"])
                sender.send(WORK)
            remote.clear()
            sender.send(WORK)
            assert await wait_hint(remote, PATIENCE)
    finally:
        await killer.close()


async def test_many_hints_become_few_notifications(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    real: Callable[..., object] = asyncpg.Connection.execute

    async def counting(self: object, query: str, *arguments: object, **named: object) -> object:
        sent.append(query)
        return await real(self, query, *arguments, **named)  # type: ignore[misc]

    async with listening(database) as (sender, _), listening(database) as (_, remote):
        monkeypatch.setattr(asyncpg.Connection, "execute", counting)
        for _ in range(1000):
            sender.send(WORK)
        assert await wait_hint(remote, PATIENCE)
        monkeypatch.undo()
    assert len([query for query in sent if "pg_notify" in query]) <= 2


async def test_an_idle_connection_is_tested_and_replaced(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(module, "SEND_SECONDS", 0.05)
    monkeypatch.setattr(module, "RECONNECT_SECONDS", 0.05)
    real: Callable[..., object] = asyncpg.Connection.execute
    swallowed = asyncio.Event()

    async def swallow_once(self: object, query: str, *arguments: object, **named: object) -> object:
        if "pg_notify" in query and not swallowed.is_set():
            swallowed.set()
            await asyncio.Event().wait()
        return await real(self, query, *arguments, **named)  # type: ignore[misc]

    async with listening(database) as (_, received):
        monkeypatch.setattr(asyncpg.Connection, "execute", swallow_once)
        async with asyncio.timeout(PATIENCE):
            await swallowed.wait()
        assert await wait_hint(received, PATIENCE)  # every topic is hinted at after a reconnect


@pytest.mark.parametrize(
    "statement", ["SET statement_timeout = 1; SELECT pg_sleep(5)", "SELECT pg_terminate_backend(pg_backend_pid())"]
)
async def test_a_statement_that_is_cancelled_or_disconnected_is_unavailable(statement: str, database: Database) -> None:
    with pytest.raises(UnavailableError):
        async with database.connection() as connection:
            await connection.execute(statement)
    async with database.connection() as connection:
        await connection.execute("RESET statement_timeout")
        assert await connection.fetchval("SELECT 1") == 1


async def test_connections_to_a_read_only_server_are_replaced_by_repeat_too(
    database: Database, store_settings: StoreSettings
) -> None:
    async def write(connection: object) -> None:
        await connection.execute("CREATE TABLE written (n int)")  # type: ignore[attr-defined]

    async with database.connection() as connection:
        await connection.execute("SET default_transaction_read_only = on")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await database.repeat(write)
    await database.repeat(write)  # over a new connection
