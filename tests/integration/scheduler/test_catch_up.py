"""What passed while nothing could fire it is accounted for: run, or recorded with its reason."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from ordinaut.store import event
from ordinaut.store.hints import Hints
from ordinaut.store.tasks import cursor
from scheduler.events.matcher import Matcher
from scheduler.events.relay import Relay
from scheduler.maintenance.retention import Retention
from scheduler.schedules.schedule import CompiledSchedule
from tests.integration.scheduler.test_fire import EVERY_MINUTE, every
from tests.integration.support.queue_rig import BEGINNING, Rig
from tests.integration.support.scheduler_rig import LoopRunner, NoStream, instants, ledger, settle

MINUTE = timedelta(minutes=1)


async def _state(rig: Rig, task: UUID) -> tuple[str, str]:
    [row] = await rig.rows("SELECT state, state_reason FROM task WHERE uid = $1", task)
    return tuple(row)


async def _pause(rig: Rig, task: UUID) -> None:
    async with rig.database.transaction() as connection:
        await cursor.pause(connection, task)


async def _resume(rig: Rig, task: UUID) -> None:
    async with rig.database.transaction() as connection:
        await cursor.resume(connection, task)


async def test_after_an_hour_the_newest_runs_and_the_others_are_merged_into_one_row(rig: Rig) -> None:
    task = await rig.task(EVERY_MINUTE)
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.turn_clock(hours=1, seconds=30)
    await settle(rig, runner)
    newest = BEGINNING + 60 * MINUTE
    assert await ledger(rig, task) == [(BEGINNING + MINUTE, "COALESCED", 59), (newest, "ENQUEUED", 1)]
    [row] = await rig.rows("SELECT last_instant FROM occurrence WHERE outcome = 'COALESCED'")
    assert row["last_instant"] == newest - MINUTE
    assert await rig.rows("SELECT scheduled_time FROM due_work") == [(newest,)]
    assert await rig.value("SELECT next_instant FROM schedule_cursor") == newest + MINUTE


async def test_the_newest_is_missed_outside_the_window(rig: Rig) -> None:
    task = await rig.task({"cron": "0 * * * *"}, catch_up={"window": "600s"})
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.turn_clock(hours=3, minutes=11)
    await settle(rig, runner)
    assert await ledger(rig, task) == [
        (BEGINNING + timedelta(hours=1), "COALESCED", 2),
        (BEGINNING + timedelta(hours=3), "MISSED", 1),
    ]
    assert await rig.value("SELECT count(*) FROM due_work") == 0


async def test_a_single_time_runs_however_late_and_then_the_task_is_completed(rig: Rig) -> None:
    task = await rig.task({"once": (BEGINNING + MINUTE).isoformat()})
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.turn_clock(days=400)
    await settle(rig, runner)
    assert await ledger(rig, task) == [(BEGINNING + MINUTE, "ENQUEUED", 1)]
    assert (await _state(rig, task))[0] == "ACTIVE"  # its run is live
    holder = await rig.lease()
    await rig.complete(holder, *await rig.claim(holder))
    await _match_all(rig)
    assert await _state(rig, task) == ("COMPLETED", "the schedule has ended")
    topics = await rig.rows("SELECT e ->> 'topic' FROM outbox, json_array_elements(events) AS e ORDER BY id")
    assert [row[0] for row in topics][-1] == "ordinaut.task.completed"


async def _match_all(rig: Rig) -> None:
    """Relays and matches what the log holds, without Redis."""
    hints = Hints(rig.database)
    relay = Relay(rig.database, NoStream(), hints)  # type: ignore[arg-type]
    matcher = Matcher(rig.database, hints)
    await relay.number()
    async with rig.database.connection() as connection:
        last = await event.last_position(connection)
    while await rig.value("SELECT value FROM position WHERE name = 'matcher'") < last:
        await matcher.run_once()


async def test_days_of_downtime_are_recorded_to_the_second(rig: Rig) -> None:
    task = await rig.task(every(20))
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.turn_clock(days=1, seconds=7)
    await settle(rig, runner)
    rows = await ledger(rig, task)
    assert rows[-1] == (BEGINNING + timedelta(days=1), "ENQUEUED", 1)
    assert {outcome for _, outcome, _ in rows[:-1]} == {"COALESCED"}
    assert sum(count for *_, count in rows) == 24 * 180


@pytest.mark.parametrize("seconds", [4.9, 5.1, 60.0])
async def test_lateness_never_makes_two_runs_of_one_instant(seconds: float, rig: Rig) -> None:
    task = await rig.task({"cron": "0 13 * * *"})
    runner, other = LoopRunner(rig.database, rig.settings), LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    schedule = json.loads(await rig.value("SELECT schedule::text FROM task_version WHERE task = $1", task))
    [instant] = instants(schedule, BEGINNING, BEGINNING + timedelta(days=1))
    await rig.turn_clock(seconds=(instant - BEGINNING).total_seconds() + seconds)
    await settle(rig, runner, other)
    assert await ledger(rig, task) == [(instant, "ENQUEUED", 1)]


async def test_a_pause_is_recorded_in_one_row_and_firing_continues_after_it(rig: Rig) -> None:
    task = await rig.task(EVERY_MINUTE)
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await _pause(rig, task)
    await rig.turn_clock(minutes=30, seconds=30)
    await settle(rig, runner)
    assert await ledger(rig, task) == []
    await _resume(rig, task)
    await settle(rig, runner)
    await rig.turn_clock(seconds=30)
    await settle(rig, runner)
    assert await ledger(rig, task) == [
        (BEGINNING + MINUTE, "PAUSED", 30),
        (BEGINNING + 31 * MINUTE, "ENQUEUED", 1),
    ]


async def test_a_long_pause_of_a_fast_schedule_is_recorded_whole(rig: Rig) -> None:
    task = await rig.task(every(1))
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await _pause(rig, task)
    await rig.turn_clock(seconds=2500)
    await _resume(rig, task)
    await settle(rig, runner)
    rows = await ledger(rig, task)
    assert {outcome for _, outcome, _ in rows} == {"PAUSED"}
    assert sum(count for *_, count in rows) == 2500


@pytest.mark.parametrize("topic", ["", "mail.*"])
async def test_a_task_without_time_triggers_is_not_completed_by_a_pause(topic: str, rig: Rig) -> None:
    triggers = [cursor.NewEventTrigger("t0", topic, "", None)] if topic else []
    task = await rig.task(event_triggers=triggers)
    runner = LoopRunner(rig.database, rig.settings)
    await _pause(rig, task)
    await _resume(rig, task)
    await settle(rig, runner)
    assert (await _state(rig, task))[0] == "ACTIVE"


async def test_a_schedule_that_has_ended_during_a_pause_completes_its_task(rig: Rig) -> None:
    task = await rig.task({"once": (BEGINNING + MINUTE).isoformat()})
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await _pause(rig, task)
    await rig.turn_clock(hours=1)
    await _resume(rig, task)
    await settle(rig, runner)
    assert await ledger(rig, task) == [(BEGINNING + MINUTE, "PAUSED", 1)]
    assert (await _state(rig, task))[0] == "COMPLETED"


@pytest.mark.parametrize("late", [False, True])
async def test_a_schedule_that_cannot_be_planned_pauses_only_its_task(
    late: bool, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    guilty, good = await rig.task({"interval": "60s", "params": {"guilty": True}}), await rig.task(EVERY_MINUTE)
    runner = LoopRunner(rig.database, rig.settings)
    if late:
        await settle(rig, runner)

    def read_or_fail(text: str) -> Any:
        if "guilty" in text:
            raise OverflowError("a defect")
        return real(text)

    real = CompiledSchedule.read
    monkeypatch.setattr(CompiledSchedule, "read", staticmethod(read_or_fail))
    await rig.turn_clock(minutes=1, seconds=30 if late else 0)
    await settle(rig, runner)
    state, reason = await _state(rig, guilty)
    assert (state, reason.startswith("could not be ")) == ("PAUSED", True)
    assert "(error " in reason
    assert "a defect" not in reason, "it is logged only"
    assert (await _state(rig, good))[0] == "ACTIVE"
    assert [outcome for _, outcome, _ in await ledger(rig, good)] == ["ENQUEUED"]


async def test_a_clock_that_jumps_back_fires_nothing_twice(rig: Rig) -> None:
    task = await rig.task(every(10))
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    for _ in range(6):
        await rig.turn_clock(seconds=10)
        await settle(rig, runner)
    await rig.turn_clock(minutes=-1)
    for _ in range(9):
        await rig.turn_clock(seconds=10)
        await settle(rig, runner)
    assert await ledger(rig, task) == [(BEGINNING + timedelta(seconds=10 * n), "ENQUEUED", 1) for n in range(1, 10)]


async def test_only_the_plan_that_postgres_rejects_is_set_aside(rig: Rig) -> None:
    tasks = [await rig.task(EVERY_MINUTE) for _ in range(5)]
    guilty = await rig.task({"id": "refused", "cron": "* * * * *"})
    tasks += [await rig.task(EVERY_MINUTE) for _ in range(5)]
    await rig.execute("ALTER TABLE schedule_cursor ADD CHECK (next_trigger <> 'refused')")
    await settle(rig, LoopRunner(rig.database, rig.settings))
    assert (await _state(rig, guilty))[0] == "PAUSED"
    planned = await rig.rows("SELECT task FROM schedule_cursor WHERE next_instant IS NOT NULL")
    assert {row["task"] for row in planned} == set(tasks)


async def test_an_unrecorded_end_is_found_by_retention(rig: Rig) -> None:
    once = {"once": (BEGINNING + MINUTE).isoformat()}
    ended, running, waiting = await rig.task(once), await rig.task(once), await rig.task(EVERY_MINUTE)
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.turn_clock(minutes=1)
    await settle(rig, runner)
    await rig.execute("DELETE FROM due_work WHERE task = $1", ended)
    assert not await Retention(rig.database, timedelta(days=400)).run_once()
    assert [(await _state(rig, task))[0] for task in (ended, running, waiting)] == ["COMPLETED", "ACTIVE", "ACTIVE"]
