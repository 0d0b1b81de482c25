"""A random past, a random range, each way to reprocess: what runs is what a tiny oracle says, and nothing twice."""

import random
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from ordinaut.store.queue import due_work_finish
from ordinaut.store.runs import retry
from ordinaut.store.tasks import cursor
from scheduler.schedules.schedule import CompiledSchedule
from tests.integration.support.backfill_rig import begin, look, run_out
from tests.integration.support.queue_rig import BEGINNING, Rig
from tests.integration.support.scheduler_rig import LoopRunner, instants, open_instants, settle
from tests.sample import FULL

TRIGGERS = [
    [{"cron": "*/10 * * * *"}],
    [{"cron": "*/7 * * * *"}, {"interval": "600s"}],
    [{"rrule": "DTSTART:20260302T080000\nRRULE:FREQ=MINUTELY;INTERVAL=9"}],
]
SCHEDULES: list[dict[str, Any]] = [
    {}, {"catch_up": {"policy": "NONE"}, "exclusions": [{"date": "2026-03-03"}]},
    {"catch_up": {"policy": "ALL", "max": 3}, "jitter": "90s"},
]  # fmt: skip
STATES = ["SUCCEEDED", "SUCCEEDED", "FAILED", "CANCELLED"]
HOURS_BEFORE, STEPS = 6, 14


async def live_through(rig: Rig, runner: LoopRunner, task: UUID, holder: UUID, chance: random.Random) -> None:
    """Outages and a pause; runs that end in each way, some before they start, some that were retried or still live."""
    paused = False
    for _ in range(STEPS):
        await settle(rig, runner)
        for row in await rig.claim(holder, 3):
            await rig.complete(holder, row, state=chance.choice(STATES))
            if chance.random() < 0.5:
                await take_up(rig, row.id)
        if chance.random() < 0.3:
            await cancel_one(rig)
        await rig.turn_clock(seconds=chance.choice([300, 1200, 4000, 20_000]))
        if chance.random() < 0.3:
            paused = not paused
            async with rig.database.transaction() as connection:
                await (cursor.pause if paused else cursor.resume)(connection, task)
    if paused:
        async with rig.database.transaction() as connection:
            await cursor.resume(connection, task)
    await rig.execute(
        "UPDATE occurrence SET outcome = 'SKIPPED' WHERE task = $1 AND count = 1 AND run IS NULL", task,
    )  # fmt: skip
    await settle(rig, runner)


async def take_up(rig: Rig, run: UUID) -> None:
    async with rig.database.transaction() as connection:
        await retry.enqueue(connection, run=await rig.value("SELECT new_id()"), retry_of=run)


async def cancel_one(rig: Rig) -> None:
    """A run that has not started is cancelled."""
    if run := await rig.value("SELECT id FROM due_work WHERE state = 'READY' ORDER BY id DESC LIMIT 1"):
        async with rig.database.transaction() as connection:
            await due_work_finish.request_cancel(connection, run=run, reason="enough")


async def oracle(rig: Rig, task: UUID, due: list[datetime], reprocess: str) -> set[datetime]:
    """What is to run, from what the tables say, one moment after the other."""
    rows = await rig.rows("SELECT instant, outcome, run FROM occurrence WHERE task = $1 AND count = 1", task)
    own = {row["instant"]: row for row in rows}
    ended = {row["id"]: row for row in await rig.rows("SELECT id, state, start_time FROM run")}
    taken_up = defaultdict(list)
    for row in await rig.rows("SELECT run, retry_of FROM run_retry"):
        taken_up[row["retry_of"]].append(row["run"])

    def family(run: UUID) -> list[UUID]:
        return [run, *(member for other in taken_up[run] for member in family(other))]

    def wanted(instant: datetime) -> bool:
        row = own.get(instant)
        if row is None or reprocess == "ALL":
            return True
        if row["run"] is None:
            return bool(row["outcome"] != "SKIPPED")
        tries = family(row["run"])
        if all(run in ended and ended[run]["start_time"] is None for run in tries):
            return True
        last = max(tries)
        return reprocess == "FAILED" and last in ended and ended[last]["state"] in {"FAILED", "CANCELLED"}

    return {instant for instant in due if wanted(instant)}


async def assert_accounted(rig: Rig, task: UUID) -> None:
    """Since the task exists, the ledger's rows one after the other are its instants."""
    schedule = await rig.schedule(task)
    accounted = await rig.value("SELECT last_instant FROM schedule_cursor WHERE task = $1", task)
    expected = instants(schedule, BEGINNING, accounted)
    rows = await rig.rows(
        "SELECT instant, coalesce(last_instant, instant) AS last, count FROM occurrence "
        "WHERE task = $1 AND instant > $2 ORDER BY instant", task, BEGINNING,
    )  # fmt: skip
    place = 0
    for row in rows:
        assert row["instant"] == expected[place]
        place += row["count"]
        assert row["last"] == expected[place - 1]
    assert place == len(expected)


@pytest.mark.parametrize("seed", range(3 if FULL else 1))
async def test_the_backfill_runs_the_expected_instants(seed: int, rig: Rig) -> None:
    chance = random.Random(seed)
    runner, holder = LoopRunner(rig.database, rig.settings), await rig.lease(10**7)
    before = BEGINNING - timedelta(hours=HOURS_BEFORE)
    task = await rig.task(*TRIGGERS[seed], start_time=before.isoformat(), **SCHEDULES[seed])
    await live_through(rig, runner, task, holder, chance)
    await assert_accounted(rig, task)
    schedule = CompiledSchedule.compile(await rig.schedule(task))
    accounted = await rig.value("SELECT last_instant FROM schedule_cursor WHERE task = $1", task)
    for number, reprocess in enumerate(["NONE", "FAILED", "ALL", "FAILED", "NONE"]):
        begun, ended = sorted(before + chance.random() * (rig.now - before) for _ in range(2))
        due = open_instants(schedule, begun, min(ended, accounted))
        wanted = await oracle(rig, task, due, reprocess)
        newest_first, name = chance.random() < 0.5, f"b{number}"
        await begin(
            rig, task, begun, ended, name,
            reprocess=reprocess, newest_first=newest_first, parallelism=chance.choice([1, 3, 40]),
        )  # fmt: skip
        ran = await run_out(rig, runner, holder, pick=lambda: chance.choice(STATES))
        assert ran == sorted(wanted, reverse=newest_first), (reprocess, begun, ended)
        done = await look(rig, task, name)
        assert (done.state, done.enqueued, done.skipped) == ("COMPLETED", len(ran), done.total - len(ran))
        assert done.succeeded + done.failed + done.cancelled == done.enqueued
        await assert_accounted(rig, task)
    roots = [row["root"] for row in await rig.rows("SELECT root FROM run WHERE kind <> 'RETRY'")]
    assert len(roots) == len(set(roots)), "no two runs share their idempotency keys"
