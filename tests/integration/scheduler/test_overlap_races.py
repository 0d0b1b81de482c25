"""Turns under races: many ask at once, two schedulers give turns, connections die; order and bounds hold."""

import asyncio
import random
from datetime import datetime
from uuid import UUID

import pytest

from ordinaut.store.hints import Hints
from ordinaut.store.queue import due_work_enqueue, due_work_finish
from ordinaut.store.queue.due_work_claim import LeasedRow
from scheduler.maintenance.release_blocked import ReleaseBlocked
from tests.integration.support.queue_rig import Rig
from tests.integration.support.scheduler_rig import (
    LoopRunner,
    in_spite,
    ledger,
    nemesis,
    release_blocked,
    schedulers,
    settle,
)
from tests.patience import PATIENCE

EVERY_SECOND = {"interval": "1s"}
MANY = 15


class _RefusedError(Exception):
    """Takes the refused occurrence back, as the gateway does."""


async def ask(rig: Rig, task: UUID, run: UUID) -> bool:
    async with rig.database.transaction() as connection:
        queued = await due_work_enqueue.enqueue_manual(
            connection, task=task, run=run, params_json="{}", priority=None, start_time=None
        )
        if queued.run is None:
            raise _RefusedError
    return True


async def test_the_buffer_limit_holds_under_concurrency(rig: Rig) -> None:
    """Among them the schedule itself; whoever has no place leaves a row that says so, or is told."""
    task = await rig.task(EVERY_SECOND, overlap="BUFFER_ALL", policy={"max_buffer": 5})
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.turn_clock(seconds=1)
    runs = [await rig.value("SELECT new_id()") for _ in range(MANY)]
    asked = [asyncio.create_task(ask(rig, task, run)) for run in runs]
    await settle(rig, runner)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(answer) for answer in answers} <= {bool, _RefusedError}
    states = await rig.rows("SELECT state, count(*) AS runs FROM due_work GROUP BY state ORDER BY state")
    assert [tuple(row) for row in states] == [("BLOCKED", 5), ("READY", 1)]
    [(_, scheduled, _)] = await ledger_of_time(rig, task)
    assert answers.count(True) + (scheduled != "SKIPPED_OVERLAP") == 6


async def ledger_of_time(rig: Rig, task: UUID) -> list[tuple[datetime, str, int]]:
    return [row for row in await ledger(rig, task) if row[0] is not None]


@pytest.mark.parametrize("policy", ["SKIP", "BUFFER_ONE", "BUFFER_ALL", "CANCEL_OTHER"])
async def test_a_new_run_does_not_overtake_a_buffered_one(policy: str, rig: Rig) -> None:
    """A run has ended, and another waits: the newcomer is behind it, or refused, also by a policy without a buffer."""
    task = await rig.task(EVERY_SECOND, overlap="BUFFER_ONE")
    first, second, third = [await rig.value("SELECT new_id()") for _ in range(3)]
    assert await ask(rig, task, first)
    assert await ask(rig, task, second)
    await rig.execute("UPDATE task_version SET overlap = $2, max_buffer = 5 WHERE task = $1", task, policy)
    async with rig.database.transaction() as connection:
        assert await due_work_finish.request_cancel(connection, run=first, reason="over") == "ENDED"
    if policy in {"SKIP", "BUFFER_ONE"}:
        with pytest.raises(_RefusedError):
            await ask(rig, task, third)
    else:
        assert await ask(rig, task, third)
    await release_blocked(rig)
    assert await rig.value("SELECT id FROM due_work WHERE exclusive") == (third if policy == "CANCEL_OTHER" else second)


async def test_buffered_runs_keep_their_order_when_connections_die(rig: Rig) -> None:
    """Two schedulers fire, catch up and give turns, and lose their connections: one run after the other, none lost."""
    chance = random.Random(7)
    task = await rig.task(EVERY_SECOND, overlap="BUFFER_ALL", policy={"max_buffer": 1000}, catch_up={"policy": "ALL"})
    started: list[datetime] = []
    holder = await rig.lease(seconds=10**6)
    async with asyncio.timeout(2 * PATIENCE), schedulers(rig, 2) as both, nemesis(rig, chance):
        turns = [ReleaseBlocked(rig.database, Hints(rig.database)) for _ in both]
        while len(started) < 40:
            await in_spite(lambda: rig.turn_clock(seconds=chance.choice([0, 1, 2, 9])))
            await in_spite(lambda: settle(rig, *both))
            await asyncio.gather(*(in_spite(each.run_once) for each in turns for _ in range(2)))
            await in_spite(lambda: work_off(rig, holder, started))
    await rig.execute("UPDATE schedule_cursor SET next_fire_time = 'infinity'")
    while await rig.value("SELECT count(*) FROM due_work"):
        await release_blocked(rig)
        await work_off(rig, holder, started)
    assert started == sorted(set(started))
    rows = await ledger(rig, task)
    assert started == [instant for instant, _, _ in rows]
    assert {outcome for _, outcome, _ in rows} == {"ENQUEUED", "BUFFERED"}


async def work_off(rig: Rig, holder: UUID, started: list[datetime]) -> None:
    """A worker starts and ends what there is, at most one run, though it may not have heard that it got it."""
    await rig.claim(holder)
    rows = await rig.rows("SELECT id, fence, scheduled_time FROM due_work WHERE state = 'LEASED'")
    assert len(rows) <= 1
    started += [row["scheduled_time"] for row in rows if row["scheduled_time"] not in started]
    await rig.complete(holder, *(LeasedRow(row["id"], row["fence"], False) for row in rows))
