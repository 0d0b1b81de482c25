"""A gateway that is killed costs its watchers nothing but a moment."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from gateway.api.resource_names import new_id
from ordinaut.client import Client
from ordinaut.store import event, identity
from ordinaut.store.database import Database
from ordinaut.store.event import NewEvent
from ordinaut.v1.event_pb2 import Event
from tests.integration.support.gateway_process import a_gateway
from tests.patience import PATIENCE
from tests.ports import lasting_port

EVENTS = 300
KILLS = 2


@pytest_asyncio.fixture
async def token(database_url: str) -> AsyncIterator[str]:
    """The admin's."""
    connection = await asyncpg.connect(database_url)
    yield await identity.create_project(connection, "default")
    await connection.close()


async def publish(database: Database, numbers: range) -> None:
    """Events with these numbers, numbered by the log as a relay does."""
    async with database.transaction() as connection:
        for number in numbers:
            new = NewEvent(new_id(), "a.b", "there", "", "", {"n": number}, "agents/admin", 0)
            await event.publish(connection, "default", new)
        while await event.number(connection):
            pass


async def test_a_watcher_sees_each_event_once_however_often_its_gateway_is_killed(
    database_url: str, database: Database, token: str
) -> None:
    """The client resumes behind the last position that it saw, at whatever process listens there now."""
    seen: list[Event] = []
    news = asyncio.Condition()

    async def watch(address: str) -> None:
        async with Client(address, token) as client:
            async for told in client.watch_events("a.*", after_position=0):
                async with news:
                    seen.append(told)
                    news.notify_all()

    async def saw(count: int) -> None:
        async with asyncio.timeout(PATIENCE), news:
            await news.wait_for(lambda: len(seen) >= count)

    listen, watcher, step = f"127.0.0.1:{lasting_port()}", None, EVENTS // (KILLS + 1)
    for life in range(KILLS + 1):
        async with a_gateway(database_url, listen) as (process, _):
            watcher = watcher or asyncio.create_task(watch(listen))
            begin = life * step
            await publish(database, range(begin, begin + step // 2))
            await saw(begin + step // 2)
            await publish(database, range(begin + step // 2, begin + step))  # nobody waits for these here
            process.kill()
            await process.wait()
    async with a_gateway(database_url, listen):
        await saw(EVENTS)
        await publish(database, range(EVENTS, EVENTS + 1))
        await saw(EVENTS + 1)
    assert watcher is not None
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    assert [told.data["n"] for told in seen] == list(range(EVENTS + 1))
    positions = [told.position for told in seen]
    assert positions == sorted(set(positions))
