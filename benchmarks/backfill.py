"""How fast a backfill turns the past into queue rows: `python -m benchmarks backfill`."""

import asyncio
import json
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from benchmarks.targets import Row
from ordinaut.embedded.postgres import EmbeddedPostgres
from ordinaut.settings import StoreSettings
from ordinaut.store import backfill, cursor, identity, task
from ordinaut.store.backfill import NewBackfill
from ordinaut.store.database import Database
from ordinaut.store.hints import Hints
from ordinaut.store.migrate import migrate
from ordinaut.store.task import Definition, Description
from scheduler.firing.backfill import Backfill

ROUNDS = 5
PARALLELISM = 10_000
TOGETHER = 2  # backfills at the same time, each with its scheduler
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DEFINITION = Definition(
    pipeline='{"version": 1, "steps": [{"id": "a", "uses": "orchestrator.set", "with": {}}]}',
    tools=["orchestrator.set"],
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
    """A task that is due every minute, also in the past."""
    async with database.transaction() as connection:
        made = await task.create(
            connection, project="default", name=None, owner="agents/admin",
            description=Description("", "", "{}"), definition=DEFINITION,
        )  # fmt: skip
        if made is None:
            raise RuntimeError("no task was made")
        await cursor.create(
            connection, project="default", task=made.uid, last_instant=datetime.now(UTC), event_triggers=[], ends=True
        )
    return made.uid


async def begin(database: Database, uid: UUID, place: int) -> None:
    """A backfill of PARALLELISM minutes that no other one has."""
    after = BEGIN + place * PARALLELISM * MINUTE
    wish = NewBackfill(
        id=f"b{place}", after_time=after, until_time=after + PARALLELISM * MINUTE, newest_first=False,
        reprocess="NONE", parallelism=PARALLELISM, priority=9, params="{}", total=PARALLELISM,
    )  # fmt: skip
    async with database.transaction() as connection:
        if await backfill.create(connection, uid, wish) is None:
            raise RuntimeError("no backfill was made")


async def until_idle(database: Database) -> None:
    """One scheduler's part."""
    loop = Backfill(database, Hints(database))
    while await loop.run_once():
        pass


async def rate(database: Database, uids: list[UUID], place: int) -> float:
    """Queue rows a second, with as many schedulers as tasks."""
    for uid in uids:
        await begin(database, uid, place)
    began = time.monotonic()
    await asyncio.gather(*(until_idle(database) for _ in uids))
    return PARALLELISM * len(uids) / (time.monotonic() - began)


async def rows(folder: Path) -> list[Row]:
    """The medians of one backfill, and of several at once."""
    async with EmbeddedPostgres(folder / "postgres") as postgres:
        await migrate(postgres.url)
        database = await Database.open(StoreSettings(database_url=postgres.url))
        try:
            async with database.connection() as connection:
                await identity.create_project(connection, "default")
            uids = [await create_task(database) for _ in range(TOGETHER)]
            cpu = time.process_time()
            alone = [await rate(database, uids[:1], place) for place in range(ROUNDS)]
            cpu = (time.process_time() - cpu) / (PARALLELISM * ROUNDS) * 1e6
            together = [await rate(database, uids, place) for place in range(ROUNDS, 2 * ROUNDS)]
        finally:
            await database.close()
    return [
        Row("rows queued by a backfill", statistics.median(alone), "rows/s", 40_000, 90_000, rises=True),
        Row(f"the same, {TOGETHER} at once", statistics.median(together), "rows/s"),
        Row("CPU of a row in the scheduler", cpu, "µs"),
    ]
