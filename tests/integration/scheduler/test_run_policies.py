"""Start deadlines, pauses after failures and the dead man's switch, on a clock that the test turns."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from ordinaut.store.hints import Hints
from ordinaut.store.queue import due_work_finish
from ordinaut.store.tasks import task
from scheduler.events.matcher import Matcher
from scheduler.events.relay import Relay
from scheduler.events.task_health import count_failures
from scheduler.maintenance.overdue_tasks import OverdueTasks
from scheduler.maintenance.promote import Promote
from tests.integration.support.queue_rig import Rig
from tests.integration.support.scheduler_rig import LoopRunner, NoStream, ledger, settle

EVERY_MINUTE = {"interval": "60s"}
HOUR = timedelta(hours=1)


class Loops:
    """A scheduler's loops other than those for time triggers, run on demand; the lease is long."""

    def __init__(self, rig: Rig) -> None:
        hints = Hints(rig.database)
        self._rig = rig
        self._clockwork = LoopRunner(rig.database, rig.settings)
        self._relay = Relay(rig.database, NoStream(), hints)  # type: ignore[arg-type]
        self._matcher = Matcher(rig.database, hints)
        self._promote, self._overdue = Promote(rig.database, hints), OverdueTasks(rig.database, hints)

    async def settle(self) -> None:
        """Everything that is due by now."""
        await settle(self._rig, self._clockwork)
        await self._promote.run_once()
        await self._relay.number()
        last = "SELECT (SELECT value FROM position WHERE name = 'events') - value FROM position WHERE name = 'matcher'"
        while await self._rig.value(last):
            await self._matcher.run_once()
        await self._overdue.run_once()


@pytest.fixture
def loops(rig: Rig) -> Loops:
    return Loops(rig)


async def end_one(rig: Rig, state: str) -> None:
    """A worker claims what there is and ends it."""
    holder = await rig.lease(seconds=10**6)
    assert await rig.complete(holder, *await rig.claim(holder), state=state)


async def told(rig: Rig, topic: str) -> list[dict[str, Any]]:
    """The data of the events of a topic, in order."""
    rows = await rig.rows(
        "SELECT e ->> 'data' AS data FROM outbox, json_array_elements(events) AS e WHERE e ->> 'topic' = $1 "
        "ORDER BY outbox.id",
        topic,
    )
    return [json.loads(row["data"]) for row in rows]


async def state_of(rig: Rig, uid: UUID) -> tuple[str, str]:
    [row] = await rig.rows("SELECT state, state_reason FROM task WHERE uid = $1", uid)
    return row["state"], row["state_reason"]


async def set_state(rig: Rig, uid: UUID, state: str) -> None:
    async with rig.database.transaction() as connection:
        await task.set_state(connection, uid, state, "")


async def test_a_run_not_started_by_its_deadline_ends_and_its_occurrence_is_missed(rig: Rig, loops: Loops) -> None:
    uid = await rig.task(EVERY_MINUTE, policy={"start_deadline": timedelta(seconds=30)})
    await loops.settle()
    await rig.turn_clock(minutes=1)
    await loops.settle()
    due = rig.now
    await rig.turn_clock(seconds=29)
    await loops.settle()
    assert await ledger(rig, uid) == [(due, "ENQUEUED", 1)]
    await rig.turn_clock(seconds=1)
    await loops.settle()
    assert await ledger(rig, uid) == [(due, "MISSED", 1)]
    [row] = await rig.rows("SELECT state, error ->> 'code' AS code, cancel_reason, start_time FROM run")
    assert (row["state"], row["code"], row["start_time"]) == ("CANCELLED", "START_DEADLINE", None)
    assert row["cancel_reason"]
    assert len(await told(rig, "ordinaut.run.cancelled")) == 1


async def test_a_claim_after_the_deadline_gets_nothing_even_before_promotion(rig: Rig, loops: Loops) -> None:
    await rig.task(EVERY_MINUTE, policy={"start_deadline": timedelta(seconds=30)})
    await rig.task(EVERY_MINUTE)
    await loops.settle()
    await rig.turn_clock(minutes=1)
    await loops.settle()
    await rig.turn_clock(seconds=30)
    assert len(await rig.claim(await rig.lease())) == 1


async def test_a_run_that_started_in_time_may_be_retried_later(rig: Rig, loops: Loops) -> None:
    uid = await rig.task(EVERY_MINUTE, overlap=None, policy={"start_deadline": timedelta(seconds=30)})
    await loops.settle()
    await rig.turn_clock(minutes=1)
    await loops.settle()
    holder = await rig.lease(seconds=10**6)
    [row] = await rig.claim(holder)
    async with rig.database.transaction() as connection:
        assert await due_work_finish.delay(connection, holder, [row.id], [row.fence], [45_000])
    await rig.turn_clock(seconds=45)
    await loops.settle()
    assert len(await rig.claim(holder)) == 1
    assert [outcome for _, outcome, _ in await ledger(rig, uid)] == ["ENQUEUED"]


async def test_the_start_deadline_of_a_missed_instant_counts_from_its_due_time(rig: Rig, loops: Loops) -> None:
    uid = await rig.task(EVERY_MINUTE, policy={"start_deadline": timedelta(seconds=30)})
    await loops.settle()
    await rig.turn_clock(minutes=10, seconds=31)
    await loops.settle()
    assert [(outcome, times) for _, outcome, times in await ledger(rig, uid)] == [("COALESCED", 9), ("MISSED", 1)]
    assert not await rig.value("SELECT count(*) FROM due_work")


async def test_failures_in_a_row_pause_the_task_and_a_success_between_them_does_not(rig: Rig, loops: Loops) -> None:
    uid = await rig.task(EVERY_MINUTE, policy={"pause_after_failures": 2})
    await loops.settle()
    for state in ("FAILED", "SUCCEEDED", "FAILED", "FAILED"):
        assert (await state_of(rig, uid))[0] == "ACTIVE"
        await rig.turn_clock(minutes=1)
        await loops.settle()
        await end_one(rig, state)
        await loops.settle()
    assert await state_of(rig, uid) == ("PAUSED", "2 runs in a row failed")
    assert await told(rig, "ordinaut.task.paused") == [{"task_uid": str(uid), "reason": "2 runs in a row failed"}]
    await rig.turn_clock(minutes=5)
    await loops.settle()
    assert not await rig.value("SELECT count(*) FROM due_work")


async def test_resuming_resets_the_count(rig: Rig, loops: Loops) -> None:
    uid = await rig.task(policy={"pause_after_failures": 2})
    for _ in range(2):
        for round_ in range(2):
            assert (await state_of(rig, uid))[0] == "ACTIVE", round_
            await rig.queue(1, of=uid)
            await end_one(rig, "FAILED")
            await loops.settle()
        assert (await state_of(rig, uid))[0] == "PAUSED"
        await set_state(rig, uid, "ACTIVE")


async def test_a_batch_of_ends_is_counted_once_and_in_order(rig: Rig, loops: Loops) -> None:
    uid = await rig.task(policy={"pause_after_failures": 3})
    for _ in range(5):
        await rig.queue(1, of=uid)
        await end_one(rig, "FAILED")
    await loops.settle()
    await loops.settle()
    assert await state_of(rig, uid) == ("PAUSED", "3 runs in a row failed")
    assert len(await told(rig, "ordinaut.task.paused")) == 1


@pytest.mark.parametrize(
    ("before", "outcomes", "limit", "expected"),
    [
        (0, [], 1, (0, False)),
        (0, [False], 1, (1, True)),
        (1, [True, False], 2, (1, False)),
        (1, [False, True], 2, (2, True)),
        (5, [False], None, (6, False)),
        (5, [True], 3, (0, False)),
    ],
)
def test_counting(before: int, outcomes: list[bool], limit: int | None, expected: tuple[int, bool]) -> None:
    assert count_failures(before, outcomes, limit) == expected


async def test_an_overdue_task_is_announced_once_per_lapse(rig: Rig, loops: Loops) -> None:
    uid = await rig.task(policy={"expect_success_every": HOUR})
    lapses = "ordinaut.task.overdue"
    await rig.turn_clock(minutes=50)
    await rig.queue(1, of=uid)
    await end_one(rig, "SUCCEEDED")
    await loops.settle()
    await rig.turn_clock(minutes=50)
    await rig.queue(1, of=uid)
    await end_one(rig, "FAILED")
    await loops.settle()
    assert not await told(rig, lapses)
    await rig.turn_clock(minutes=10)
    for _ in range(2):
        await loops.settle()
        await rig.turn_clock(hours=2)
    assert await told(rig, lapses) == [{"task_uid": str(uid), "expect_success_every": "3600s"}]
    await rig.queue(1, of=uid)
    await end_one(rig, "SUCCEEDED")
    await loops.settle()
    await rig.turn_clock(minutes=59)
    await loops.settle()
    assert len(await told(rig, lapses)) == 1
    await rig.turn_clock(minutes=1)
    await loops.settle()
    assert len(await told(rig, lapses)) == 2


async def test_a_success_that_is_not_matched_yet_counts(rig: Rig) -> None:
    uid = await rig.task(policy={"expect_success_every": HOUR})
    await rig.turn_clock(minutes=59)
    await rig.queue(1, of=uid)
    await end_one(rig, "SUCCEEDED")
    await rig.turn_clock(minutes=1)
    await OverdueTasks(rig.database, Hints(rig.database)).run_once()
    assert not await told(rig, "ordinaut.task.overdue")


async def test_a_paused_task_is_not_overdue_and_resuming_restarts_the_period(rig: Rig, loops: Loops) -> None:
    uid = await rig.task(policy={"expect_success_every": HOUR})
    await set_state(rig, uid, "PAUSED")
    await rig.turn_clock(hours=3)
    await loops.settle()
    await set_state(rig, uid, "ACTIVE")
    await rig.turn_clock(minutes=59)
    await loops.settle()
    assert not await told(rig, "ordinaut.task.overdue")
    await rig.turn_clock(minutes=1)
    await loops.settle()
    assert len(await told(rig, "ordinaut.task.overdue")) == 1
