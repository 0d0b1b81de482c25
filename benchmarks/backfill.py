"""Rows per second that a backfill adds to the queue."""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from benchmarks.harness.targets import Row
from ordinaut.embedded.postgres import EmbeddedPostgres
from ordinaut.settings import StoreSettings
from ordinaut.store import identity
from ordinaut.store.database import Database
from ordinaut.store.hints import Hints
from ordinaut.store.migrate import migrate
from ordinaut.store.tasks import backfill, cursor, task
from ordinaut.store.tasks.backfill import NewBackfill
from ordinaut.store.tasks.task import Definition, Description
from scheduler.firing.backfill import Backfill

ROUNDS = 5
PARALLELISM = 10_000
CONCURRENT = 2  # backfills at the same time, each with a scheduler
FIRST_INSTANT = datetime(2025, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DEFINITION = Definition(
    pipeline='{"version": 1, "steps": [{"id": "a", "uses": "orchestrator.set", "with": {}}]}',
    tools=["orchestrator.set"],
    scopes=["admin"],
    schedule=json.dumps({"triggers": [{"id": "t0", "cron": "* * * * *"}], "time_zone": "Europe/Chisinau"}),
    run_policy="{}",
    params='{"city": "Cluj"}',
    params_schema=None,
    overlap="ALLOW",
    priority=5,
    max_losses=3,
    run_timeout=timedelta(days=1),
)


async def create_task(database: Database) -> UUID:
    """A task that is due every minute, also before its creation."""
    async with database.transaction() as connection:
        created = await task.create(
            connection, project="default", name=None, owner="agents/admin",
            description=Description("", "", "{}"), definition=DEFINITION,
        )  # fmt: skip
        if created is None:
            raise RuntimeError("the task was not created")
        await cursor.create(
            connection,
            project="default",
            task=created.uid,
            last_instant=datetime.now(UTC),
            event_triggers=[],
            ends=True,
        )
    return created.uid


async def create_backfill(database: Database, uid: UUID, number: int) -> None:
    """A backfill of PARALLELISM minutes; backfills of different numbers do not overlap."""
    after = FIRST_INSTANT + number * PARALLELISM * MINUTE
    request = NewBackfill(
        id=f"b{number}", after_time=after, until_time=after + PARALLELISM * MINUTE, newest_first=False,
        reprocess="NONE", parallelism=PARALLELISM, priority=9, params="{}", total=PARALLELISM,
    )  # fmt: skip
    async with database.transaction() as connection:
        if await backfill.create(connection, uid, request) is None:
            raise RuntimeError("the backfill was not created")


async def run_scheduler(database: Database) -> None:
    """Does what one scheduler does until no backfill has instants to queue."""
    loop = Backfill(database, Hints(database))
    while await loop.run_once():
        pass


async def rate(database: Database, uids: list[UUID], number: int) -> float:
    """Queue rows per second of one backfill per task, with one scheduler each."""
    for uid in uids:
        await create_backfill(database, uid, number)
    start = time.monotonic()
    await asyncio.gather(*(run_scheduler(database) for _ in uids))
    return PARALLELISM * len(uids) / (time.monotonic() - start)


async def rows(folder: Path) -> AsyncGenerator[Row, None]:
    """Medians of one backfill, then of several at once."""
    async with EmbeddedPostgres(folder / "postgres") as postgres:
        await migrate(postgres.url)
        database = await Database.open(StoreSettings(database_url=postgres.url))
        try:
            async with database.connection() as connection:
                await identity.create_project(connection, "default")
            uids = [await create_task(database) for _ in range(CONCURRENT)]
            before = time.process_time()
            rates = [await rate(database, uids[:1], number) for number in range(ROUNDS)]
            cpu = (time.process_time() - before) / (PARALLELISM * ROUNDS) * 1e6
            yield Row(
                "rows queued, one backfill", statistics.median(rates), "rows/s", 40_000, 90_000, higher_is_better=True
            )
            yield Row("CPU of the scheduler per row", cpu, "µs")
            rates = [await rate(database, uids, number) for number in range(ROUNDS, 2 * ROUNDS)]
            yield Row(f"rows queued, {CONCURRENT} backfills at once", statistics.median(rates), "rows/s")
        finally:
            await database.close()
