"""The agenda names each duty that has something to do, and no other."""

import asyncio
import re

import pytest

from ordinaut.store import agenda
from ordinaut.store.hints import Hints
from scheduler.__main__ import duties
from scheduler.loops.pending_work import Agenda
from scheduler.loops.periodic import Duty
from scheduler.settings import SchedulerSettings
from tests.integration.queue_rig import Rig
from tests.integration.scheduler_rig import Clockwork, NoStream, settle

OUTBOX = "INSERT INTO outbox (project, events, count, create_time) VALUES ('default', '[]', 1, clock_now())"
WAIT = """
INSERT INTO wait (run, path, project, kind, tool, topic, deadline, scanned, create_time)
VALUES (new_id(), 'a', 'default', $1, 'orchestrator.wait', 'mail.new', clock_now() + interval '1 minute', false,
  clock_now())
"""
CHILD = """
INSERT INTO run_child (run, parent, path, key, awaited) VALUES (new_id(), new_id(), 'a', new_id(), true)
"""


async def waiting(rig: Rig) -> set[str]:
    async with rig.database.connection() as connection:
        return await agenda.look(connection)


async def test_a_schedule_is_planned_fired_or_caught_up(rig: Rig) -> None:
    assert await waiting(rig) == set()
    await rig.task({"cron": "* * * * *"})
    assert await waiting(rig) == {"plan"}
    await settle(rig, Clockwork(rig.database, rig.settings))
    assert await waiting(rig) == set()
    await rig.turn_clock(minutes=1)
    assert await waiting(rig) == {"fire"}
    await rig.turn_clock(seconds=6)
    assert await waiting(rig) == {"catch_up"}


async def test_the_log_is_numbered_and_then_sent(rig: Rig) -> None:
    await rig.execute(OUTBOX)
    assert await waiting(rig) == {"number_events"}
    await rig.execute("UPDATE outbox SET position = 1")
    assert await waiting(rig) == {"relay_events"}
    await rig.execute("UPDATE outbox SET sent = true")
    assert await waiting(rig) == set()


@pytest.mark.parametrize(("kind", "now"), [("TIMER", set()), ("EVENT", {"backlog_scan"})])
async def test_waits_are_looked_back_for_and_end(kind: str, now: set[str], rig: Rig) -> None:
    await rig.execute(WAIT, kind)
    assert await waiting(rig) == now
    await rig.turn_clock(minutes=1)
    assert await waiting(rig) == {*now, "expire_waits"}


async def test_rows_of_a_lost_worker_and_suspects_are_rescued(rig: Rig) -> None:
    holder = await rig.lease(seconds=30)
    await rig.queue(1)
    assert len(await rig.claim(holder)) == 1
    assert await waiting(rig) == set()
    await rig.turn_clock(seconds=31)
    assert await waiting(rig) == {"rescue"}
    await rig.execute(
        "UPDATE due_work SET state = 'READY', lease_owner = NULL, isolation_size = 1, losses = max_losses"
    )
    assert await waiting(rig) == {"rescue"}


async def test_delayed_runs_are_swept_when_their_time_is_near(rig: Rig) -> None:
    await rig.queue(1, state="DELAYED", ready_in=10)
    assert await waiting(rig) == set()
    await rig.turn_clock(seconds=9.8)
    assert await waiting(rig) == {"promote"}
    await rig.execute("UPDATE due_work SET state = 'READY', latest_start = clock_now() + interval '1 second'")
    assert await waiting(rig) == set()
    await rig.turn_clock(seconds=1)
    assert await waiting(rig) == {"promote"}


async def test_who_waits_for_a_turn_or_a_child_is_looked_after(rig: Rig) -> None:
    await rig.queue(1, state="BLOCKED")
    assert await waiting(rig) == {"release_blocked"}
    await rig.execute("DELETE FROM due_work")
    await rig.execute(CHILD)
    assert await waiting(rig) == {"child_runs"}
    await rig.execute("UPDATE run_child SET awaited = false")
    assert await waiting(rig) == set()


async def test_a_lapse_is_told(rig: Rig) -> None:
    task = await rig.task()
    await rig.execute("INSERT INTO task_health (task, overdue_time) VALUES ($1, clock_now())", task)
    assert await waiting(rig) == {"overdue"}


async def test_what_it_names_is_woken(rig: Rig) -> None:
    """Every name that the statement can yield is a duty's, and that duty is woken by it."""
    told = SchedulerSettings(database_url=rig.settings.database_url)
    made = duties(rig.database, NoStream(), Hints(rig.database), None, told)  # type: ignore[arg-type]
    names = re.findall(r"\('(\w+)', EXISTS", agenda.SQL.look.text)
    assert len(names) >= 13
    assert set(names) <= {duty.name for duty in made}
    turned = asyncio.Event()

    async def turn() -> bool:
        turned.set()
        return False

    duty = Duty("rescue", turn, 1000.0, asyncio.Event())
    task = asyncio.create_task(duty.serve())
    await turned.wait()
    turned.clear()
    holder = await rig.lease(seconds=30)
    await rig.queue(1)
    await rig.claim(holder)
    await Agenda(rig.database, [duty]).turn()
    assert not turned.is_set()
    await rig.turn_clock(seconds=31)
    await Agenda(rig.database, [duty]).turn()
    async with asyncio.timeout(5):
        await turned.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
