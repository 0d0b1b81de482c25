"""Claims, leases and fences: which writes are accepted, and which are not."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from ordinaut.store.queue import due_work_claim, due_work_finish, due_work_recover, lease
from ordinaut.store.queue.due_work_claim import LeasedRow
from tests.integration.support.queue_rig import BEGINNING, Rig


async def test_a_claim_takes_the_most_urgent_class_first_and_its_oldest_rows(rig: Rig) -> None:
    least = await rig.queue(3, priority=9)
    default = await rig.queue(3)
    urgent = await rig.queue(3, priority=1)
    claimed = await rig.claim(await rig.lease(), 7)
    assert {row.id for row in claimed} == {*urgent, *default, least[0]}


async def test_a_claim_needs_a_live_lease(rig: Rig) -> None:
    await rig.queue(1)
    holder = await rig.lease(seconds=10)
    await rig.turn_clock(seconds=10)
    assert await rig.claim(holder) == []
    draining = await rig.lease()
    async with rig.database.connection() as connection:
        await lease.drain(connection, draining)
    assert await rig.claim(draining) == []


async def test_an_expired_lease_cannot_be_renewed(rig: Rig) -> None:
    holder = await rig.lease(seconds=10)
    async with rig.database.connection() as connection:
        await rig.turn_clock(seconds=9)
        assert await lease.renew(connection, holder, 10)
        await rig.turn_clock(seconds=10)
        assert not await lease.renew(connection, holder, 10)


async def test_each_claim_raises_fence_and_claims_and_keeps_the_segment_time(rig: Rig) -> None:
    [run] = await rig.queue(1)
    counters = []
    for _ in range(3):
        holder = await rig.lease()
        [row] = await rig.claim(holder)
        counters.append((row.fence, row.claims, row.segment_time))
        async with rig.database.connection() as connection:
            assert await due_work_finish.release(connection, holder, [run], [row.fence]) == 1
        await rig.turn_clock(seconds=1)
    assert counters == [(1, 1, BEGINNING), (2, 2, BEGINNING), (3, 3, BEGINNING)]


async def _writes(rig: Rig, holder: UUID, run: UUID, fence: int) -> dict[str, Any]:
    """The answer to each kind of write of a worker."""
    claimed = LeasedRow(run, fence, False)
    async with rig.database.transaction() as connection:
        return {
            "locks": await due_work_finish.lock_owned(connection, holder, [run], [fence]),
            "delays": await due_work_finish.delay(connection, holder, [run], [fence], [1000]),
            "cancels": await due_work_finish.end_cancelled_owned(connection, holder, [run], [fence]),
            "completes": await rig.complete(holder, claimed),
        }


@pytest.mark.parametrize("wrong", ["fence", "owner", "expired", "returned"])
async def test_a_write_with_a_wrong_fence_owner_or_lease_changes_nothing(wrong: str, rig: Rig) -> None:
    [run] = await rig.queue(1)
    holder = await rig.lease(seconds=10)
    [row] = await rig.claim(holder)
    await rig.execute("UPDATE due_work SET cancel_requested = true")
    fence, writer = row.fence, holder
    if wrong == "fence":
        fence -= 1
    elif wrong == "owner":
        writer = await rig.lease()
    elif wrong == "expired":
        await rig.turn_clock(seconds=10)
    else:
        async with rig.database.connection() as connection:
            await due_work_finish.release(connection, holder, [run], [fence])
    before = await rig.row(run)
    answers = await _writes(rig, writer, run, fence)
    assert answers == {"locks": set(), "delays": set(), "cancels": set(), "completes": set()}
    assert await rig.row(run) == before
    assert await rig.value("SELECT count(*) FROM run") == 0
    assert await rig.value("SELECT count(*) FROM outbox") == 0


async def test_a_worker_with_an_old_fence_cannot_change_the_row_of_the_next_claim(rig: Rig) -> None:
    [run] = await rig.queue(1)
    zombie = await rig.lease(seconds=10)
    [old] = await rig.claim(zombie)
    await rig.turn_clock(seconds=11)
    async with rig.database.connection() as connection:
        assert await due_work_recover.rescue(connection, 10) == 1
    async with rig.database.connection() as connection:
        [new] = await due_work_claim.claim_quarantined(connection, await rig.lease())
    assert new.fence == old.fence + 1
    async with rig.database.connection() as connection:
        assert await due_work_finish.release(connection, zombie, [run], [old.fence]) == 0
        assert await due_work_finish.lose(connection, zombie, [run], [old.fence]) == 0
    assert await rig.complete(zombie, old) == set()
    assert (await rig.row(run))["state"] == "LEASED"


async def test_concurrent_claims_take_every_row_exactly_once(rig: Rig) -> None:
    runs = await rig.queue(600) + await rig.queue(200, priority=2)
    counts: Counter[UUID] = Counter()

    async def worker(batch: int) -> None:
        holder = await rig.lease()
        while rows := await rig.claim(holder, batch):
            counts.update(row.id for row in rows)

    await asyncio.gather(*(worker(batch) for batch in (1, 7, 20, 33, 50)))
    rest = await rig.claim(await rig.lease(), 800)  # a worker stops when the remaining rows are locked by others
    counts.update(row.id for row in rest)
    assert counts == Counter(runs)


async def test_concurrent_completions_end_a_run_once(rig: Rig) -> None:
    [run] = await rig.queue(1)
    holder = await rig.lease()
    [row] = await rig.claim(holder)
    answers = await asyncio.gather(*(rig.complete(holder, row, state=state) for state in ("SUCCEEDED", "FAILED") * 4))
    assert sorted(map(len, answers)) == [0] * 7 + [1]
    assert await rig.value("SELECT count(*) FROM run WHERE id = $1", run) == 1
    assert await rig.value("SELECT sum(count) FROM outbox") == 1


async def test_a_low_water_mark_skips_only_rows_below_it(rig: Rig) -> None:
    first, second = await rig.queue(2)
    mark = (await rig.row(second))["ready_time"]
    async with rig.database.connection() as connection:
        [row] = await due_work_claim.claim(connection, await rig.lease(), {5: mark}, 10)
        assert row.id == second
        [row] = await due_work_claim.claim(connection, await rig.lease(), {5: mark - timedelta(microseconds=1)}, 10)
        assert row.id == first


async def test_rows_more_urgent_than_a_backlog_can_be_claimed_separately(rig: Rig) -> None:
    await rig.queue(5)
    [urgent] = await rig.queue(1, priority=1)
    async with rig.database.connection() as connection:
        [row] = await due_work_claim.claim(connection, await rig.lease(), {}, 10, before=5)
        assert row.id == urgent
        assert not await due_work_claim.claim(connection, await rig.lease(), {}, 10, before=5)
        assert len(await due_work_claim.claim(connection, await rig.lease(), {}, 10)) == 5


async def test_a_lease_with_rows_is_not_deleted(rig: Rig) -> None:
    await rig.queue(1)
    holder, idle = await rig.lease(seconds=10), await rig.lease(seconds=10)
    await rig.claim(holder)
    async with rig.database.connection() as connection:
        await lease.delete_unused(connection, holder)
        await rig.turn_clock(minutes=2)
        assert await lease.delete_expired(connection) == 1
    assert await rig.rows("SELECT id FROM lease") == [(holder,)]
    assert idle != holder
