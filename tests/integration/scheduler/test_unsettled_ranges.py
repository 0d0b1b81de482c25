"""Whoever changes, pauses or deletes a task while no scheduler lives: every moment before that has its outcome."""

import asyncio
import json
import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from ordinaut.store.tasks import cursor
from tests.integration.support.queue_rig import BEGINNING, Rig
from tests.integration.support.scheduler_rig import LoopRunner, instants, ledger, schedulers, settle
from tests.patience import PATIENCE

MINUTE = timedelta(minutes=1)
EVERY_MINUTE = {"interval": "60s"}
REASONS = "SELECT outcome, count, reason FROM occurrence WHERE task = $1 ORDER BY instant"


async def minutes(rig: Rig, task: UUID) -> list[tuple[int, str, int]]:
    return [((instant - BEGINNING) // MINUTE, outcome, count) for instant, outcome, count in await ledger(rig, task)]


async def set_paused(rig: Rig, task: UUID, *, paused: bool) -> None:
    async with rig.database.transaction() as connection:
        await connection.execute("UPDATE task SET state = $2 WHERE uid = $1", task, "PAUSED" if paused else "ACTIVE")
        await (cursor.pause if paused else cursor.resume)(connection, task)


async def change(rig: Rig, task: UUID, interval: str) -> None:
    """The task gets a version with another interval, as the gateway does it."""
    async with rig.database.transaction() as connection:
        paused = await connection.fetchval("SELECT state = 'PAUSED' FROM task WHERE uid = $1 FOR UPDATE", task)
        await cursor.replan(
            connection, project="default", task=task, last_instant=rig.now, event_triggers=[], ends=paused
        )
        await connection.execute(
            "INSERT INTO task_version SELECT (jsonb_populate_record(v, jsonb_build_object("
            "'version', v.version + 1, 'schedule', jsonb_set(v.schedule, '{triggers,0,interval}', to_jsonb($2::text))"
            "))).* FROM task_version AS v JOIN task AS t ON t.uid = v.task AND t.version = v.version WHERE t.uid = $1",
            task, interval,
        )  # fmt: skip
        await connection.execute("UPDATE task SET version = version + 1 WHERE uid = $1", task)


async def delete(rig: Rig, task: UUID) -> None:
    async with rig.database.transaction() as connection:
        await cursor.remove(connection, task)
        await connection.execute("UPDATE task SET delete_time = clock_now() WHERE uid = $1", task)


@pytest.fixture
def runner(rig: Rig) -> LoopRunner:
    return LoopRunner(rig.database, rig.settings)


async def late(rig: Rig, runner: LoopRunner, **schedule: Any) -> UUID:
    """A task of which ten moments have been missed."""
    task = await rig.task(EVERY_MINUTE, overlap=None, **schedule)
    await settle(rig, runner)
    await rig.turn_clock(minutes=10, seconds=30)
    return task


async def test_a_change_catches_up_by_the_old_policy_with_the_old_version(rig: Rig, runner: LoopRunner) -> None:
    task = await late(rig, runner)
    await change(rig, task, "120s")
    await settle(rig, runner)
    await rig.turn_clock(minutes=2)
    await settle(rig, runner)
    assert await minutes(rig, task) == [(1, "COALESCED", 9), (10, "ENQUEUED", 1), (12, "SKIPPED_OVERLAP", 1)]
    [run] = await rig.rows("SELECT task_version, occurrence, scheduled_time FROM due_work")
    assert tuple(run) == (1, "1/interval:20260302T121000Z", BEGINNING + 10 * MINUTE)


async def test_a_change_runs_every_instant_that_the_policy_keeps(rig: Rig, runner: LoopRunner) -> None:
    task = await late(rig, runner, catch_up={"policy": "ALL", "max": 3})
    await change(rig, task, "120s")
    await settle(rig, runner)
    assert await minutes(rig, task) == [
        (1, "MISSED", 7), (8, "ENQUEUED", 1), (9, "BUFFERED", 1), (10, "BUFFERED", 1)
    ]  # fmt: skip


@pytest.mark.parametrize("what", ["paused", "deleted"])
async def test_a_pause_or_a_deletion_starts_no_unsettled_instant(what: str, rig: Rig, runner: LoopRunner) -> None:
    latest, every = await late(rig, runner), await rig.task(EVERY_MINUTE, start_time=BEGINNING.isoformat())
    await rig.execute("UPDATE schedule_cursor SET last_instant = $2 WHERE task = $1", every, BEGINNING)
    await rig.execute(
        'UPDATE task_version SET schedule = schedule || \'{"catch_up": {"policy": "ALL", "max": 4}}\' WHERE task = $1',
        every,
    )
    for task in (latest, every):
        await (delete(rig, task) if what == "deleted" else set_paused(rig, task, paused=True))
    await settle(rig, runner)
    reason = f"the task was {what} before it was caught up"
    outcome = "PAUSED" if what == "paused" else "MISSED"
    assert [tuple(row) for row in await rig.rows(REASONS, latest)] == [(outcome, 10, reason)]
    assert [tuple(row) for row in await rig.rows(REASONS, every)] == [
        ("MISSED", 6, "only the newest 4 are caught up"), (outcome, 4, reason)
    ]  # fmt: skip
    assert not await rig.value("SELECT count(*) FROM due_work")


async def test_a_pause_that_commits_first_keeps_what_was_missed_from_starting(rig: Rig, runner: LoopRunner) -> None:
    """A scheduler that is about to run it waits for the pause, and then sees it."""
    task = await late(rig, runner)
    await change(rig, task, "120s")
    async with rig.database.transaction() as connection:
        await connection.execute("UPDATE task SET state = 'PAUSED' WHERE uid = $1", task)
        await cursor.pause(connection, task)
        work = asyncio.create_task(settle(rig, runner))
        async with asyncio.timeout(PATIENCE):
            while not await rig.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0)
    await work
    assert await minutes(rig, task) == [(1, "PAUSED", 10)]
    assert not await rig.value("SELECT count(*) FROM due_work")


async def test_a_range_that_cannot_be_settled_does_not_block_the_others(rig: Rig, runner: LoopRunner) -> None:
    sound, broken = await rig.task(EVERY_MINUTE), await late(rig, runner)
    for task in (broken, sound):
        await change(rig, task, "120s")
    await rig.execute(
        """UPDATE task_version SET schedule = '{"triggers": [{"cron": "broken"}]}' WHERE version = 1 AND task = $1""",
        broken,
    )
    await settle(rig, runner)
    assert not await ledger(rig, broken)
    assert await minutes(rig, sound) == [(1, "COALESCED", 9), (10, "ENQUEUED", 1)]


async def test_paused_instants_are_distinguished_from_missed_ones(rig: Rig, runner: LoopRunner) -> None:
    task = await late(rig, runner)
    await set_paused(rig, task, paused=True)
    await settle(rig, runner)
    await rig.turn_clock(minutes=3)
    await set_paused(rig, task, paused=False)
    await settle(rig, runner)
    assert await minutes(rig, task) == [(1, "PAUSED", 10), (11, "PAUSED", 3)]


async def test_instants_of_a_pause_are_recorded_when_the_schedule_changes_during_it(
    rig: Rig, runner: LoopRunner
) -> None:
    task = await rig.task(EVERY_MINUTE)
    await settle(rig, runner)
    await set_paused(rig, task, paused=True)
    await rig.turn_clock(minutes=3, seconds=1)
    await change(rig, task, "120s")
    await settle(rig, runner)
    assert await minutes(rig, task) == [(1, "PAUSED", 3)]
    await rig.turn_clock(minutes=3)
    await delete(rig, task)
    await settle(rig, runner)
    assert await minutes(rig, task) == [(1, "PAUSED", 3), (4, "PAUSED", 2)]


@pytest.mark.parametrize("seed", range(3))
async def test_every_instant_of_every_generation_has_one_outcome(seed: int, rig: Rig) -> None:
    """Changes, pauses, deletions and outages at random, two schedulers that die with their work."""
    chance = random.Random(seed)
    policy = chance.choice([{}, {"policy": "ALL", "max": 5}, {"policy": "NONE"}])
    tasks = [
        await rig.task({"interval": "20s"}, catch_up=policy, jitter=chance.choice(["0s", "10s"])) for _ in range(4)
    ]
    ends: dict[tuple[UUID, int], datetime] = {}
    paused: set[UUID] = set()
    async with schedulers(rig, 2) as both:
        await settle(rig, *both)
        for _ in range(12):
            await rig.turn_clock(seconds=chance.choice([1, 7, 20, 150]))
            task = chance.choice(tasks)
            if chance.random() < 0.5:
                generation = await rig.value("SELECT generation FROM schedule_cursor WHERE task = $1", task)
                await change(rig, task, chance.choice(["20s", "30s", "45s"]))
                ends[task, generation] = await rig.value(
                    "SELECT last_instant FROM schedule_cursor WHERE task = $1", task
                )
            else:
                await set_paused(rig, task, paused=task not in paused)
                paused ^= {task}
            if chance.random() < 0.5:
                await settle(rig, *both, lives=lambda: chance.choice([None, 0.05]))
        await rig.turn_clock(seconds=100)
        for task in tasks:
            generation = await rig.value("SELECT generation FROM schedule_cursor WHERE task = $1", task)
            ends[task, generation] = rig.now
            await delete(rig, task)
        await settle(rig, *both)
    for task in tasks:
        await assert_accounted(rig, task, {number: end for (of, number), end in ends.items() if of == task})


async def assert_accounted(rig: Rig, task: UUID, ends: dict[int, datetime]) -> None:
    """The rows of each generation are, one after the other, the instants of its schedule."""
    after = BEGINNING
    for place, generation in enumerate(sorted(ends), 1):
        schedule = json.loads(
            await rig.value("SELECT schedule::text FROM task_version WHERE task = $1 AND version = $2", task, place)
        )
        expected = instants(schedule, after, ends[generation])
        rows = await rig.rows(
            "SELECT instant, coalesce(last_instant, instant) AS last, count FROM occurrence "
            "WHERE task = $1 AND key LIKE $2 ORDER BY instant", task, f"{generation}/%",
        )  # fmt: skip
        seen = [moment for row in rows for moment in expected if row["instant"] <= moment <= row["last"]]
        assert seen == expected
        assert sum(row["count"] for row in rows) == len(expected)
        after = ends[generation]
