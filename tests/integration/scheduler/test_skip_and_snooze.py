"""What was skipped never runs and what was snoozed runs once, later: on a clock that the test turns."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from ordinaut.store.tasks import cursor, occurrence
from tests.integration.support.queue_rig import BEGINNING, Rig
from tests.integration.support.scheduler_rig import LoopRunner, ledger, settle

EVERY_MINUTE = {"interval": "60s"}
MINUTE = timedelta(minutes=1)


@pytest.fixture
def runner(rig: Rig) -> LoopRunner:
    return LoopRunner(rig.database, rig.settings)


async def skip(rig: Rig, task: UUID, instant: datetime) -> str | None:
    """What the ledger says of the instant after it was skipped."""
    async with rig.database.transaction() as connection:
        await cursor.fire_if_due(connection, task, snoozed_too=False)
        nominal = f"interval:{instant:%Y%m%dT%H%M%SZ}"
        found = await occurrence.skip(
            connection, task=task, instant=instant, nominal=nominal, trigger="t0", reason="holiday"
        )
    return found.outcome if found else None


async def snooze(rig: Rig, task: UUID, moment: datetime) -> None:
    async with rig.database.transaction() as connection:
        await cursor.fire_if_due(connection, task, snoozed_too=False)
        await cursor.snooze(connection, task, moment)


async def minutes(rig: Rig, task: UUID) -> list[tuple[int, str, int]]:
    return [((instant - BEGINNING) // MINUTE, outcome, count) for instant, outcome, count in await ledger(rig, task)]


async def test_a_skipped_occurrence_does_not_run_and_the_others_do(rig: Rig, runner: LoopRunner) -> None:
    task = await rig.task(EVERY_MINUTE)
    await settle(rig, runner)
    for minute in (1, 3):
        assert await skip(rig, task, BEGINNING + minute * MINUTE) == "SKIPPED"
        assert await skip(rig, task, BEGINNING + minute * MINUTE) == "SKIPPED"
    for _ in range(4):
        await rig.turn_clock(minutes=1)
        await settle(rig, runner)
    assert await minutes(rig, task) == [(1, "SKIPPED", 1), (2, "ENQUEUED", 1), (3, "SKIPPED", 1), (4, "ENQUEUED", 1)]
    assert await rig.value("SELECT count(*) FROM due_work") == 2
    keys = await rig.rows("SELECT key FROM occurrence WHERE outcome = 'SKIPPED' ORDER BY instant")
    assert keys[0]["key"] == "1/interval:20260302T120100Z"


async def test_a_fired_or_past_instant_cannot_be_skipped(rig: Rig, runner: LoopRunner) -> None:
    task = await rig.task(EVERY_MINUTE)
    await settle(rig, runner)
    await rig.turn_clock(minutes=1)
    assert await skip(rig, task, rig.now) == "ENQUEUED"  # it was due, and looking at it fired it
    assert await skip(rig, task, rig.now - timedelta(seconds=30)) is None


async def test_catch_up_does_not_run_skipped_instants(rig: Rig, runner: LoopRunner) -> None:
    task = await rig.task(EVERY_MINUTE)
    await settle(rig, runner)
    for minute in (1, 4, 10):
        await skip(rig, task, BEGINNING + minute * MINUTE)
    await rig.turn_clock(minutes=10, seconds=30)
    await settle(rig, runner)
    assert await minutes(rig, task) == [
        (1, "SKIPPED", 1),
        (2, "COALESCED", 6),
        (4, "SKIPPED", 1),
        (9, "ENQUEUED", 1),
        (10, "SKIPPED", 1),
    ]


async def test_a_pause_does_not_record_skipped_instants(rig: Rig, runner: LoopRunner) -> None:
    task = await rig.task(EVERY_MINUTE)
    await settle(rig, runner)
    await skip(rig, task, BEGINNING + MINUTE)
    async with rig.database.transaction() as connection:
        await cursor.pause(connection, task)
    await rig.turn_clock(minutes=3, seconds=1)
    async with rig.database.transaction() as connection:
        await cursor.resume(connection, task)
    await settle(rig, runner)
    assert await minutes(rig, task) == [(1, "SKIPPED", 1), (2, "PAUSED", 2)]


async def test_a_snoozed_occurrence_starts_later_and_only_it(rig: Rig, runner: LoopRunner) -> None:
    task = await rig.task(EVERY_MINUTE)
    await settle(rig, runner)
    await snooze(rig, task, BEGINNING + timedelta(seconds=95))
    await rig.turn_clock(seconds=94)
    await settle(rig, runner)
    assert not await minutes(rig, task)
    await snooze(rig, task, BEGINNING + timedelta(seconds=100))
    await rig.turn_clock(seconds=6)
    await settle(rig, runner)
    assert await minutes(rig, task) == [(1, "ENQUEUED", 1)]
    assert await rig.value("SELECT scheduled_time FROM due_work") == BEGINNING + MINUTE
    await rig.turn_clock(seconds=20)
    await settle(rig, runner)
    assert await minutes(rig, task) == [(1, "ENQUEUED", 1), (2, "ENQUEUED", 1)]


async def test_a_snoozed_occurrence_that_meets_an_outage_still_runs(rig: Rig, runner: LoopRunner) -> None:
    task = await rig.task({"cron": "0 0 * * *"}, time_zone="UTC")
    await settle(rig, runner)
    due = BEGINNING.replace(hour=0) + timedelta(days=1)
    await snooze(rig, task, due + timedelta(hours=8))
    await rig.turn_clock(hours=20, minutes=1)
    await settle(rig, runner)
    assert await ledger(rig, task) == [(due, "ENQUEUED", 1)]  # the window of catch-up is an hour


async def test_a_pause_takes_the_snoozed_occurrence_and_an_edit_starts_it(rig: Rig, runner: LoopRunner) -> None:
    paused, edited = await rig.task({"interval": "3600s"}), await rig.task({"interval": "3600s"})
    await settle(rig, runner)
    due = BEGINNING + timedelta(hours=1)
    for task in (paused, edited):
        await snooze(rig, task, due + timedelta(minutes=20))
    await rig.turn_clock(minutes=70)
    async with rig.database.transaction() as connection:
        await cursor.pause(connection, paused)
        await cursor.replan(connection, project="default", task=edited, last_instant=rig.now, event_triggers=[])
    async with rig.database.transaction() as connection:
        await cursor.resume(connection, paused)
    await settle(rig, runner)
    assert await ledger(rig, paused) == [(due, "PAUSED", 1)]
    assert await ledger(rig, edited) == [(due, "ENQUEUED", 1)]
