"""How rows leave a worker or the queue: ends, delays, losses, rescue, cancellation."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from ordinaut.store.hints import Hints
from ordinaut.store.queue import due_work_claim, due_work_finish, due_work_recover
from ordinaut.store.queue.due_work_claim import ClaimedRun
from scheduler.maintenance.promote import Promote
from scheduler.maintenance.rescue import Rescue
from tests.integration.support.queue_rig import Rig
from tests.patience import PATIENCE


async def _lose(rig: Rig, rows: list[ClaimedRun], holder: UUID) -> None:
    async with rig.database.connection() as connection:
        await due_work_finish.lose(connection, holder, [row.id for row in rows], [row.fence for row in rows])


async def _claim_quarantined(rig: Rig, holder: UUID) -> list[ClaimedRun]:
    async with rig.database.connection() as connection:
        return await due_work_claim.claim_quarantined(connection, holder)


async def _rescue(rig: Rig) -> None:
    rescue = Rescue(rig.database, Hints(rig.database))
    while await rescue.run_once():
        pass


async def _ended(rig: Rig, run: UUID) -> Any:
    [row] = await rig.rows("SELECT state, error::text AS error, cancel_reason, losses FROM run WHERE id = $1", run)
    return row


async def test_each_loss_reduces_the_isolation_size_until_the_run_is_alone(rig: Rig) -> None:
    await rig.queue(100)
    holder = await rig.lease()
    await _lose(rig, await rig.claim(holder), holder)
    sizes = []
    for _ in range(4):
        group = await _claim_quarantined(rig, holder)
        sizes.append(len(group))
        isolation = await rig.rows("SELECT DISTINCT isolation_size FROM due_work WHERE state = 'LEASED'")
        assert len(isolation) == 1
        await _lose(rig, group, holder)
        await rig.execute("DELETE FROM due_work WHERE id <> ALL($1::uuid[])", [row.id for row in group])
        await rig.turn_clock(seconds=1)
    assert sizes == [64, 16, 4, 1]


async def test_a_lost_run_is_not_claimed_together_with_others(rig: Rig) -> None:
    [lost] = await rig.queue(1)
    holder = await rig.lease()
    await _lose(rig, await rig.claim(holder), holder)
    [fresh] = await rig.queue(1)
    assert [row.id for row in await rig.claim(holder)] == [fresh]
    assert [row.id for row in await _claim_quarantined(rig, holder)] == [lost]


async def test_three_losses_of_a_run_that_was_alone_end_it(rig: Rig) -> None:
    [run] = await rig.queue(1)
    holder = await rig.lease()
    await _lose(rig, await rig.claim(holder), holder)
    for _ in range(6):
        assert (await rig.row(run)) is not None
        await _lose(rig, await _claim_quarantined(rig, holder), holder)
    assert (await rig.row(run))["losses"] == 3
    assert await _claim_quarantined(rig, holder) == []
    await _rescue(rig)
    ended = await _ended(rig, run)
    assert ended["state"] == "FAILED"
    assert '"LOST_TOO_OFTEN"' in ended["error"]
    assert await rig.row(run) is None


async def test_rescue_returns_exactly_the_rows_without_a_live_lease(rig: Rig) -> None:
    await rig.queue(500)
    dead, alive = await rig.lease(seconds=10), await rig.lease(seconds=100)
    lost = await rig.claim(dead, 450)
    alive_rows = await rig.claim(alive, 50)
    await rig.turn_clock(seconds=11)
    await asyncio.gather(_rescue(rig), _rescue(rig))
    states = dict(await rig.rows("SELECT id, state FROM due_work"))
    assert {run for run, state in states.items() if state == "READY"} == {row.id for row in lost}
    assert {run for run, state in states.items() if state == "LEASED"} == {row.id for row in alive_rows}
    assert await rig.value("SELECT count(*) FROM due_work WHERE isolation_size = 64") == 450


async def test_a_delayed_run_is_claimable_when_it_is_due_and_not_before(rig: Rig) -> None:
    [run] = await rig.queue(1)
    holder = await rig.lease(seconds=100)
    [row] = await rig.claim(holder)
    async with rig.database.connection() as connection:
        assert await due_work_finish.delay(connection, holder, [run], [row.fence], [10_000]) == {run}
    promote = Promote(rig.database, Hints(rig.database))
    await rig.turn_clock(seconds=9.999)
    await promote.run_once()
    assert await promote.seconds_to_next() == pytest.approx(0.001)
    assert await rig.claim(holder) == []
    await rig.turn_clock(seconds=0.001)
    await promote.run_once()
    [again] = await rig.claim(holder)
    assert (again.id, again.fence) == (run, row.fence + 1)


async def test_a_batch_of_promotions_is_shared_by_two_schedulers(rig: Rig) -> None:
    await rig.queue(2500, state="DELAYED", ready_in=1)
    await rig.turn_clock(seconds=2)

    async def promote_all() -> None:
        promote = Promote(rig.database, Hints(rig.database))
        while await promote.run_once():
            pass

    await asyncio.gather(promote_all(), promote_all())
    await promote_all()
    assert await rig.value("SELECT count(*) FROM due_work WHERE state = 'READY'") == 2500


@pytest.mark.parametrize("state", ["READY", "DELAYED"])
async def test_cancelling_a_run_that_is_not_leased_ends_it_at_once(state: str, rig: Rig) -> None:
    [run] = await rig.queue(1, state=state)
    async with rig.database.transaction() as connection:
        assert await due_work_finish.request_cancel(connection, run=run, reason="no more") == "ENDED"
    ended = await _ended(rig, run)
    assert (ended["state"], ended["cancel_reason"]) == ("CANCELLED", "no more")
    topics = await rig.value("SELECT events::jsonb -> 0 ->> 'topic' FROM outbox")
    assert topics == "ordinaut.run.cancelled"


async def test_cancelling_a_leased_run_is_requested_from_its_worker(rig: Rig) -> None:
    [run] = await rig.queue(1)
    holder = await rig.lease()
    [row] = await rig.claim(holder)
    async with rig.database.connection() as connection:
        assert await due_work_finish.end_cancelled_owned(connection, holder, [run], [row.fence]) == set()
        assert await due_work_finish.request_cancel(connection, run=run, reason="no more") == "REQUESTED"
        assert await due_work_claim.cancel_requests(connection, holder) == {run}
        assert await due_work_finish.end_cancelled_owned(connection, holder, [run], [row.fence]) == {run}
        assert await due_work_finish.request_cancel(connection, run=run, reason="again") == "UNKNOWN"
    assert (await _ended(rig, run))["cancel_reason"] == "no more"


@pytest.mark.parametrize("way", ["release", "delay", "lose", "rescue"])
async def test_a_returned_run_with_a_requested_cancel_is_never_claimed_again(way: str, rig: Rig) -> None:
    [run] = await rig.queue(1)
    holder = await rig.lease(seconds=10)
    [row] = await rig.claim(holder)
    async with rig.database.connection() as connection:
        await due_work_finish.request_cancel(connection, run=run, reason="no more")
        if way == "release":
            await due_work_finish.release(connection, holder, [run], [row.fence])
        elif way == "delay":
            await due_work_finish.delay(connection, holder, [run], [row.fence], [3_600_000])
        elif way == "lose":
            await due_work_finish.lose(connection, holder, [run], [row.fence])
        else:
            await rig.turn_clock(seconds=11)
            await due_work_recover.rescue(connection, 10)
    other = await rig.lease()
    assert await rig.claim(other) == []
    assert await _claim_quarantined(rig, other) == []
    await _rescue(rig)
    assert (await _ended(rig, run))["state"] == "CANCELLED"


async def _task_with_finally(rig: Rig) -> UUID:
    task = await rig.task()
    await rig.execute("""UPDATE task_version SET pipeline = pipeline || '{"finally": []}'""")
    return task


@pytest.mark.parametrize("way", ["release", "delay", "lose", "rescue"])
async def test_a_returned_run_with_finally_is_claimed_again_with_its_cancellation(way: str, rig: Rig) -> None:
    """Once lost, in quarantine; after too many losses it ends without its steps."""
    [run] = await rig.queue(1, of=await _task_with_finally(rig))
    holder = await rig.lease(seconds=10)
    [row] = await rig.claim(holder)
    assert (row.cancel_requested, row.elapsed_ms) == (False, 0)
    async with rig.database.connection() as connection:
        await due_work_finish.request_cancel(connection, run=run, reason="no more")
        if way == "release":
            await due_work_finish.release(connection, holder, [run], [row.fence])
        elif way == "delay":
            await due_work_finish.delay(connection, holder, [run], [row.fence], [3_600_000])
        elif way == "lose":
            await due_work_finish.lose(connection, holder, [run], [row.fence])
        else:
            await rig.turn_clock(seconds=11)
            await due_work_recover.rescue(connection, 10)
    await _rescue(rig)
    assert await rig.value("SELECT ready_time <= clock_now() FROM due_work")
    await rig.turn_clock(seconds=4)
    other = await rig.lease()
    claimed = [*await rig.claim(other), *await _claim_quarantined(rig, other)]
    assert [(again.id, again.cancel_requested) for again in claimed] == [(run, True)]
    assert claimed[0].elapsed_ms == (15_000 if way == "rescue" else 4_000)
    await rig.execute("UPDATE due_work SET losses = 3, isolation_size = 1, state = 'READY', lease_owner = NULL")
    await _rescue(rig)
    assert (await _ended(rig, run))["state"] == "CANCELLED"


@pytest.mark.parametrize("state", ["READY", "DELAYED", "WAITING"])
@pytest.mark.parametrize("started", [True, False])
async def test_cancelling_a_run_with_finally_that_is_not_leased(state: str, started: bool, rig: Rig) -> None:
    """It becomes claimable if it has started; its waits are CANCELLED steps at once."""
    [run] = await rig.queue(1, of=await _task_with_finally(rig), state=state)
    if started:
        await rig.execute("UPDATE due_work SET start_time = clock_now(), claims = 1, due_time = clock_now()")
    await rig.execute(
        "INSERT INTO wait (run, path, project, kind, tool, topic, create_position, create_time)"
        " SELECT id, 'w', project, 'TIMER', 't.t', '', 0, clock_now() FROM due_work"
        " UNION ALL SELECT id, '', project, 'DELAY', '', '', 0, clock_now() FROM due_work"
    )
    await rig.turn_clock(seconds=7)
    async with rig.database.transaction() as connection:
        wanted = "REQUESTED" if started else "ENDED"
        assert await due_work_finish.request_cancel(connection, run=run, reason="no more") == wanted
        second = "REQUESTED" if started else "UNKNOWN"
        assert await due_work_finish.request_cancel(connection, run=run, reason="again") == second
    assert await rig.value("SELECT count(*) FROM wait") == 0
    assert await rig.value("SELECT state FROM step_run WHERE path = 'w'") == "CANCELLED"
    assert await rig.value("SELECT count(*) FROM step_run") == 1
    if not started:
        return
    assert await rig.value("SELECT extract(epoch FROM waited)::int FROM due_work") == (7 if state == "WAITING" else 0)
    holder = await rig.lease()
    [row] = await rig.claim(holder)
    assert (row.cancel_requested, row.elapsed_ms) == (True, 7000)
    async with rig.database.connection() as connection:
        assert await due_work_finish.end_cancelled_owned(connection, holder, [run], [row.fence]) == {run}
    assert (await _ended(rig, run))["cancel_reason"] == "no more"


async def test_deleting_a_task_lets_started_runs_with_finally_finish(rig: Rig) -> None:
    task = await _task_with_finally(rig)
    started = await rig.queue(3, of=task, state="DELAYED")
    await rig.execute("UPDATE due_work SET start_time = clock_now()")
    await rig.queue(1200, of=task)
    async with rig.database.transaction() as connection:
        await due_work_finish.cancel_task(connection, task=task, reason="deleted")
    assert await rig.value("SELECT count(*) FROM run WHERE state = 'CANCELLED'") == 1200
    claimed = await rig.claim(await rig.lease(), 10)
    assert {row.id for row in claimed if row.cancel_requested} == set(started)


async def test_deleting_a_task_cancels_its_runs_in_every_state(rig: Rig) -> None:
    task = await rig.task()
    leased = await rig.queue(3, of=task, priority=1)
    holder = await rig.lease()
    await rig.claim(holder, 3)
    await rig.queue(1500, of=task)
    await rig.queue(3, of=task, state="DELAYED")
    await rig.queue(2)
    async with rig.database.transaction() as connection:
        await due_work_finish.cancel_task(connection, task=task, reason="deleted")
    assert await rig.value("SELECT count(*) FROM run WHERE state = 'CANCELLED'") == 1503
    async with rig.database.connection() as connection:
        assert await due_work_claim.cancel_requests(connection, holder) == set(leased)
    assert await rig.value("SELECT count(*) FROM due_work") == 5


async def test_a_cancel_is_not_lost_while_rows_are_claimed_and_released(rig: Rig) -> None:
    runs = await rig.queue(60)
    stop = asyncio.Event()

    async def juggle() -> None:
        holder = await rig.lease()
        while not stop.is_set():
            rows = await rig.claim(holder, 20)
            async with rig.database.connection() as connection:
                await due_work_finish.release(connection, holder, [row.id for row in rows], [row.fence for row in rows])

    async def cancel() -> list[str]:
        async with asyncio.timeout(PATIENCE):
            answers = []
            for run in runs:
                async with rig.database.transaction() as connection:
                    answers.append(await due_work_finish.request_cancel(connection, run=run, reason="x"))
        stop.set()
        return answers

    answers, *_ = await asyncio.gather(cancel(), juggle(), juggle())
    await _rescue(rig)
    assert set(answers) <= {"ENDED", "REQUESTED"}
    assert await rig.value("SELECT count(*) FROM due_work") == 0
    assert await rig.value("SELECT count(*) FROM run WHERE state = 'CANCELLED'") == 60


async def test_a_run_that_is_in_the_history_leaves_the_queue_and_the_history_stays(rig: Rig) -> None:
    [run] = await rig.queue(1)
    holder = await rig.lease()
    [row] = await rig.claim(holder)
    await rig.complete(holder, row, state="SUCCEEDED")
    await rig.queue(1)
    await rig.execute("UPDATE due_work SET id = $1", run)
    [row] = await rig.claim(holder)
    assert await rig.complete(holder, row, state="FAILED") == {run}
    assert (await _ended(rig, run))["state"] == "SUCCEEDED"
