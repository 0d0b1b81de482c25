"""When zone data change, what is to come moves, what has fired stays, and nobody fights over it.

A scheduler process with changed zone data works beside this process, which has those of the package.
"""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from ordinaut.embedded.process import command
from ordinaut.store.hints import Hints
from ordinaut.store.tasks import cursor
from scheduler.firing.zone_upgrade import ZoneUpgrade
from scheduler.triggers.localtime.zone import ZONE_DATA_VERSION
from tests.integration.support.queue_rig import BEGINNING, Rig
from tests.integration.support.scheduler_rig import LoopRunner, ledger, settle
from tests.integration.support.zone_data import LATER, changed_zone_data
from tests.patience import PATIENCE

# Chisinau, which is two hours ahead of UTC in March, is said to be three hours ahead all year.
CHANGED = {"Europe/Chisinau": "Europe/Istanbul"}
HOUR = timedelta(hours=1)
OUTDATED = "SELECT count(*) FROM schedule_cursor WHERE zone_data < $1 AND next_instant IS NOT NULL AND NOT snoozed"
UNPLANNED = "SELECT count(*) FROM schedule_cursor WHERE next_fire_time IS NULL"

EARLIER = """
INSERT INTO occurrence (project, task, key, trigger, instant, outcome, create_time)
VALUES ('default', $1, '1/cron:20260302T151500', 't0', '2026-03-02T11:15:00Z', 'ENQUEUED', clock_now())
"""


@asynccontextmanager
async def newer_scheduler(rig: Rig, folder: Path, redis_url: str) -> AsyncIterator[Path]:
    """A scheduler with the changed zone data; where it writes its log."""
    environment = changed_zone_data(folder, CHANGED) | {
        "ORDINAUT_DATABASE_URL": rig.settings.database_url,
        "ORDINAUT_REDIS_URL": redis_url,
        "ORDINAUT_SCHEDULER_LISTEN": "127.0.0.1:0",
        "ORDINAUT_SCHEDULER_METRICS_PORT": "0",
    }
    log = folder / "scheduler.log"
    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            *command([sys.executable, "-m", "scheduler"], signal.SIGKILL),
            env=environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=written,
        )
    try:
        yield log
        assert process.returncode is None
    finally:
        process.kill()
        await process.wait()


async def renewed(rig: Rig) -> None:
    """Waits until the newer scheduler has planned everything."""
    async with asyncio.timeout(PATIENCE):
        while await rig.value(OUTDATED, LATER) or await rig.value(UNPLANNED):
            await asyncio.sleep(0.05)


async def coming(rig: Rig, task: UUID) -> tuple[datetime, datetime, int]:
    [row] = await rig.rows("SELECT next_instant, next_fire_time, generation FROM schedule_cursor WHERE task = $1", task)
    return tuple(row)


def at(hour: int, day: int = 2) -> datetime:
    """In UTC."""
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def moved(log: Path) -> dict[str, tuple[str, str]]:
    """What the log tells of cursors that were moved: from where to where."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return {
        line["task"]: (line["old"], line["new"]) for line in lines if line["event"] == "occurrences_moved_by_zone_data"
    }


@pytest.fixture
def runner(rig: Rig) -> LoopRunner:
    """A scheduler with the package's own zone data."""
    return LoopRunner(rig.database, rig.settings)


async def test_future_instants_move_unless_they_are_independent_of_zones(
    rig: Rig, runner: LoopRunner, tmp_path: Path, redis_url: str
) -> None:
    await rig.turn_clock(hours=-2)
    soon = await rig.task({"cron": "30 14 * * *"}, start_time=at(0).isoformat())
    await settle(rig, runner)
    await rig.turn_clock(hours=2)
    daily = await rig.task({"cron": "0 20 * * *"})
    last = await rig.task({"rrule": "DTSTART:20260228T090000\nRRULE:FREQ=DAILY;COUNT=4"})
    excluded = await rig.task({"interval": "3600s"}, exclusions=[{"date": "2026-03-03"}])
    every_hour = await rig.task({"interval": "3600s"}, time_zone="UTC")
    elsewhere = await rig.task({"cron": "0 20 * * *"}, time_zone="Asia/Tokyo")
    snoozed = await rig.task({"cron": "0 20 * * *"})
    paused = await rig.task({"cron": "0 20 * * *"})
    await settle(rig, runner)
    async with rig.database.transaction() as connection:
        await cursor.snooze(connection, snoozed, at(21))
        await cursor.pause(connection, paused)
    assert await coming(rig, daily) == (at(18), at(18), 1)
    assert await coming(rig, last) == (at(7, day=3), at(7, day=3), 1)
    unmoved = [await coming(rig, task) for task in (every_hour, elsewhere, snoozed, paused)]
    async with newer_scheduler(rig, tmp_path, redis_url) as log:
        await renewed(rig)
        assert await coming(rig, daily) == (at(17), at(17), 1)
        assert await coming(rig, last) == (at(6, day=3), at(6, day=3), 1)
        assert [await coming(rig, task) for task in (every_hour, elsewhere, snoozed, paused)] == unmoved
        async with asyncio.timeout(PATIENCE):  # 14:30 was to come in half an hour, and is half an hour ago: caught up
            while not await ledger(rig, soon):
                await asyncio.sleep(0.05)
        assert await ledger(rig, soon) == [(at(11) + HOUR / 2, "ENQUEUED", 1)]
        told = moved(log)
    assert told[str(daily)] == (str(at(18)), str(at(17)))
    assert not {str(task) for task in (every_hour, elsewhere, snoozed, paused, excluded)} & told.keys()
    assert await rig.value("SELECT zone_data FROM installation") == LATER


async def test_a_fired_occurrence_does_not_fire_again_when_new_data_move_it_into_the_future(
    rig: Rig, runner: LoopRunner, tmp_path: Path, redis_url: str
) -> None:
    task = await rig.task({"cron": "15 15 * * *"})
    await settle(rig, runner)
    await rig.execute(EARLIER, task)  # at 12:15 UTC it will be 15:15 for the first time, but it has been already
    async with newer_scheduler(rig, tmp_path, redis_url):
        await renewed(rig)
    assert (await coming(rig, task))[0] == at(12, day=3) + HOUR / 4, "the next day's, because this day's has its row"


async def test_schedulers_with_different_zone_data_do_not_overwrite_each_other(
    rig: Rig, runner: LoopRunner, tmp_path: Path, redis_url: str
) -> None:
    task = await rig.task({"cron": "0 * * * *"}, {"cron": "30 20 * * *"})
    slow = await rig.task({"cron": "0 20 * * *"})
    await settle(rig, runner)
    older = ZoneUpgrade(rig.database, Hints(rig.database))
    async with newer_scheduler(rig, tmp_path, redis_url) as log:
        await renewed(rig)
        kept = await coming(rig, slow)
        assert not await older.run_once(), "what newer data have planned is not planned by older ones"
        for _ in range(3):
            await rig.turn_clock(hours=1)
            await settle(rig, runner)  # the older one may fire and plan as well
            await renewed(rig)
            assert not await older.run_once()
        assert await coming(rig, slow) == kept == (at(17), at(17), 1)
        written = log.read_text()
    assert "Traceback" not in written
    fired = [instant for instant, *_ in await ledger(rig, task)]
    assert fired == [BEGINNING + number * HOUR for number in (1, 2, 3)]
    assert ZONE_DATA_VERSION < LATER
