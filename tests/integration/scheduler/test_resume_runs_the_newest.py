"""A resumed task runs the newest moment of its pause where that is asked for, and records the others."""

from datetime import timedelta
from uuid import UUID

import pytest

from ordinaut.store.tasks import cursor
from tests.integration.support.queue_rig import BEGINNING, Rig
from tests.integration.support.scheduler_rig import LoopRunner, ledger, settle

MINUTE = timedelta(minutes=1)


@pytest.fixture
def runner(rig: Rig) -> LoopRunner:
    return LoopRunner(rig.database, rig.settings)


async def pause(rig: Rig, runner: LoopRunner, task: UUID, *, minutes: float, run_newest: bool = True) -> None:
    """A pause of so long, and what the scheduler makes of its end."""
    await settle(rig, runner)
    async with rig.database.transaction() as connection:
        await cursor.pause(connection, task)
    await rig.turn_clock(minutes=minutes)
    async with rig.database.transaction() as connection:
        await cursor.resume(connection, task, run_newest=run_newest)
    await settle(rig, runner)


async def minutes(rig: Rig, task: UUID) -> list[tuple[int, str, int]]:
    return [((instant - BEGINNING) // MINUTE, outcome, count) for instant, outcome, count in await ledger(rig, task)]


async def test_the_newest_runs_and_the_others_are_recorded(rig: Rig, runner: LoopRunner) -> None:
    task = await rig.task({"interval": "60s"}, catch_up={"policy": "NONE"})
    await pause(rig, runner, task, minutes=500.9)
    assert await minutes(rig, task) == [(1, "PAUSED", 499), (500, "ENQUEUED", 1)]
    row = (await rig.rows("SELECT scheduled_time, latest_start FROM due_work"))[0]
    assert row["scheduled_time"] == BEGINNING + 500 * MINUTE
    await rig.turn_clock(seconds=6)
    await settle(rig, runner)
    assert await minutes(rig, task) == [(1, "PAUSED", 499), (500, "ENQUEUED", 1), (501, "ENQUEUED", 1)]


async def test_more_than_one_transaction_holds(rig: Rig, runner: LoopRunner) -> None:
    task = await rig.task({"interval": "60s"})
    await pause(rig, runner, task, minutes=2300.5)
    assert await minutes(rig, task) == [
        (1, "PAUSED", 1000), (1001, "PAUSED", 1000), (2001, "PAUSED", 299), (2300, "ENQUEUED", 1),
    ]  # fmt: skip


async def test_excluded_days_are_not_the_newest(rig: Rig, runner: LoopRunner) -> None:
    task = await rig.task({"cron": "0 0,12 * * *"}, time_zone="UTC", exclusions=[{"date": "2026-03-04"}])
    await pause(rig, runner, task, minutes=60 * 24 * 2 + 60)
    assert [(instant.day, instant.hour, outcome) for instant, outcome, _ in await ledger(rig, task)] == [
        (3, 0, "PAUSED"), (3, 12, "ENQUEUED"), (4, 0, "EXCLUDED"),
    ]  # fmt: skip
    assert await rig.value("SELECT sum(count) FROM occurrence") == 4


@pytest.mark.parametrize(("pause_minutes", "run_newest"), [(0.5, True), (3.5, False)])
async def test_nothing_runs_without_an_instant_or_the_option(
    rig: Rig, runner: LoopRunner, pause_minutes: float, run_newest: bool
) -> None:
    task = await rig.task({"interval": "60s"})
    await pause(rig, runner, task, minutes=pause_minutes, run_newest=run_newest)
    assert "ENQUEUED" not in {outcome for _, outcome, _ in await minutes(rig, task)}
    assert await rig.value("SELECT next_fire_time > clock_now() FROM schedule_cursor")


async def test_the_newest_instant_runs_even_when_it_is_fired_late(rig: Rig, runner: LoopRunner) -> None:
    task = await rig.task({"interval": "60s"}, catch_up={"policy": "NONE"})
    await settle(rig, runner)
    async with rig.database.transaction() as connection:
        await cursor.pause(connection, task)
    await rig.turn_clock(minutes=2, seconds=30)
    async with rig.database.transaction() as connection:
        await cursor.resume(connection, task, run_newest=True)
    while await runner.loops["plan"]():
        pass
    await rig.turn_clock(seconds=20)
    await settle(rig, runner)
    assert await minutes(rig, task) == [(1, "PAUSED", 1), (2, "ENQUEUED", 1)]
