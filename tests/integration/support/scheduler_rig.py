"""Schedulers without processes: their loops, driven by the test, and the expected ledger."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

import asyncpg

from ordinaut.settings import StoreSettings
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.hints import Hints
from scheduler.__main__ import periodic_loops
from scheduler.conditions.judge import new_pool
from scheduler.maintenance.release_blocked import ReleaseBlocked
from scheduler.schedules.schedule import CompiledSchedule
from scheduler.settings import SchedulerSettings
from tests.integration.support.queue_rig import Rig
from tests.patience import PATIENCE

LOOK_SECONDS = 0.005  # how often the nemesis counts transactions: PostgreSQL does not tell of them
BETWEEN_HARM = (2, 40)  # transactions
TRANSACTIONS = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
OTHERS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND query NOT LIKE '%test_clock%'
"""
UNSETTLED = """
SELECT (SELECT count(*) FROM unsettled_range)
  + (SELECT count(*) FROM schedule_cursor WHERE next_fire_time IS NULL OR next_fire_time <= clock_now())
"""


class LoopRunner:
    """One scheduler's loops for time triggers, run when the test calls them."""

    def __init__(self, database: Database, settings: StoreSettings, *, fire_batch: int = 1000) -> None:
        scheduler_settings = SchedulerSettings(database_url=settings.database_url, fire_batch=fire_batch)
        clock: Any = _NoAlarms()
        stream: Any = NoStream()
        made = periodic_loops(database, stream, Hints(database), clock, scheduler_settings, new_pool())
        self.loops = {loop.name: loop.run_once for loop in made}

    async def once(self) -> None:
        """Runs each loop until it has no work left."""
        for name in ("catch_up", "unsettled_ranges", "fire", "plan"):
            while await self.loops[name]():
                pass

    async def backfill(self) -> None:
        """Moves backfills on until none may enqueue."""
        while await self.loops["backfill"]():
            pass


class NoStream:
    """Redis that is away."""

    async def newest(self) -> int:
        raise ConnectionError("no Redis")

    async def append(self, *_arguments: Any) -> bool:
        """Fails."""
        raise ConnectionError("away")


class _NoAlarms:
    def alarm(self, *_arguments: Any) -> None:
        """The test is the clock."""


@asynccontextmanager
async def schedulers(rig: Rig, count: int, *, fire_batch: int = 1000) -> AsyncIterator[list[LoopRunner]]:
    """Some schedulers, each with connections of its own."""
    pools = [await Database.open(rig.settings) for _ in range(count)]
    try:
        yield [LoopRunner(pool, rig.settings, fire_batch=fire_batch) for pool in pools]
    finally:
        for pool in pools:
            await pool.close()


async def settle(rig: Rig, *runners: LoopRunner, lives: Callable[[], float | None] = lambda: None) -> None:
    """Has the schedulers work at once until nothing is due and nothing unplanned.

    `lives` says after how many seconds one is killed in the middle of whatever it does.
    """

    async def work(runner: LoopRunner) -> None:
        try:
            async with asyncio.timeout(lives()):
                await runner.once()
        except STORE_FAILURES:
            await asyncio.sleep(0)  # as a loop does: it retries

    async with asyncio.timeout(PATIENCE):
        while await rig.value(UNSETTLED):
            await asyncio.gather(*(work(runner) for runner in runners))


@asynccontextmanager
async def nemesis(rig: Rig, chance: Random) -> AsyncIterator[None]:
    """Terminates the connection of one of the others, at random, after every few transactions.

    The work that is done sets the pace, not the time: on a machine that is busy nothing would ever be finished.
    """
    own = await asyncpg.connect(rig.settings.database_url)

    async def harm() -> None:
        while True:
            end = await own.fetchval(TRANSACTIONS) + chance.randrange(*BETWEEN_HARM)
            while await own.fetchval(TRANSACTIONS) < end:
                await asyncio.sleep(LOOK_SECONDS)
            if backends := await own.fetch(OTHERS):
                await own.execute("SELECT pg_terminate_backend($1)", chance.choice(backends)["pid"])

    task = asyncio.create_task(harm())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await own.close()


async def in_spite(work: Callable[[], Awaitable[Any]]) -> None:
    """Repeats what the nemesis broke of the test's own doing."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await work()
            except STORE_FAILURES:
                await asyncio.sleep(0)
            else:
                return


async def release_blocked(rig: Rig) -> None:
    """Has a scheduler give the turns of runs that wait for them, until no more are to be had."""
    turns = ReleaseBlocked(rig.database, Hints(rig.database))
    while await turns.run_once():
        pass


def instants(schedule: dict[str, Any], after: datetime, until: datetime) -> list[datetime]:
    """The oracle: every instant of a stored schedule in (after, until]."""
    compiled = CompiledSchedule.compile(schedule)
    found: list[datetime] = []
    instant, state = compiled.next(after)
    while instant is not None and instant.time <= until:
        found.append(instant.time)
        instant, state = compiled.next(instant.time, state)
    return found


def open_instants(schedule: CompiledSchedule, after: datetime, until: datetime) -> list[datetime]:
    """The oracle for what is to run: every instant in (after, until] that is not excluded."""
    found: list[datetime] = []
    instant, state = schedule.next_open(after)
    while instant is not None and instant.time <= until:
        found.append(instant.time)
        instant, state = schedule.next_open(instant.time, state)
    return found


async def ledger(rig: Rig, task: UUID) -> list[tuple[datetime, str, int]]:
    """A task's occurrences by time: when, what became of them, how many stand in the row."""
    rows = await rig.rows(
        "SELECT instant, outcome, count FROM occurrence WHERE task = $1 ORDER BY instant, create_time", task
    )
    return [tuple(row) for row in rows]
