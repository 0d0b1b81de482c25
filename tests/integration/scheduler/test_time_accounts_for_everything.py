"""Outages, pauses, live runs, exclusions, jitter, policies, all at random: each due moment has exactly one outcome."""

import json
import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from ordinaut.store.queue.due_work_claim import LeasedRow
from ordinaut.store.tasks import cursor
from tests.integration.support.queue_rig import BEGINNING, Rig
from tests.integration.support.scheduler_rig import UNSETTLED, LoopRunner, instants

TRIGGERS = [
    [{"interval": "60s"}], [{"interval": "7s"}], [{"cron": "*/10 * * * *"}], [{"cron": "30 */2 * * *"}],
    [{"cron": "0 * * * *"}, {"interval": "1800s"}],
]  # fmt: skip
POLICIES: list[dict[str, Any]] = [
    {}, {"window": "600s"}, {"policy": "ALL", "max": 4}, {"policy": "ALL", "max": 50, "window": "1800s"},
    {"policy": "NONE"},
]  # fmt: skip
EVERY_OTHER_DAY = "DTSTART:20260302T000000\nRRULE:FREQ=DAILY;INTERVAL=2"
OUTCOMES = {"ENQUEUED", "SKIPPED_OVERLAP", "COALESCED", "MISSED", "PAUSED", "EXCLUDED"}
STEPS = 18


async def work(rig: Rig, runner: LoopRunner, holder: UUID, *, ending: float, chance: random.Random) -> None:
    """The scheduler does what it can, workers end some of what came of it, until nothing moves."""
    for _ in range(200):
        await runner.once()
        claimed = await rig.claim(holder)
        ended = [row for row in claimed if chance.random() < ending]
        await rig.complete(holder, *ended)
        if not ended and not (ending == 1 and await rig.value(UNSETTLED)):
            return
        await rig.turn_clock(seconds=0.2)  # the pace of catching up needs time


async def set_paused(rig: Rig, task: UUID, *, paused: bool) -> None:
    async with rig.database.transaction() as connection:
        await (cursor.pause if paused else cursor.resume)(connection, task)


async def assert_accounted(rig: Rig, task: UUID) -> set[str]:
    """The ledger's rows, one after the other, are the instants up to the cursor's next; the outcomes."""
    schedule = json.loads(await rig.value("SELECT schedule::text FROM task_version WHERE task = $1", task))
    following: datetime = await rig.value("SELECT next_instant FROM schedule_cursor WHERE task = $1", task)
    expected = instants(schedule, BEGINNING, following - timedelta(microseconds=1))
    rows = await rig.rows(
        "SELECT instant, coalesce(last_instant, instant) AS last, count, outcome FROM occurrence WHERE task = $1 "
        "ORDER BY instant", task,
    )  # fmt: skip
    place = 0
    for row in rows:
        assert row["instant"] == expected[place], (schedule, dict(row))
        place += row["count"]
        assert row["last"] == expected[place - 1], (schedule, dict(row))
    assert place == len(expected), schedule
    assert await rig.value("SELECT next_fire_time > clock_now() FROM schedule_cursor WHERE task = $1", task)
    return {row["outcome"] for row in rows}


@pytest.mark.parametrize("seed", range(2))
async def test_every_due_instant_has_one_outcome(seed: int, rig: Rig) -> None:
    chance = random.Random(seed)
    tasks = [
        await rig.task(
            *chance.choice(TRIGGERS),
            overlap=chance.choice(["ALLOW", None]),
            catch_up=policy,
            exclusions=chance.choice([[], [{"date": "2026-03-03"}], [{"rrule": EVERY_OTHER_DAY}]]),
            jitter=chance.choice(["0s", "0s", "90s"]),
            time_zone="America/New_York",
        )
        for policy in POLICIES * 2
    ]
    runner, holder = LoopRunner(rig.database, rig.settings), await rig.lease(seconds=10**7)
    paused: set[UUID] = set()
    for _ in range(STEPS):
        await work(rig, runner, holder, ending=chance.choice([0, 0.5, 0.9]), chance=chance)
        await rig.turn_clock(seconds=chance.choice([1, 3, 20, 200, 2000, 9000]))
        task = chance.choice(tasks)
        await set_paused(rig, task, paused=task not in paused)
        paused ^= {task}
    for task in paused:
        await set_paused(rig, task, paused=False)
    leased = await rig.rows("SELECT id, fence, cancel_requested FROM due_work WHERE state = 'LEASED'")
    await rig.complete(holder, *(LeasedRow(*row) for row in leased))
    await work(rig, runner, holder, ending=1, chance=chance)
    outcomes = set[str]().union(*[await assert_accounted(rig, task) for task in tasks])
    assert len(outcomes & OUTCOMES) >= 5
