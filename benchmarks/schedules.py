"""Many schedules due at one instant: the delay until they are runs, and schedules advanced per second.

The times are PostgreSQL's commit times (`track_commit_timestamp`), so that the measurement hardly queries the system
while the scheduler works.
"""

import asyncio
import statistics
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.harness.targets import Row
from benchmarks.scheduler_system import Scheduler, scheduler_system

ROUNDS = 3
FEW = 10_000
MANY = 20_000
POLL_SECONDS = 0.05
LEAD_SECONDS = 1.5  # from the change of the schedules to the instant at which they are due
# More than five seconds late, the remaining schedules are handled by catch-up, which is slower.
LIMIT_SECONDS = 60.0
MIN_FIRED = 0.95  # fraction; the others were due by their own schedule shortly before
DUE_AT = """
UPDATE schedule_cursor
SET
  next_instant = $1::timestamptz, next_fire_time = $1, next_key = '1/bench:' || $1::timestamptz, next_trigger = 't0',
  last_instant = clock_now()
"""
UNPLANNED = "SELECT count(*) FROM schedule_cursor WHERE next_fire_time IS NULL OR next_fire_time <= $1"
CLAIMABLE = "SELECT count(*), max(pg_xact_commit_timestamp(xmin)) FROM due_work WHERE scheduled_time = $1"
PLANNED = "SELECT max(pg_xact_commit_timestamp(xmin)) FROM schedule_cursor WHERE last_instant = $1"


@dataclass(frozen=True)
class Advance:
    """Seconds from the due time until the last run was claimable and the last schedule planned; CPU seconds spent."""

    claimable_seconds: float
    planned_seconds: float
    cpu_seconds: dict[str, float]


async def advance(bench: Scheduler, count: int) -> Advance:
    """Makes all `count` schedules due at one instant and waits until their next instants are planned.

    Raises:
        RuntimeError: it takes longer than LIMIT_SECONDS, or too few schedules became runs.
    """
    connection = bench.connection
    await connection.execute("TRUNCATE due_work, occurrence")
    await connection.execute("VACUUM ANALYZE schedule_cursor")
    due = await connection.fetchval("SELECT clock_now() + $1 * interval '1 second'", LEAD_SECONDS)
    await connection.execute(DUE_AT, due)
    await connection.execute("SELECT pg_notify('ordinaut', 'schedule')")  # as a change of a schedule does
    before = bench.cpu()
    await asyncio.sleep(LEAD_SECONDS)
    await _wait_until_planned(bench, due)
    after = bench.cpu()
    claimable, claimable_time = await connection.fetchrow(CLAIMABLE, due) or (0, due)
    if claimable < count * MIN_FIRED:
        raise RuntimeError(f"at least {count * MIN_FIRED:.0f} schedules must become runs (got {claimable})")
    planned_time = await connection.fetchval(PLANNED, due)
    cpu = {name: after[name] - before[name] for name in before}
    return Advance((claimable_time - due).total_seconds(), (planned_time - due).total_seconds(), cpu)


async def _wait_until_planned(bench: Scheduler, due: datetime) -> None:
    unplanned = 0
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            while unplanned := await bench.connection.fetchval(UNPLANNED, due):  # noqa: ASYNC110 - a notification costs
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise RuntimeError(f"{unplanned} schedules are not planned {LIMIT_SECONDS:g} s after their due time") from None


async def rows(folder: Path) -> AsyncGenerator[Row, None]:
    """The delay with 10 000 schedules, then the rate with more."""
    async with scheduler_system(folder) as bench:
        await bench.create_tasks(FEW)
        async with bench:
            await advance(bench, FEW)  # warm-up
            for row in delays([await advance(bench, FEW) for _ in range(ROUNDS)]):
                yield row
            await bench.create_tasks(MANY - FEW)
            for row in rates([await advance(bench, MANY) for _ in range(ROUNDS)]):
                yield row


def delays(rounds: Sequence[Advance]) -> list[Row]:
    """Medians with FEW schedules."""
    claimable = statistics.median(each.claimable_seconds for each in rounds)
    planned = statistics.median(each.planned_seconds for each in rounds)
    return [
        Row("10 000 schedules due at once, all claimable after", claimable, "s", 1, 0.1),
        Row("10 000 schedules due at once, all planned after", planned, "s"),
    ]


def rates(rounds: Sequence[Advance]) -> list[Row]:
    """Medians with MANY schedules."""
    rate = MANY / statistics.median(each.planned_seconds for each in rounds)
    result = [Row("schedules advanced (fired and planned)", rate, "/s", 15_000, 40_000, higher_is_better=True)]
    for name in rounds[0].cpu_seconds:
        seconds = statistics.median(each.cpu_seconds[name] for each in rounds)
        result.append(Row(f"CPU per advanced schedule, {name}", seconds / MANY * 1e6, "µs"))
    return result
