"""Cost of a million schedules and of a million delayed runs of which none is due."""

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from benchmarks.harness.targets import Row
from benchmarks.scheduler_system import scheduler_system
from ordinaut.store.queue import due_work_claim, lease

COUNT = 1_000_000
BATCH = 100_000
SETTLE_SECONDS = 3.0
IDLE_SECONDS = 20.0
CLAIMS = 500
NOT_YET_DUE = """
INSERT INTO due_work (id, project, task, task_name, task_version, owner, kind, trigger, occurrence, root, params, state,
  due_time, ready_time, priority, exclusive, max_losses, run_timeout, depth, create_time)
SELECT run, 'default', run, 'bench', 1, 'agents/admin', 'MANUAL', '', 'run:' || run, 'run:' || run, '{}', 'DELAYED',
  later, later, 5, false, 3, interval '1 day', 0, clock_now()
FROM (SELECT new_id() AS run, clock_now() + interval '30 days' AS later FROM generate_series(1, $1::int)) AS new
"""
STATEMENTS = "SELECT sum(calls)::float8 FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'"


async def rows(folder: Path) -> AsyncGenerator[Row, None]:
    """CPU and statements of an idle scheduler, then the time of a claim without result."""
    async with scheduler_system(folder) as bench:
        await bench.create_tasks(COUNT)
        await bench.connection.execute("VACUUM ANALYZE")
        async with bench:
            await asyncio.sleep(SETTLE_SECONDS)
            cpu_before, calls_before = bench.cpu(), await bench.connection.fetchval(STATEMENTS)
            await asyncio.sleep(IDLE_SECONDS)
            cpu_after, calls_after = bench.cpu(), await bench.connection.fetchval(STATEMENTS)
        shares = {name: (cpu_after[name] - cpu_before[name]) / IDLE_SECONDS * 100 for name in cpu_before}
        yield Row("million idle schedules, CPU of the scheduler", shares["scheduler"], "%", 2, 1)
        yield Row("million idle schedules, CPU of PostgreSQL", shares["PostgreSQL"], "%")
        yield Row("million idle schedules, statements", (calls_after - calls_before) / IDLE_SECONDS, "/s")
        claims = await empty_claims(bench.connection)
        yield Row("empty claim, million delayed runs, p50", statistics.median(claims) * 1000, "ms", 1, 0.3)


async def empty_claims(connection: "asyncpg.Connection[Any]") -> list[float]:
    """Seconds of each of CLAIMS claims while all runs in the queue are delayed.

    Raises:
        RuntimeError: a claim returned a run.
    """
    for _ in range(COUNT // BATCH):
        await connection.execute(NOT_YET_DUE, BATCH)
    await connection.execute("VACUUM ANALYZE due_work")
    holder, samples = uuid4(), []
    await lease.take(connection, lease=holder, host="bench", address="127.0.0.1:1", seconds=3600)
    for _ in range(CLAIMS):
        start = time.perf_counter()
        claims = await due_work_claim.claim(connection, holder, {}, 100)
        samples.append(time.perf_counter() - start)
        if claims:
            raise RuntimeError(f"a claim must return no delayed run (got {len(claims)} runs)")
    return samples
