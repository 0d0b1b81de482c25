"""The clock at scale: schedules advanced a second, ten thousand due at once, a million idle ones.

`python -m benchmarks.schedules [PART ...]` prints what the whole of it, or a part, comes to. Commit times are
PostgreSQL's own (`track_commit_timestamp`), so nothing looks on while the scheduler works.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import asyncpg

from benchmarks.targets import Row
from benchmarks.usage import cpu_seconds
from ordinaut.embedded.postgres import EmbeddedPostgres
from ordinaut.embedded.valkey import EmbeddedValkey
from ordinaut.store import due_work, lease
from ordinaut.store.migrate import migrate
from scheduler.triggers.localtime.zone import ZONE_DATA_VERSION

ROUNDS = 3
DUE = 10_000
MANY = 20_000
IDLE = 1_000_000
IDLE_SECONDS = 20.0
SETTLE_SECONDS = 3.0
POLLS = 500
LOOK_SECONDS = 0.05
LEAD_SECONDS = 1.5
LONGEST_SECONDS = 60.0  # where firing takes more than five seconds, the rest is caught up at its own slow pace
ENOUGH = 0.95  # the others have happened to be due by their own schedule just before
ZONES = ("Europe/Chisinau", "America/New_York", "Asia/Kathmandu", "Australia/Sydney", "UTC")
# A third is shared by many tasks; the others are each task's own, because the moment of its creation is in them.
SHARED = [
    *({"cron": f"{minute} * * * *"} for minute in range(0, 60, 5)),
    *({"cron": f"0 {hour} * * mon-fri"} for hour in range(24)),
]
TASKS = """
WITH new AS (
  SELECT new_id() AS uid, number, s.schedule
  FROM unnest($1::jsonb[]) WITH ORDINALITY AS s (schedule, number)
), tasks AS (
  INSERT INTO task (uid, project, name, owner, display_name, description, labels, state, version, revision,
    create_time, update_time)
  SELECT uid, 'default', 'bench-' || uid, 'agents/admin', '', '', '{}', 'ACTIVE', 1, 1, clock_now(), clock_now()
  FROM new
), versions AS (
  INSERT INTO task_version (task, version, pipeline, tools, schedule, run_policy, params, overlap, priority, max_losses,
    run_timeout, create_time)
  SELECT uid, 1, '{"version": 1, "steps": []}', '{}', schedule, '{}', '{}', 'ALLOW', 5, 3, interval '1 day', clock_now()
  FROM new
)
INSERT INTO schedule_cursor (
  task, generation, last_instant, next_instant, next_fire_time, next_key, next_trigger, zone_data)
SELECT uid, 1, clock_now(), $2::timestamptz, $2, '1/bench:' || $2::timestamptz, 't0', $3 FROM new
"""
# All are due at one moment, or will be in weeks.
DUE_AT = """
UPDATE schedule_cursor
SET
  next_instant = $1::timestamptz, next_fire_time = $1, next_key = '1/bench:' || $1::timestamptz, next_trigger = 't0',
  last_instant = clock_now()
"""
UNPLANNED = "SELECT count(*) FROM schedule_cursor WHERE next_fire_time IS NULL OR next_fire_time <= $1"
CLAIMABLE = "SELECT count(*), max(pg_xact_commit_timestamp(xmin)) AS last FROM due_work WHERE scheduled_time = $1"
PLANNED = "SELECT max(pg_xact_commit_timestamp(xmin)) FROM schedule_cursor WHERE last_instant = $1"
NOT_YET_DUE = """
INSERT INTO due_work (id, project, task, task_name, task_version, owner, kind, trigger, occurrence, root, params, state,
  due_time, ready_time, priority, exclusive, max_losses, run_timeout, depth, create_time)
SELECT run, 'default', run, 'bench', 1, 'agents/admin', 'MANUAL', '', 'run:' || run, 'run:' || run, '{}', 'DELAYED',
  later, later, 5, false, 3, interval '1 day', 0, clock_now()
FROM (SELECT new_id() AS run, clock_now() + interval '30 days' AS later FROM generate_series(1, $1::int)) AS new
"""
STATEMENTS = "SELECT sum(calls)::float8 FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'"


def schedule_texts(count: int) -> list[str]:
    """Stored schedules: a third crons that tasks share, a third intervals, a third rules."""
    texts = []
    for number in range(count):
        started = f"2026-{number % 9 + 1:02}-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:{number % 59:02}"
        own = {"interval": f"{3600 + number % 7200}s"}
        rule = f"DTSTART:{started.replace('-', '').replace(':', '')}\nRRULE:FREQ=DAILY;INTERVAL={number % 5 + 1}"
        trigger = (SHARED[number % len(SHARED)], own, {"rrule": rule})[number % 3]
        schedule: dict[str, Any] = {"triggers": [{"id": "t0", **trigger}], "time_zone": ZONES[number % len(ZONES)]}
        if "interval" in trigger:
            schedule["start_time"] = f"{started}Z"
        texts.append(json.dumps(schedule))
    return texts


@dataclass
class Scheduler:
    """A scheduler process and the stores it works on; `async with scheduling(folder) as bench`."""

    connection: "asyncpg.Connection[Any]"
    postgres: EmbeddedPostgres
    environment: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Starts the process and waits until it is ready."""
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scheduler"), env=self.environment, stdout=asyncio.subprocess.PIPE
        )
        if self.process.stdout is None or not await self.process.stdout.readline():
            raise RuntimeError("the scheduler did not start")
        return self

    async def __aexit__(self, *_failure: object) -> None:
        """Stops the process."""
        if self.process is not None:
            self.process.terminate()
            await self.process.wait()

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far of the scheduler, and of PostgreSQL."""
        pid = self.process.pid if self.process is not None else 0
        return {"scheduler": cpu_seconds(pid), "PostgreSQL": cpu_seconds(self.postgres.pid)}

    async def create(self, count: int, later: str = "30 days") -> None:
        """So many tasks, all due at one moment that is that far away."""
        due = await self.connection.fetchval("SELECT clock_now() + $1::text::interval", later)
        for start in range(0, count, DUE):
            texts = schedule_texts(min(DUE, count - start))
            await self.connection.execute(TASKS, texts, due, ZONE_DATA_VERSION)
        await self.connection.execute("ANALYZE")


@asynccontextmanager
async def scheduling(folder: Path) -> AsyncIterator[Scheduler]:
    """An empty system of stores alone, with a scheduler that is not started yet."""
    settings = {"track_commit_timestamp": "on", "shared_preload_libraries": "pg_stat_statements"}
    async with (
        EmbeddedPostgres(folder / "postgres", settings=settings) as postgres,
        EmbeddedValkey(folder / "valkey") as valkey,
    ):
        await migrate(postgres.url)
        environment = {
            **os.environ,
            "ORDINAUT_DATABASE_URL": postgres.url,
            "ORDINAUT_REDIS_URL": valkey.url,
            "ORDINAUT_SCHEDULER_LISTEN": "127.0.0.1:0",
            "ORDINAUT_SCHEDULER_METRICS_PORT": "0",
            "ORDINAUT_LOG_LEVEL": "warning",
        }
        connection = await asyncpg.connect(postgres.url)
        try:
            await connection.execute("INSERT INTO project (name) VALUES ('default')")
            await connection.execute("CREATE EXTENSION pg_stat_statements")
            yield Scheduler(connection, postgres, environment)
        finally:
            await connection.close()


async def due_at_once(bench: Scheduler, count: int) -> tuple[float, float, dict[str, float]]:
    """Has all be due at one moment; seconds until the last is claimable and until all are planned; CPU seconds."""
    connection = bench.connection
    await connection.execute("TRUNCATE due_work, occurrence")
    await connection.execute("VACUUM ANALYZE schedule_cursor")
    due = await connection.fetchval("SELECT clock_now() + $1 * interval '1 second'", LEAD_SECONDS)
    await connection.execute(DUE_AT, due)
    await connection.execute("SELECT pg_notify('ordinaut', 'schedule')")  # as whoever changes a schedule does
    before = bench.cpu()
    await asyncio.sleep(LEAD_SECONDS)
    async with asyncio.timeout(LONGEST_SECONDS):
        while await connection.fetchval(UNPLANNED, due):  # noqa: ASYNC110 - looked at seldom: it costs the scheduler
            await asyncio.sleep(LOOK_SECONDS)
    after = bench.cpu()
    claimable = await connection.fetchrow(CLAIMABLE, due)
    if claimable is None or claimable["count"] < count * ENOUGH:
        raise RuntimeError("not all have become runs")
    seconds = [(last - due).total_seconds() for last in (claimable["last"], await connection.fetchval(PLANNED, due))]
    return seconds[0], seconds[1], {name: after[name] - before[name] for name in before}


async def advance(folder: Path) -> list[Row]:
    """Ten thousand due on one second, and how many are advanced a second when there are more."""
    async with scheduling(folder) as bench:
        await bench.create(DUE)
        async with bench:
            await due_at_once(bench, DUE)  # warm
            few = [await due_at_once(bench, DUE) for _ in range(ROUNDS)]
            await bench.create(MANY - DUE)
            many = [await due_at_once(bench, MANY) for _ in range(ROUNDS)]
    spent = {name: statistics.median(cpu[name] for *_, cpu in many) / MANY * 1e6 for name in many[0][2]}
    return [
        Row("10 000 due on one second, the last claimable after", statistics.median(f[0] for f in few), "s", 1, 0.1),
        Row("the same, all planned after", statistics.median(f[1] for f in few), "s"),
        Row(
            "schedules advanced (fired and planned)", MANY / statistics.median(f[1] for f in many), "/s",
            15_000, 40_000, rises=True,
        ),
        *(Row(f"CPU of an advance: {name}", micros, "µs") for name, micros in spent.items()),
    ]  # fmt: skip


async def idle(folder: Path) -> list[Row]:
    """What a million schedules cost that are due in weeks, and a claim among as many runs that are not due."""
    async with scheduling(folder) as bench:
        await bench.create(IDLE)
        await bench.connection.execute("VACUUM ANALYZE")
        async with bench:
            await asyncio.sleep(SETTLE_SECONDS)
            before, calls = bench.cpu(), await bench.connection.fetchval(STATEMENTS)
            await asyncio.sleep(IDLE_SECONDS)
            after, later = bench.cpu(), await bench.connection.fetchval(STATEMENTS)
        shares = {name: (after[name] - before[name]) / IDLE_SECONDS * 100 for name in before}
        polls = await empty_polls(bench.connection)
    return [
        Row("a million idle schedules: CPU of the scheduler", shares["scheduler"], "%", 2, 1),
        Row("the same: CPU of PostgreSQL", shares["PostgreSQL"], "%"),
        Row("the same: statements", (later - calls) / IDLE_SECONDS, "/s"),
        Row("empty claim with a million runs that are not due", statistics.median(polls) * 1000, "ms", 1, 0.3),
    ]


async def empty_polls(connection: "asyncpg.Connection[Any]") -> list[float]:
    """Seconds of each claim that finds nothing."""
    for _ in range(IDLE // 100_000):
        await connection.execute(NOT_YET_DUE, 100_000)
    await connection.execute("VACUUM ANALYZE due_work")
    holder, spent = uuid4(), []
    await lease.take(connection, lease=holder, host="bench", address="127.0.0.1:1", seconds=3600)
    for _ in range(POLLS):
        began = time.perf_counter()
        if await due_work.claim(connection, holder, {}, 100):
            raise RuntimeError("something was claimable")
        spent.append(time.perf_counter() - began)
    return spent


PARTS = {"advance": advance, "idle": idle}


async def rows(folder: Path) -> list[Row]:
    """Both, one after the other."""
    return [row for name, part in PARTS.items() for row in await part(folder / name)]


async def _main(names: list[str]) -> None:
    for name in names or list(PARTS):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            for row in await PARTS[name](Path(folder)):
                print(f"{row.what:60} {row.value:12,.3f} {row.unit:4} {row.verdict}")


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
