"""Exclusions, jitter, limits and catch-up in the database: each instant gets its one outcome."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from ordinaut.store.hints import Hints
from ordinaut.store.tasks import cursor
from scheduler.firing.catch_up import CatchUp
from scheduler.metrics import UNFIRED
from tests.integration.support.queue_rig import BEGINNING, Rig
from tests.integration.support.scheduler_rig import LoopRunner, ledger, release_blocked, settle

MINUTE = timedelta(minutes=1)
EVERY_MINUTE = {"interval": "60s"}


async def runs(rig: Rig, task: UUID) -> list[datetime]:
    """The due moments of the task's live runs."""
    found = await rig.rows("SELECT scheduled_time FROM due_work WHERE task = $1 ORDER BY scheduled_time", task)
    return [row["scheduled_time"] for row in found]


async def test_excluded_instants_are_recorded_in_time_and_never_run(rig: Rig) -> None:
    """One row each as they pass, beside the runs of the other days."""
    task = await rig.task({"cron": "0 */8 * * *"}, exclusions=[{"date": "2026-03-03"}], time_zone="UTC")
    runner = LoopRunner(rig.database, rig.settings)
    before = UNFIRED.labels("EXCLUDED")._value.get()
    for _ in range(7):
        await settle(rig, runner)
        await rig.turn_clock(hours=4)
        await settle(rig, runner)
        await rig.turn_clock(hours=4)
        await settle(rig, runner)
    outcomes = [(instant.strftime("%d %H"), outcome, count) for instant, outcome, count in await ledger(rig, task)]
    assert outcomes == [
        ("02 16", "ENQUEUED", 1), ("03 00", "EXCLUDED", 1), ("03 08", "EXCLUDED", 1), ("03 16", "EXCLUDED", 1),
        ("04 00", "ENQUEUED", 1), ("04 08", "ENQUEUED", 1), ("04 16", "ENQUEUED", 1),
    ]  # fmt: skip
    assert await rig.value("SELECT count(*) FROM due_work") == 4
    assert UNFIRED.labels("EXCLUDED")._value.get() - before == 3


async def test_missed_instants_of_excluded_days_are_excluded(rig: Rig) -> None:
    """Catch-up tells them apart, and neither coalesces into nor runs an excluded one."""
    task = await rig.task({"cron": "0 * * * *"}, exclusions=[{"date": "2026-03-03"}], time_zone="UTC")
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.turn_clock(hours=20)  # 3 March, 08:00
    await settle(rig, runner)
    found = await ledger(rig, task)
    assert [(outcome, count) for _, outcome, count in found] == [("COALESCED", 10), ("ENQUEUED", 1), ("EXCLUDED", 9)]
    await rig.turn_clock(hours=16, minutes=30)
    await settle(rig, runner)
    assert (await ledger(rig, task))[-2:] == [
        (BEGINNING + timedelta(hours=21), "EXCLUDED", 15),
        (BEGINNING + timedelta(hours=36), "ENQUEUED", 1),
    ]


async def test_one_local_time_in_two_zones_is_two_occurrences(rig: Rig) -> None:
    """15:00 in Chisinau, the schedule's zone, and two hours later in London."""
    task = await rig.task({"cron": "0 15 * * *"}, {"cron": "0 15 * * *", "time_zone": "Europe/London"})
    runner = LoopRunner(rig.database, rig.settings)
    for hours in (1, 2):
        await settle(rig, runner)
        await rig.turn_clock(hours=hours)
    await settle(rig, runner)
    assert await ledger(rig, task) == [
        (BEGINNING + timedelta(hours=hours), "ENQUEUED", 1) for hours in (1, 3)
    ]  # fmt: skip
    rows = await rig.rows("SELECT key FROM occurrence ORDER BY instant")
    assert [row["key"] for row in rows] == ["1/cron:20260302T150000", "1/cron@Europe/London:20260302T150000"]


async def test_all_runs_missed_instants_one_after_the_other(rig: Rig) -> None:
    """They wait for their turns, and so no moment is skipped for overlap."""
    task = await rig.task(EVERY_MINUTE, overlap=None, catch_up={"policy": "ALL", "max": 3})
    runner, holder = LoopRunner(rig.database, rig.settings), await rig.lease(seconds=3600)
    await settle(rig, runner)
    await rig.turn_clock(minutes=10, seconds=30)
    await settle(rig, runner)
    assert await runs(rig, task) == [BEGINNING + minute * MINUTE for minute in (8, 9, 10)]
    for minute in (8, 9, 10):
        [row] = await rig.claim(holder)
        assert row.scheduled_time == BEGINNING + minute * MINUTE
        await rig.complete(holder, row)
        await release_blocked(rig)
    assert await ledger(rig, task) == [
        (BEGINNING + MINUTE, "MISSED", 7),
        (BEGINNING + 8 * MINUTE, "ENQUEUED", 1),
        *[(BEGINNING + minute * MINUTE, "BUFFERED", 1) for minute in (9, 10)],
    ]
    assert await rig.value("SELECT next_instant FROM schedule_cursor") == BEGINNING + 11 * MINUTE


async def test_all_runs_missed_instants_concurrently_when_overlap_is_allowed(rig: Rig) -> None:
    """Nothing to wait for; a window cuts what is too late."""
    task = await rig.task(EVERY_MINUTE, catch_up={"policy": "ALL", "window": "240s"})
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.turn_clock(minutes=10)
    await settle(rig, runner)
    assert await runs(rig, task) == [BEGINNING + minute * MINUTE for minute in (6, 7, 8, 9, 10)]
    assert (await ledger(rig, task))[0] == (BEGINNING + MINUTE, "MISSED", 5)


async def test_none_runs_no_missed_instant(rig: Rig) -> None:
    """All are recorded, in as many transactions as it takes; those at most five seconds late are not missed."""
    task = await rig.task({"interval": "1s"}, catch_up={"policy": "NONE"})
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.turn_clock(seconds=2500)
    await settle(rig, runner)
    assert await runs(rig, task) == [BEGINNING + timedelta(seconds=second) for second in range(2495, 2501)]
    assert [(outcome, count) for _, outcome, count in await ledger(rig, task)] == [
        ("MISSED", 1000), ("MISSED", 1000), ("MISSED", 494), *[("ENQUEUED", 1)] * 6
    ]  # fmt: skip
    assert await rig.value("SELECT sum(count) FROM occurrence") == 2500
    assert await rig.value("SELECT next_instant FROM schedule_cursor") == rig.now + timedelta(seconds=1)


async def test_a_pause_records_excluded_days_as_such(rig: Rig) -> None:
    """Why a moment did not run is told by what would have kept it from running anyway."""
    task = await rig.task({"cron": "0 */6 * * *"}, exclusions=[{"date": "2026-03-03"}], time_zone="UTC")
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    async with rig.database.transaction() as connection:
        await cursor.pause(connection, task)
    await rig.turn_clock(hours=47)
    async with rig.database.transaction() as connection:
        await cursor.resume(connection, task)
    await settle(rig, runner)
    outcomes = [(outcome, count) for _, outcome, count in await ledger(rig, task)]
    assert outcomes == [("PAUSED", 1), ("EXCLUDED", 4), ("PAUSED", 2)]


async def test_schedulers_share_one_rate_of_catch_up(rig: Rig) -> None:
    """After an outage at most so many missed runs a second are started, however many schedulers there are."""
    for _ in range(25):
        await rig.task(EVERY_MINUTE)
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.turn_clock(minutes=30, seconds=30)
    both = [CatchUp(rig.database, Hints(rig.database), per_second=5) for _ in range(2)]

    async def started() -> int:
        async def work(catch_up: CatchUp) -> None:
            while await catch_up.run_once():
                pass

        await asyncio.gather(*map(work, both))
        return int(await rig.value("SELECT count(*) FROM due_work"))

    assert await started() <= 6
    before = await started()
    for _ in range(4):
        await rig.turn_clock(seconds=1)
        after = await started()
        assert before < after <= before + 5
        before = after


async def test_max_occurrences_ends_the_schedule(rig: Rig) -> None:
    """After the last one the cursor has ended."""
    task = await rig.task(EVERY_MINUTE, max_occurrences=2, start_time=(BEGINNING + MINUTE).isoformat())
    runner = LoopRunner(rig.database, rig.settings)
    for _ in range(4):
        await settle(rig, runner)
        await rig.turn_clock(minutes=1)
    await settle(rig, runner)
    assert [outcome for _, outcome, _ in await ledger(rig, task)] == ["ENQUEUED"] * 2
    assert await rig.value("SELECT next_fire_time = 'infinity' FROM schedule_cursor WHERE task = $1", task)


async def test_jitter_changes_only_the_start(rig: Rig) -> None:
    """The cursor fires later, the run says when it was due, and an edit meanwhile loses nothing."""
    tasks = [await rig.task({"cron": "0 * * * *"}, jitter="1200s", time_zone="UTC") for _ in range(12)]
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    due = BEGINNING + timedelta(hours=1)
    starts = await rig.rows("SELECT task, next_instant, next_fire_time FROM schedule_cursor")
    assert all(row["next_instant"] == due <= row["next_fire_time"] < due + timedelta(minutes=20) for row in starts)
    assert len({row["next_fire_time"] for row in starts}) > 6
    later = max(starts, key=lambda row: row["next_fire_time"])
    await rig.turn_clock(hours=1, seconds=1)
    async with rig.database.transaction() as connection:
        await cursor.replan(connection, project="default", task=later["task"], last_instant=rig.now, event_triggers=[])
    assert await ledger(rig, later["task"]) == [(due, "ENQUEUED", 1)]
    for _ in range(300):
        await rig.turn_clock(seconds=4)
        await runner.once()
    for task in tasks:
        assert await ledger(rig, task) == [(due, "ENQUEUED", 1)]
        assert await runs(rig, task) == [due]


@pytest.mark.parametrize("policy", ["LATEST", "ALL"])
async def test_an_instant_delayed_by_its_jitter_is_not_missed(rig: Rig, policy: str) -> None:
    """Only what should have started is late."""
    task = await rig.task({"cron": "0 * * * *"}, jitter="3600s", catch_up={"policy": policy}, time_zone="UTC")
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    start = await rig.value("SELECT next_fire_time FROM schedule_cursor")
    await rig.turn_clock(seconds=(start - BEGINNING).total_seconds() + 6)
    await settle(rig, runner)
    assert await ledger(rig, task) == [(BEGINNING + timedelta(hours=1), "ENQUEUED", 1)]
