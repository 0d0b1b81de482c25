"""A scheduler process with PostgreSQL and Valkey but without the other services, and many tasks for it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import asyncpg

from benchmarks.usage import cpu_seconds
from ordinaut.embedded.postgres import EmbeddedPostgres
from ordinaut.embedded.valkey import EmbeddedValkey
from ordinaut.store.migrate import migrate
from scheduler.triggers.localtime.zone import ZONE_DATA_VERSION

BATCH = 10_000  # tasks per statement
ZONES = ("Europe/Chisinau", "America/New_York", "Asia/Kathmandu", "Australia/Sydney", "UTC")
# A third of the tasks share these schedules; the others have one each, because the creation time is part of it.
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
  INSERT INTO task_version (task, version, pipeline, tools, scopes, schedule, run_policy, params, overlap, priority,
    max_losses, run_timeout, create_time)
  SELECT uid, 1, '{"version": 1, "steps": []}', '{}', '{admin}', schedule, '{}', '{}', 'ALLOW', 5, 3, interval '1 day',
    clock_now()
  FROM new
)
INSERT INTO schedule_cursor (
  task, generation, last_instant, next_instant, next_fire_time, next_key, next_trigger, zone_data)
SELECT uid, 1, clock_now(), $2::timestamptz, $2, '1/bench:' || $2::timestamptz, 't0', $3 FROM new
"""


def schedule_texts(count: int) -> list[str]:
    """Stored schedules as JSON: a third shared cron triggers, a third intervals, a third recurrence rules."""
    texts = []
    for number in range(count):
        start = f"2026-{number % 9 + 1:02}-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:{number % 59:02}"
        interval = {"interval": f"{3600 + number % 7200}s"}
        rule = f"DTSTART:{start.replace('-', '').replace(':', '')}\nRRULE:FREQ=DAILY;INTERVAL={number % 5 + 1}"
        trigger = (SHARED[number % len(SHARED)], interval, {"rrule": rule})[number % 3]
        schedule: dict[str, Any] = {"triggers": [{"id": "t0", **trigger}], "time_zone": ZONES[number % len(ZONES)]}
        if "interval" in trigger:
            schedule["start_time"] = f"{start}Z"
        texts.append(json.dumps(schedule))
    return texts


@dataclass
class Scheduler:
    """A scheduler process, started by `async with`, and the stores it works on."""

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
            raise RuntimeError("the scheduler ended before it was ready")
        return self

    async def __aexit__(self, *_failure: object) -> None:
        """Stops the process."""
        if self.process is not None:
            if self.process.returncode is None:
                self.process.terminate()
            await self.process.wait()

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far, of the scheduler and of PostgreSQL."""
        if self.process is None:
            raise RuntimeError("the scheduler is not started")
        return {"scheduler": cpu_seconds(self.process.pid), "PostgreSQL": cpu_seconds(self.postgres.pid)}

    async def create_tasks(self, count: int, due_in: str = "30 days") -> None:
        """Adds tasks that are all due at the same instant; `due_in` is a PostgreSQL interval."""
        due = await self.connection.fetchval("SELECT clock_now() + $1::text::interval", due_in)
        for start in range(0, count, BATCH):
            texts = schedule_texts(min(BATCH, count - start))
            await self.connection.execute(TASKS, texts, due, ZONE_DATA_VERSION)
        await self.connection.execute("ANALYZE")


@asynccontextmanager
async def scheduler_system(folder: Path) -> AsyncIterator[Scheduler]:
    """Empty stores, and a scheduler that is not started yet."""
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
