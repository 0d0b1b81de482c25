"""Backfills: which moments of the past run, in which order, how many at once, and what the ledger says of it."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from ordinaut.store.tasks import backfill, cursor
from tests.integration.support.backfill_rig import begin, end, look, run_out
from tests.integration.support.queue_rig import BEGINNING, Rig
from tests.integration.support.scheduler_rig import LoopRunner, ledger, settle

EVERY_MINUTE = {"cron": "* * * * *"}
MINUTE = timedelta(minutes=1)


@pytest.fixture
def runner(rig: Rig) -> LoopRunner:
    return LoopRunner(rig.database, rig.settings)


async def minutely(rig: Rig, **fields: object) -> UUID:
    """A task that is due each minute, also before it was made."""
    return await rig.task(EVERY_MINUTE, start_time="2020-01-01T00:00:00Z", **fields)  # type: ignore[arg-type]


def minute(number: int) -> datetime:
    return BEGINNING + number * MINUTE


async def minutes(rig: Rig, task: UUID) -> list[tuple[int, str, int]]:
    return [((instant - BEGINNING) // MINUTE, outcome, count) for instant, outcome, count in await ledger(rig, task)]


async def test_instants_before_the_creation_of_the_task_run_once_and_get_rows(rig: Rig, runner: LoopRunner) -> None:
    task, holder = await minutely(rig), await rig.lease(10**7)
    await settle(rig, runner)
    made = await begin(rig, task, minute(-5), minute(-2), params='{"again": true}')
    assert (made.state, made.total) == ("RUNNING", 3)
    await runner.backfill()
    runs = await rig.claim(holder)
    assert [row.scheduled_time for row in runs] == [minute(-4), minute(-3), minute(-2)]
    first = runs[0]
    assert (first.kind, first.trigger, first.priority) == ("BACKFILL", "t0", 9)
    assert (first.interval_end, first.params) == (minute(-3), '{"again": true}')
    assert first.occurrence == "1/cron:20260302T135600"
    assert first.root == f"{task}/1/cron:20260302T135600"
    assert await minutes(rig, task) == [(-4, "ENQUEUED", 1), (-3, "ENQUEUED", 1), (-2, "ENQUEUED", 1)]
    await end(rig, holder, *runs[:2])
    assert (await look(rig, task)).state == "RUNNING"
    await end(rig, holder, runs[2], state="FAILED")
    done = await look(rig, task)
    assert (done.state, done.enqueued, done.skipped, done.succeeded, done.failed) == ("COMPLETED", 3, 0, 2, 1)
    assert done.end_time is not None


async def test_the_start_is_exclusive_and_the_end_inclusive_in_either_order(rig: Rig, runner: LoopRunner) -> None:
    task, holder = await minutely(rig), await rig.lease(10**7)
    await settle(rig, runner)
    await begin(rig, task, minute(-400), minute(-10), newest_first=True, parallelism=7)
    ran = await run_out(rig, runner, holder)
    assert ran == [minute(-10 - number) for number in range(390)]
    assert (await look(rig, task)).state == "COMPLETED"


async def test_no_more_runs_are_live_than_it_allows(rig: Rig, runner: LoopRunner) -> None:
    task, holder = await minutely(rig), await rig.lease(10**7)
    await settle(rig, runner)
    live: list[int] = []
    await begin(rig, task, minute(-300), minute(0), parallelism=5)
    ran = await run_out(rig, runner, holder, seen=live.append)
    assert ran == [minute(number) for number in range(-299, 1)]
    assert max(live) == 5


async def test_reprocessed_runs_have_new_keys_each_time(rig: Rig, runner: LoopRunner) -> None:
    task, holder = await minutely(rig), await rig.lease(10**7)
    await settle(rig, runner)
    await rig.turn_clock(minutes=1)
    await settle(rig, runner)
    await rig.complete(holder, *await rig.claim(holder))
    for name in ("one", "two"):
        await begin(rig, task, minute(-1), minute(1), name, reprocess="ALL")
        await run_out(rig, runner, holder)
    roots = [row["root"] for row in await rig.rows("SELECT root FROM run WHERE task = $1 ORDER BY root", task)]
    base = f"{task}/1/cron:20260302T14"
    assert roots == [f"{base}0000", f"{base}0000!1", f"{base}0100", f"{base}0100!1", f"{base}0100!2"]
    assert await minutes(rig, task) == [(0, "ENQUEUED", 1), (1, "ENQUEUED", 1)]
    latest = await rig.value("SELECT run FROM occurrence WHERE task = $1 AND instant = $2", task, minute(1))
    assert latest == await rig.value("SELECT id FROM run WHERE root = $1", f"{base}0100!2")


async def test_a_merged_row_is_split_around_the_instants_that_run(rig: Rig, runner: LoopRunner) -> None:
    task, holder = await minutely(rig), await rig.lease(10**7)
    await settle(rig, runner)
    await rig.turn_clock(minutes=10, seconds=10)
    await settle(rig, runner)
    assert await minutes(rig, task) == [(1, "COALESCED", 9), (10, "ENQUEUED", 1)]
    await begin(rig, task, minute(3), minute(5))
    await run_out(rig, runner, holder)
    assert await minutes(rig, task) == [
        (1, "COALESCED", 3),
        (4, "COALESCED", 1),
        (5, "COALESCED", 1),
        (6, "COALESCED", 4),
        (10, "ENQUEUED", 1),
    ]
    rows = await rig.rows("SELECT key, run, reason FROM occurrence WHERE task = $1 ORDER BY instant", task)
    assert [row["key"][-6:-2] for row in rows] == ["1401", "1404", "1405", "1406", "1410"]
    assert [row["run"] is not None for row in rows] == [False, True, True, False, True]
    assert {row["reason"] for row in rows[:4]} == {"a later one had passed as well"}


@pytest.mark.parametrize("accounted", [True, False])
async def test_rows_of_an_older_schedule_are_split_by_that_schedule(
    rig: Rig, runner: LoopRunner, accounted: bool
) -> None:
    """Whether they were written before the schedule changed or afterwards."""
    task, holder = await rig.task({"interval": "60s"}), await rig.lease(10**7)
    await settle(rig, runner)
    await rig.turn_clock(minutes=10, seconds=10)
    if accounted:
        await settle(rig, runner)
    await rig.turn_clock(seconds=1)
    async with rig.database.transaction() as connection:
        await cursor.settle(connection, task)
    await rig.execute(
        "INSERT INTO task_version (task, version, pipeline, tools, scopes, schedule, run_policy, params, "
        "params_schema, overlap, priority, max_losses, run_timeout, create_time) "
        "SELECT task, 2, pipeline, tools, scopes, "
        "jsonb_set(schedule, '{triggers,0,interval}', '\"90s\"'), "
        "run_policy, params, params_schema, overlap, priority, max_losses, run_timeout, clock_now() "
        "FROM task_version WHERE task = $1", task,
    )  # fmt: skip
    await rig.execute("UPDATE task SET version = 2 WHERE uid = $1", task)
    async with rig.database.transaction() as connection:
        await cursor.replan(connection, project="default", task=task, last_instant=rig.now, event_triggers=[])
    await settle(rig, runner)
    await begin(rig, task, BEGINNING, minute(5))
    ran = await run_out(rig, runner, holder)
    assert ran == [BEGINNING + number * timedelta(seconds=90) for number in range(1, 4)]
    rows = await rig.rows(
        "SELECT instant, count, outcome, key FROM occurrence WHERE task = $1 ORDER BY instant LIMIT 5", task
    )
    assert [((row["instant"] - BEGINNING).total_seconds(), row["count"], row["outcome"]) for row in rows] == [
        (60, 2, "COALESCED"),
        (90, 1, "ENQUEUED"),
        (180, 1, "COALESCED"),
        (240, 6, "COALESCED"),
        (270, 1, "ENQUEUED"),
    ]
    assert [row["key"][0] for row in rows] == ["1", "2", "1", "1", "2"]


async def test_a_paused_task_pauses_its_backfills(rig: Rig, runner: LoopRunner) -> None:
    task, holder = await minutely(rig), await rig.lease(10**7)
    await settle(rig, runner)
    await begin(rig, task, minute(-10), minute(-5), parallelism=1)
    await rig.execute("UPDATE task SET state = 'PAUSED' WHERE uid = $1", task)
    assert await run_out(rig, runner, holder) == []
    assert (await look(rig, task)).state == "PAUSED"
    await rig.execute("UPDATE task SET state = 'ACTIVE' WHERE uid = $1", task)
    assert len(await run_out(rig, runner, holder)) == 5


async def test_a_backfill_waits_for_instants_that_are_not_settled_yet(rig: Rig, runner: LoopRunner) -> None:
    task, holder = await minutely(rig), await rig.lease(10**7)
    await settle(rig, runner)
    await rig.turn_clock(minutes=3, seconds=30)
    await begin(rig, task, minute(-1), minute(3), "wide")
    await begin(rig, task, minute(-3), minute(-1), "narrow")
    assert await run_out(rig, runner, holder) == [minute(-2), minute(-1)]
    await settle(rig, runner)
    assert await run_out(rig, runner, holder) == [minute(0), minute(1), minute(2)]
    assert await minutes(rig, task) == [
        *((number, "ENQUEUED", 1) for number in (-2, -1, 0)),
        *((number, "COALESCED", 1) for number in (1, 2)),
        (3, "ENQUEUED", 1),
    ]


async def test_unsettled_ranges_are_settled_before_a_backfill(rig: Rig, runner: LoopRunner) -> None:
    task, holder = await minutely(rig, catch_up={"policy": "NONE"}), await rig.lease(10**7)
    await settle(rig, runner)
    await rig.turn_clock(minutes=5, seconds=30)
    async with rig.database.transaction() as connection:
        await cursor.pause(connection, task)
        await cursor.resume(connection, task)
    assert await rig.value("SELECT count(*) FROM unsettled_range") == 1
    await runner.loops["plan"]()
    await begin(rig, task, minute(0), minute(3))
    assert await run_out(rig, runner, holder) == []
    await settle(rig, runner)
    assert await rig.value("SELECT count(*) FROM unsettled_range") == 0
    before = await minutes(rig, task)
    assert sum(count for _, _, count in before) == 5
    assert len(await run_out(rig, runner, holder)) == (await look(rig, task)).enqueued > 0
    assert sum(count for _, _, count in await minutes(rig, task)) == 5


async def test_a_due_cursor_has_precedence_over_a_backfill(rig: Rig, runner: LoopRunner) -> None:
    task, holder = await minutely(rig), await rig.lease(10**7)
    await settle(rig, runner)
    async with rig.database.transaction() as connection:
        await cursor.snooze(connection, task, minute(1) + 30 * timedelta(seconds=1))
    await rig.turn_clock(minutes=1, seconds=10)
    await begin(rig, task, minute(-1), minute(1), reprocess="ALL")
    assert await run_out(rig, runner, holder) == [minute(0)]
    done = await look(rig, task)
    assert (done.state, done.enqueued, done.skipped) == ("COMPLETED", 1, 1)
    await rig.turn_clock(seconds=20)
    await settle(rig, runner)
    assert await minutes(rig, task) == [(0, "ENQUEUED", 1), (1, "ENQUEUED", 1)]


async def test_a_cancelled_backfill_enqueues_nothing_and_counts_runs_that_end_later(
    rig: Rig, runner: LoopRunner
) -> None:
    task, holder = await minutely(rig), await rig.lease(10**7)
    await settle(rig, runner)
    await begin(rig, task, minute(-50), minute(0), parallelism=4)
    await runner.backfill()
    claimed = await rig.claim(holder)
    async with rig.database.transaction() as connection:
        [uid] = await backfill.cancel(connection, task, "again", "enough")
        assert not await backfill.cancel(connection, task, "again", "twice")
        assert await backfill.live_runs(connection, uid) == sorted(row.id for row in claimed)
    await end(rig, holder, *claimed)
    assert await run_out(rig, runner, holder) == []
    done = await look(rig, task)
    assert (done.state, done.state_reason, done.enqueued, done.succeeded) == ("CANCELLED", "enough", 4, 4)


async def test_a_backfill_that_cannot_be_processed_does_not_stop_the_others(rig: Rig, runner: LoopRunner) -> None:
    broken, fine, holder = await minutely(rig), await minutely(rig), await rig.lease(10**7)
    await settle(rig, runner)
    await begin(rig, broken, minute(-3), minute(0))
    await begin(rig, fine, minute(-3), minute(0))
    await rig.execute('UPDATE task_version SET schedule = \'{"triggers": [{"cron": 5}]}\' WHERE task = $1', broken)
    assert len(await run_out(rig, runner, holder)) == 3
    assert (await look(rig, broken)).state == "CANCELLED"
    assert (await look(rig, broken)).state_reason.startswith("could not be processed (error ")
    assert (await look(rig, fine)).state == "COMPLETED"
