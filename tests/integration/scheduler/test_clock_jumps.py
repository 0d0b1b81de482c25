"""The database's clock is set: nothing fires twice, nothing is lost, and nobody keeps what is not theirs any more."""

import json
import random
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from tests.integration.support.queue_rig import BEGINNING, Rig
from tests.integration.support.scheduler_rig import LoopRunner, instants, ledger, settle

MIXED = [
    [{"cron": "* * * * *"}], [{"interval": "7s"}], [{"cron": "*/20 * * * *"}, {"interval": "90s"}],
    [{"rrule": "DTSTART:20260302T120000\nRRULE:FREQ=MINUTELY;INTERVAL=3"}], [{"cron": "5 * * * *"}],
]  # fmt: skip
HOUR = 3600


async def accounted_for(rig: Rig, task: UUID, until: datetime) -> None:
    """Each instant stands in the ledger once; neighbours may share a row."""
    schedule = json.loads(await rig.value("SELECT schedule::text FROM task_version WHERE task = $1", task))
    expected = instants(schedule, BEGINNING, until)
    place = 0
    for instant, _, count in await ledger(rig, task):
        assert instant == expected[place], schedule
        place += count
    assert place == len(expected), schedule
    runs = await rig.rows("SELECT scheduled_time FROM due_work WHERE task = $1", task)
    assert len(runs) == len(set(runs))


@pytest.mark.parametrize("seed", range(2))
async def test_each_instant_is_in_the_ledger_once_however_the_clock_jumps(seed: int, rig: Rig) -> None:
    """An hour ahead, an hour back, and again, while two schedulers fire."""
    chance = random.Random(seed)
    tasks = [await rig.task(*chance.choice(MIXED), jitter=chance.choice(["0s", "0s", "5s"])) for _ in range(6)]
    schedulers = [LoopRunner(rig.database, rig.settings) for _ in range(2)]
    await settle(rig, *schedulers)
    latest = rig.now
    for _ in range(25):
        await rig.turn_clock(seconds=chance.choice([1, 3, 6, 60, HOUR, -HOUR, -61, -HOUR / 2]))
        await pace_passes(rig)
        latest = max(latest, rig.now)
        await settle(rig, *schedulers)
    await rig.turn_clock(seconds=(latest - rig.now).total_seconds() + HOUR)
    await pace_passes(rig)
    await settle(rig, *schedulers)
    for task in tasks:
        following = await rig.value("SELECT next_instant FROM schedule_cursor WHERE task = $1", task)
        await accounted_for(rig, task, following - timedelta(microseconds=1))


async def pace_passes(rig: Rig) -> None:
    """What catch-up may start in a second is not what is looked at here."""
    await rig.execute("UPDATE installation SET catch_up_time = '-infinity'")


async def test_a_clock_that_was_ahead_does_not_delay_catch_up(rig: Rig) -> None:
    """The pace of catch-up is counted in the database's time, too."""
    task = await rig.task({"interval": "10s"})
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.turn_clock(seconds=HOUR)
    await settle(rig, runner)
    await rig.turn_clock(seconds=-HOUR)
    later = await rig.task({"interval": "10s"})
    await settle(rig, runner)
    await rig.turn_clock(seconds=30)
    await settle(rig, runner)
    assert [outcome for _, outcome, _ in await ledger(rig, later)] == ["COALESCED", "ENQUEUED"]
    assert sum(count for *_, count in await ledger(rig, task)) == 360


async def test_leases_that_a_jump_ends_are_taken_over_and_the_first_worker_changes_nothing(rig: Rig) -> None:
    await rig.queue(3)
    first = await rig.lease(seconds=30)
    held = await rig.claim(first)
    await rig.turn_clock(seconds=HOUR)
    assert await rig.complete(first, held[0]) == set(), "its lease is over, by the only clock that counts"
    loops = LoopRunner(rig.database, rig.settings).loops
    await loops["rescue"]()
    await rig.execute("UPDATE due_work SET isolation_size = NULL")  # they may go together again
    second = await rig.lease(seconds=30)
    taken = await rig.claim(second)
    assert {row.id for row in taken} == {row.id for row in held}
    await rig.turn_clock(seconds=-HOUR)  # the first lease would be live again
    assert await rig.complete(first, *held) == set()
    assert await rig.complete(second, *taken) == {row.id for row in taken}
    assert await rig.value("SELECT count(*) FROM run WHERE state = 'SUCCEEDED'") == 3
