"""Conditions that cost much: the project that has them waits, and no other one."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from ordinaut.embedded.process import command
from ordinaut.settings import StoreSettings
from ordinaut.store import event
from ordinaut.store.database import Database
from ordinaut.store.event import NewEvent
from ordinaut.store.tasks.cursor import NewEventTrigger
from tests.integration.support.queue_rig import INHABITANTS, Rig
from tests.patience import PATIENCE
from tests.sample import FULL

ATTACKERS = 1000 if FULL else 400
ATTACK_SECONDS = 8.0 if FULL else 3.0
MOST_SECONDS = 1.0
"""At most, on a machine that does other work as well; in a test alone about a tenth of it."""
ITEMS = [{"x": number, "y": f"item {number % 97}"} for number in range(3500)]  # 100 kB
COSTLY = [
    "length(sort_by(data.items[?x > `{0}`], &y)) > `100000`",
    "length(to_json(data)) > `1{0}00000`",
    "length(split(to_json(data.items), '{0}')) > `100000`",
    "length(data.items[?contains(y, '{0}')] | [?length(y) > `0`]) > `100000`",
    "length(join(to_json(data.items[0]), data.items[*].y)) > `9{0}`",
]
WAITS = """
INSERT INTO wait (run, path, project, kind, tool, topic, match, log_mark, create_position, scanned, create_time)
SELECT gen_random_uuid(), 'a', 'other', 'EVENT', 'orchestrator.wait_event', 'order', $1::jsonb,
  current_log_mark(), 0, true, clock_now()
FROM generate_series(1, $2::int)
"""
EVENT_LATENCY = """
SELECT extract(epoch FROM d.create_time - (d.event->>'publish_time')::timestamptz)::float8
FROM due_work AS d WHERE d.project = 'default' AND d.kind = 'EVENT'
  AND (d.event->>'publish_time')::timestamptz > $1
"""
SCHEDULE_LATENCY = """
SELECT extract(epoch FROM d.create_time - d.scheduled_time)::float8
FROM due_work AS d WHERE d.project = 'default' AND d.kind = 'SCHEDULED' AND d.scheduled_time > $1
"""


@pytest.fixture
async def victims(database: Database, store_settings: StoreSettings) -> Rig:
    """A database with the real clock."""
    rig = Rig(database, store_settings)
    await rig.execute(INHABITANTS)
    rig.now = datetime.now(UTC)
    return rig


@asynccontextmanager
async def scheduler(rig: Rig, redis_url: str) -> AsyncIterator[None]:
    """A scheduler process."""
    environment = {
        **os.environ,
        "ORDINAUT_DATABASE_URL": rig.settings.database_url,
        "ORDINAUT_REDIS_URL": redis_url,
        "ORDINAUT_SCHEDULER_LISTEN": "127.0.0.1:0",
        "ORDINAUT_SCHEDULER_METRICS_PORT": "0",
    }
    tied = command([sys.executable, "-m", "scheduler"], signal.SIGKILL)
    process = await asyncio.create_subprocess_exec(
        *tied, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def publish(rig: Rig, project: str, data: dict[str, Any]) -> UUID:
    new = NewEvent(uuid4(), "order", "test", "", "", data, "agents/alice", 0)
    async with rig.database.transaction() as connection:
        await event.publish(connection, project, new)
    return new.uid


async def prepare_victims(rig: Rig) -> None:
    await rig.task(event_triggers=[NewEventTrigger("t0", "order", "data.total > `1`", None)])
    await rig.task(event_triggers=[NewEventTrigger("t0", "order", "length(data.lines) > `1`", None)])
    for _ in range(5):
        await rig.task({"interval": "1s"})


async def prepare_attackers(rig: Rig, conditions: list[str]) -> None:
    for condition in conditions:
        attacker = await rig.task(event_triggers=[NewEventTrigger("t0", "order", condition, None)])
        await rig.execute("UPDATE task SET project = 'other' WHERE uid = $1", attacker)
        await rig.execute("UPDATE event_trigger SET project = 'other' WHERE task = $1", attacker)


async def latencies(rig: Rig, since: datetime) -> dict[str, list[float]]:
    return {
        "event": [row[0] for row in await rig.rows(EVENT_LATENCY, since)],
        "schedule": [row[0] for row in await rig.rows(SCHEDULE_LATENCY, since)],
    }


async def until_matched(rig: Rig, runs: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await rig.value("SELECT count(*) FROM due_work WHERE project = 'default' AND kind = 'EVENT'") < runs:
            await asyncio.sleep(0.05)


async def measure(rig: Rig, published: int) -> dict[str, float]:
    """The 99th percentiles of the victims' latencies while they publish; `published`: the events before."""
    since, clock = datetime.now(UTC), asyncio.get_running_loop()
    count, start = published, clock.time()
    while clock.time() - start < ATTACK_SECONDS:
        await publish(rig, "default", {"total": 7, "lines": [1, 2]})
        count += 1
        await asyncio.sleep(0.05)
    await until_matched(rig, 2 * count)
    found = await latencies(rig, since)
    assert len(found["schedule"]) >= 5
    return {kind: sorted(values)[int(len(values) * 0.99) - 1] for kind, values in found.items()}


async def prepare_waits(rig: Rig) -> None:
    long = [2, {f"length(data.items[?x > `{number}`])": 1 for number in range(100)}, {}]
    await rig.execute(WAITS, json.dumps(long), ATTACKERS)


@pytest.mark.parametrize("attack", ["triggers", "waits"])
async def test_costly_conditions_delay_no_other_project(attack: str, victims: Rig, redis_url: str) -> None:
    await prepare_victims(victims)
    if attack == "triggers":
        await prepare_attackers(victims, [COSTLY[number % 5].format(number) for number in range(ATTACKERS)])
    else:
        await prepare_waits(victims)
    async with scheduler(victims, redis_url):
        await publish(victims, "default", {"total": 7, "lines": [1, 2]})
        await until_matched(victims, 2)  # it is ready, with its processes
        for _ in range(4):
            await publish(victims, "other", {"items": ITEMS})
        figures = await measure(victims, 1)
        print(f"\n{attack}: " + ", ".join(f"{kind} p99 {value * 1000:.0f} ms" for kind, value in figures.items()))
        assert max(figures.values()) < MOST_SECONDS
