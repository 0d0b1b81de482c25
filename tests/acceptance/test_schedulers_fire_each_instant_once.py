"""Several schedulers on one database: whatever is done to them, each instant has one outcome and at most one run.

The suite takes 200 schedules for some seconds; `ORDINAUT_TEST_SCHEDULES=2000 ORDINAUT_TEST_SECONDS=120` is a long run.
`ORDINAUT_TEST_SEED` repeats a run whose seed was printed.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
from google.protobuf import json_format

from ordinaut.client import Client
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import BatchCreateTasksRequest, CreateTaskRequest
from tests.acceptance.mixed_schedules import Expected, mixed
from tests.acceptance.scheduler_replicas import Schedulers
from tests.acceptance.system import SystemUnderTest
from tests.sample import amount

SECONDS = amount("ORDINAUT_TEST_SECONDS", 6, 12)
SCHEDULES = amount("ORDINAUT_TEST_SCHEDULES", 200, 600)
SEED = int(os.environ.get("ORDINAUT_TEST_SEED", "20261025"))
REPLICAS = 3
SETTLE_SECONDS = 90.0
LOOK_SECONDS = 0.1
BATCH = 500
BEYOND_THE_WINDOW_SECONDS = 6.0  # what is later than five seconds is not fired but caught up
LEAD = timedelta(seconds=3)
# The moment at which Europe sets its clocks back: hours and days begin, and an hour is repeated.
BEGIN = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
END = BEGIN + timedelta(seconds=SECONDS)
PIPELINE = {"version": 1, "steps": [{"id": "s", "uses": "orchestrator.set", "with": {}}]}
CLOCK = """
CREATE OR REPLACE FUNCTION clock_now() RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN clock_timestamp() + interval '{seconds} seconds';
END $$
"""
BEHIND = "SELECT count(*) FROM schedule_cursor WHERE next_fire_time IS NULL OR next_fire_time < $1"
LEDGER = """
SELECT t.name AS task, o.key, o.instant, o.last_instant, o.count, o.outcome, o.run
FROM occurrence AS o JOIN task AS t ON t.uid = o.task
WHERE o.instant < $1
ORDER BY t.name, o.instant
"""
RUNS = """
SELECT task_name AS task, scheduled_time AS instant FROM due_work WHERE scheduled_time < $1
UNION ALL
SELECT task_name, scheduled_time FROM run WHERE scheduled_time < $1
"""


async def set_clock(connection: "asyncpg.Connection[Any]", moment: datetime) -> None:
    """The database's clock goes on from there; no other clock is touched."""
    ahead = moment - await connection.fetchval("SELECT clock_timestamp()")
    await connection.execute(CLOCK.format(seconds=ahead.total_seconds()))


async def create(client: Client, expected: Mapping[str, Expected]) -> None:
    """A task for each schedule; every fourth may not overlap with itself."""
    requests = []
    for number, (task, one) in enumerate(expected.items()):
        policy = {} if number % 4 == 0 else {"overlap": {"policy": "ALLOW"}}
        document = {"pipeline": PIPELINE, "schedule": one.schedule, "run_policy": policy}
        requests.append(CreateTaskRequest(task=json_format.ParseDict(document, Task()), task_id=task))
    for start in range(0, len(requests), BATCH):
        await client.tasks.BatchCreateTasks(BatchCreateTasksRequest(requests=requests[start : start + BATCH]))


async def nemesis(schedulers: Schedulers, system: SystemUnderTest, random: Random) -> Counter[str]:
    """A scheduler is stopped, PostgreSQL is killed, everything sleeps; all along, schedulers are killed."""
    done: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS

    async def kill() -> None:
        while loop.time() < end:
            await asyncio.sleep(random.random() * 2)
            await schedulers.kill(random.randrange(REPLICAS))
            done["schedulers killed"] += 1

    async def disturb() -> None:
        while loop.time() < end:
            await schedulers.stop(random.randrange(REPLICAS), BEYOND_THE_WINDOW_SECONDS)
            await system.kill("postgres")
            await asyncio.sleep(random.random() * 2)
            await schedulers.suspend(BEYOND_THE_WINDOW_SECONDS)
            done["rounds of a stop, a crash of PostgreSQL, a sleep"] += 1

    await asyncio.gather(kill(), disturb())
    return done


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection, also to a server that is still recovering."""
    async with asyncio.timeout(SETTLE_SECONDS):
        while True:
            try:
                connection = await asyncpg.connect(url)
            except (OSError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(LOOK_SECONDS)
            else:
                break
    try:
        yield connection
    finally:
        await connection.close()


async def settled(url: str) -> None:
    """Waits until every cursor has passed the end."""
    async with asyncio.timeout(SETTLE_SECONDS), connected(url) as connection:
        while await connection.fetchval(BEHIND, END):
            await asyncio.sleep(LOOK_SECONDS)


def accounted(expected: Expected, rows: Sequence[Any]) -> Counter[str]:
    """One task's ledger is the oracle's list, each instant in one row; the outcomes."""
    outcomes: Counter[str] = Counter()
    place = 0
    for row in rows:
        stands_for = expected.instants[place : place + row["count"]]
        assert stands_for, (expected.schedule, dict(row), "more than the oracle has")
        first, last = row["instant"], row["last_instant"] or row["instant"]
        assert first == stands_for[0], (expected.schedule, dict(row))
        if last < END:
            assert (last, row["count"]) == (stands_for[-1], len(stands_for)), (expected.schedule, dict(row))
        place += len(stands_for)
        outcomes[row["outcome"]] += len(stands_for)
    assert place == len(expected.instants), (expected.schedule, "less than the oracle has")
    return outcomes


async def test_the_ledger_is_the_oracles_list_whatever_was_killed(tmp_path: Path) -> None:
    random = Random(SEED)
    expected = {f"t{number:05}": one for number, one in enumerate(mixed(SCHEDULES, BEGIN, END, random))}
    async with SystemUnderTest(tmp_path / "data") as system, Schedulers(system, tmp_path, REPLICAS - 1) as schedulers:
        url = system.said["database_url"]
        async with connected(url) as connection, system.client() as client:
            await set_clock(connection, BEGIN - timedelta(hours=2))
            await create(client, expected)
            await set_clock(connection, BEGIN - LEAD)
        done = await nemesis(schedulers, system, random)
        await settled(url)
        async with connected(url) as connection:
            ledger = await connection.fetch(LEDGER, END)
            runs = Counter((row["task"], row["instant"]) for row in await connection.fetch(RUNS, END))
    rows: dict[str, list[Any]] = {task: [] for task in expected}
    for row in ledger:
        rows[row["task"]].append(row)
    outcomes = sum((accounted(one, rows[task]) for task, one in expected.items()), Counter[str]())
    assert sum(outcomes.values()) == sum(len(one.instants) for one in expected.values())
    assert set(outcomes) <= {"ENQUEUED", "SKIPPED_OVERLAP", "COALESCED", "MISSED"}
    assert runs == Counter((row["task"], row["instant"]) for row in ledger if row["outcome"] == "ENQUEUED")
    assert max(runs.values()) == 1, "an occurrence has at most one run"
    print(f"{SCHEDULES} schedules, {SECONDS} s, {dict(done)}: {dict(outcomes)}, seed {SEED}")
