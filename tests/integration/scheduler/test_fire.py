"""Every instant fires exactly once, whoever fires it and whatever dies meanwhile."""

import asyncio
import json
import random
from datetime import timedelta
from typing import Any

import pytest

from ordinaut.store.hints import Hints
from ordinaut.store.queue import due_work_enqueue
from ordinaut.store.tasks import cursor
from scheduler.firing.fire import Fire
from tests.integration.support.queue_rig import BEGINNING, Rig
from tests.integration.support.scheduler_rig import LoopRunner, in_spite, instants, ledger, nemesis, schedulers, settle

EVERY_MINUTE = {"cron": "* * * * *"}


def every(seconds: float) -> dict[str, Any]:
    return {"interval": f"{seconds:g}s"}


@pytest.mark.parametrize("seed", range(2))
async def test_two_schedulers_that_die_with_their_connections_fire_every_instant_once(seed: int, rig: Rig) -> None:
    chance = random.Random(seed)
    tasks = {await rig.task(every(chance.choice([1, 2, 3, 7, 20]))): None for _ in range(15)}
    tasks |= {await rig.task(EVERY_MINUTE, every(30)): None for _ in range(10)}

    def lifetime() -> float | None:
        return chance.random() * 0.3 if chance.random() < 0.3 else None

    async with schedulers(rig, 2, fire_batch=10) as both:
        async with nemesis(rig, chance):
            for _ in range(25):
                rig.now += timedelta(seconds=chance.choice([1, 2, 4]))
                await in_spite(rig.turn_clock)
                await in_spite(lambda: settle(rig, *both, lives=lifetime))
        await settle(rig, *both)
    for task in tasks:
        schedule = json.loads(await rig.value("SELECT schedule::text FROM task_version WHERE task = $1", task))
        expected = [(instant, "ENQUEUED", 1) for instant in instants(schedule, BEGINNING, rig.now)]
        assert await ledger(rig, task) == expected
    runs = await rig.rows("SELECT task, scheduled_time FROM due_work")
    assert len(runs) == len(set(runs)) == await rig.value("SELECT count(*) FROM occurrence")
    assert await rig.value("SELECT sum(count) FROM outbox") == len(runs)


async def test_one_instant_of_two_triggers_is_one_occurrence_with_the_params_of_the_first(rig: Rig) -> None:
    task = await rig.task({**EVERY_MINUTE, "params": {"who": "first"}}, {**every(60), "params": {"who": "second"}})
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.turn_clock(minutes=1)
    await settle(rig, runner)
    assert await ledger(rig, task) == [(rig.now, "ENQUEUED", 1)]
    assert await rig.rows("SELECT trigger, params::text FROM due_work") == [("t0", '{"who": "first"}')]


async def test_overlap_is_decided_by_the_index_under_concurrency(rig: Rig) -> None:
    task = await rig.task(every(1), overlap="SKIP")
    run_ids = [await rig.value("SELECT new_id()") for _ in range(20)]

    async def ask(run: Any) -> bool:
        async with rig.database.transaction() as connection:
            queued = await due_work_enqueue.enqueue_manual(
                connection, task=task, run=run, params_json="{}", priority=None, start_time=None
            )
            if queued.run is None:
                raise _RefusedError
        return True

    answers = await asyncio.gather(*(ask(run) for run in run_ids), return_exceptions=True)
    assert answers.count(True) == 1
    assert sum(isinstance(answer, _RefusedError) for answer in answers) == 19
    assert await rig.value("SELECT count(*) FROM due_work") == 1


class _RefusedError(Exception):
    """Takes the refused occurrence back, as the gateway does."""


async def test_an_instant_during_a_live_run_is_recorded_and_the_next_one_runs(rig: Rig) -> None:
    task = await rig.task(every(2), overlap=None)  # the default of time triggers
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    for _ in range(2):
        await rig.turn_clock(seconds=2)
        await settle(rig, runner)
    holder = await rig.lease()
    [row] = await rig.claim(holder)
    await rig.complete(holder, row)
    await rig.turn_clock(seconds=2)
    await settle(rig, runner)
    outcomes = [outcome for _, outcome, _ in await ledger(rig, task)]
    assert outcomes == ["ENQUEUED", "SKIPPED_OVERLAP", "ENQUEUED"]


async def test_a_cursor_that_cannot_be_fired_is_set_aside_and_the_others_fire(rig: Rig) -> None:
    tasks = [await rig.task(EVERY_MINUTE) for _ in range(9)]
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    guilty = tasks[4]
    [blocking] = await rig.queue(1, of=guilty)
    key = await rig.value("SELECT next_key FROM schedule_cursor WHERE task = $1", guilty)
    await rig.execute("UPDATE due_work SET root = $1::text || '/' || $2 WHERE id = $3", str(guilty), key, blocking)
    await rig.turn_clock(minutes=1)
    await settle(rig, runner)
    fired = await rig.rows("SELECT task FROM occurrence WHERE outcome = 'ENQUEUED'")
    assert {row["task"] for row in fired} == set(tasks) - {guilty}
    state, reason = (await rig.rows("SELECT state, state_reason FROM task WHERE uid = $1", guilty))[0]
    assert state == "PAUSED"
    assert "could not be fired" in reason


async def test_a_due_instant_fires_before_a_pause_an_edit_or_a_deletion(rig: Rig) -> None:
    runner = LoopRunner(rig.database, rig.settings)
    tasks = [await rig.task(EVERY_MINUTE) for _ in range(3)]
    await settle(rig, runner)
    await rig.turn_clock(minutes=1)
    paused, edited, deleted = tasks
    async with rig.database.transaction() as connection:
        await cursor.pause(connection, paused)
        generation = await cursor.replan(
            connection, project="default", task=edited, last_instant=rig.now, event_triggers=[]
        )
        await cursor.fire_if_due(connection, deleted)
        await cursor.remove(connection, deleted)
    assert generation == 2
    for task in tasks:
        assert await ledger(rig, task) == [(rig.now, "ENQUEUED", 1)]
    await rig.turn_clock(minutes=2)
    await settle(rig, runner)
    assert len(await ledger(rig, paused)) == len(await ledger(rig, deleted)) == 1
    keys = await rig.rows("SELECT key FROM occurrence WHERE task = $1 ORDER BY create_time", edited)
    assert [row["key"][:2] for row in keys] == ["1/", "2/", "2/"]


async def test_the_earliest_cursor_determines_the_alarm(rig: Rig) -> None:
    await rig.task(every(20))
    await settle(rig, LoopRunner(rig.database, rig.settings))
    fire = Fire(rig.database, Hints(rig.database), 1000)
    await rig.turn_clock(seconds=15)
    assert await fire.seconds_to_next() == 5
    await rig.turn_clock(seconds=6)
    assert await fire.seconds_to_next() == -1
    await rig.turn_clock(seconds=60)
    assert await fire.seconds_to_next() is None  # catch-up's


@pytest.mark.parametrize("code", ["53100", "57014", "40001", "40P01", "55P03", "25006"])
async def test_an_instant_rejected_temporarily_fires_once_afterwards(code: str, rig: Rig) -> None:
    task = await rig.task(every(1))
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.break_inserts("occurrence", code)
    await rig.turn_clock(seconds=1)
    await settle(rig, runner)
    assert await ledger(rig, task) == [(rig.now, "ENQUEUED", 1)]
    assert await rig.value("SELECT count(*) FROM due_work") == 1
    assert await rig.value("SELECT state FROM task") == "ACTIVE"
