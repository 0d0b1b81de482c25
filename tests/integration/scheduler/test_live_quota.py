"""Without room for a live run, schedules, events and backfills start none, and the ledger says so."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from ordinaut.quotas import Limit
from ordinaut.store import quota
from ordinaut.store.queue import due_work_enqueue
from scheduler.maintenance.live_quota import LiveQuota
from tests.integration.support.backfill_rig import begin
from tests.integration.support.queue_rig import BEGINNING, PROJECT, Rig
from tests.integration.support.scheduler_rig import LoopRunner, ledger, settle

EVERY_MINUTE = {"cron": "* * * * *"}
OWNER = "agents/alice"


async def limited(rig: Rig, *, agent: int | None = None, project: int | None = None) -> None:
    """Sets the quota of live runs and has it counted."""
    async with rig.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO project (name, create_time) VALUES ($1, now()) ON CONFLICT DO NOTHING", PROJECT
        )
        assert await quota.put(connection, project=PROJECT, quota="live_runs", limit=Limit(agent, project))
    await LiveQuota(rig.database).run_once()


async def marked(rig: Rig) -> list[Any]:
    return [tuple(row) for row in await rig.rows("SELECT project, owner FROM over_quota ORDER BY owner")]


@pytest.mark.parametrize(("limits", "marks"), [({"agent": 2}, [OWNER]), ({"project": 2}, [""])])
async def test_a_schedule_over_the_quota_is_backpressure(rig: Rig, limits: dict[str, int], marks: list[str]) -> None:
    """And runs again when there is room."""
    task, runner, holder = await rig.task(EVERY_MINUTE), LoopRunner(rig.database, rig.settings), await rig.lease(10**7)
    await rig.queue(2)
    await settle(rig, runner)
    await limited(rig, **limits)
    assert "live_quota" in runner.loops
    assert await marked(rig) == [(PROJECT, owner) for owner in marks]
    await rig.turn_clock(minutes=1)
    await settle(rig, runner)
    assert await ledger(rig, task) == [(rig.now, "BACKPRESSURE", 1)]
    [row] = await rig.rows("SELECT reason, run FROM occurrence WHERE task = $1", task)
    assert (row["reason"], row["run"]) == ("the quota of live runs was used up", None)
    assert await rig.value("SELECT count(*) FROM due_work") == 2
    assert await rig.complete(holder, *await rig.claim(holder))
    await LiveQuota(rig.database).run_once()
    assert await marked(rig) == []
    await rig.turn_clock(minutes=1)
    await settle(rig, runner)
    assert [outcome for _, outcome, _ in await ledger(rig, task)] == ["BACKPRESSURE", "ENQUEUED"]


async def test_another_owner_and_another_project_have_their_own_room(rig: Rig) -> None:
    task, runner = await rig.task(EVERY_MINUTE), LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.execute(
        "INSERT INTO over_quota VALUES ($1, 'agents/other'), ('other', $2), ('other', '')", PROJECT, OWNER
    )
    await rig.turn_clock(minutes=1)
    await settle(rig, runner)
    assert await ledger(rig, task) == [(rig.now, "ENQUEUED", 1)]


async def test_an_event_over_the_quota_is_backpressure(rig: Rig) -> None:
    task = await rig.task({"event": {"topic": "a.b"}})
    await rig.execute("INSERT INTO over_quota VALUES ($1, $2)", PROJECT, OWNER)
    match = (task, "t0", "0199c0de-0000-7000-8000-000000000001", orjson.dumps({"topic": "a.b"}).decode(), None, 0)
    async with rig.database.transaction() as connection:
        assert await due_work_enqueue.enqueue_for_events(connection, [match]) == (0, 0)
    [row] = await rig.rows("SELECT outcome, run FROM occurrence WHERE task = $1", task)
    assert (row["outcome"], row["run"]) == ("BACKPRESSURE", None)


async def test_a_backfill_waits_for_room(rig: Rig) -> None:
    runner, minute = LoopRunner(rig.database, rig.settings), timedelta(minutes=1)
    task: UUID = await rig.task(EVERY_MINUTE, start_time="2020-01-01T00:00:00Z")
    await settle(rig, runner)
    await rig.execute("INSERT INTO over_quota VALUES ($1, '')", PROJECT)
    await begin(rig, task, BEGINNING - 3 * minute, BEGINNING)
    await runner.backfill()
    assert await rig.value("SELECT count(*) FROM due_work") == 0
    assert await rig.value("SELECT state FROM backfill") == "RUNNING"
    await rig.execute("DELETE FROM over_quota")
    await runner.backfill()
    assert await rig.value("SELECT count(*) FROM due_work") == 3


async def test_what_takes_long_is_counted_less_often(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second count follows at once only if the first took no time."""
    counts = 0
    read = quota.mark_over

    async def counted(*arguments: Any) -> None:
        nonlocal counts
        counts += 1
        await read(*arguments)

    monkeypatch.setattr(quota, "mark_over", counted)
    monkeypatch.setattr("scheduler.maintenance.live_quota.PAUSE_FACTOR", 10**6)
    loop = LiveQuota(rig.database)
    for _ in range(2):
        await loop.run_once()
    assert counts == 1
