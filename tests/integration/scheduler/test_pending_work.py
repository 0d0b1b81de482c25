"""The query for pending work names each loop that has work, and no other."""

import asyncio
import re

import pytest

from ordinaut.store.hints import Hints
from ordinaut.store.queue import pending_work
from scheduler.__main__ import periodic_loops
from scheduler.loops.pending_work import PendingWork
from scheduler.loops.periodic import PeriodicLoop
from scheduler.settings import SchedulerSettings
from tests.integration.support.queue_rig import Rig
from tests.integration.support.scheduler_rig import LoopRunner, NoStream, settle
from tests.patience import PATIENCE

OUTBOX = "INSERT INTO outbox (project, events, count, create_time) VALUES ('default', '[]', 1, clock_now())"
WAIT = """
INSERT INTO wait (run, path, project, kind, tool, topic, deadline, scanned, create_time, create_position)
VALUES (new_id(), 'a', 'default', $1, 'orchestrator.wait', 'mail.new', clock_now() + interval '1 minute', false,
  clock_now(), 0)
"""
CHILD = """
INSERT INTO run_child (run, parent, path, key, awaited) VALUES (new_id(), new_id(), 'a', new_id(), true)
"""


async def waiting(rig: Rig) -> set[str]:
    async with rig.database.connection() as connection:
        return set((await pending_work.pending(connection)).loops)


async def test_a_schedule_is_planned_fired_or_caught_up(rig: Rig) -> None:
    assert await waiting(rig) == set()
    await rig.task({"cron": "* * * * *"})
    assert await waiting(rig) == {"plan"}
    await settle(rig, LoopRunner(rig.database, rig.settings))
    assert await waiting(rig) == set()
    await rig.turn_clock(minutes=1)
    assert await waiting(rig) == {"fire"}
    await rig.turn_clock(seconds=6)
    assert await waiting(rig) == {"catch_up"}


async def test_the_log_is_numbered_and_then_sent(rig: Rig) -> None:
    await rig.execute(OUTBOX)
    assert await waiting(rig) == {"number_events"}
    await rig.execute("UPDATE outbox SET position = 1")
    assert await waiting(rig) == {"send_events"}
    await rig.execute("UPDATE outbox SET sent = true")
    assert await waiting(rig) == set()


@pytest.mark.parametrize(("kind", "now"), [("TIMER", set()), ("EVENT", {"backlog_scan"})])
async def test_waits_are_scanned_and_expire(kind: str, now: set[str], rig: Rig) -> None:
    await rig.execute(WAIT, kind)
    assert await waiting(rig) == now
    await rig.turn_clock(minutes=1)
    assert await waiting(rig) == {*now, "expire_waits"}


async def test_rows_of_a_lost_worker_and_quarantined_rows_are_rescued(rig: Rig) -> None:
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


async def test_delayed_runs_are_promoted_when_they_are_nearly_due(rig: Rig) -> None:
    await rig.queue(1, state="DELAYED", ready_in=10)
    assert await waiting(rig) == set()
    await rig.turn_clock(seconds=9.8)
    assert await waiting(rig) == {"promote"}
    await rig.execute("UPDATE due_work SET state = 'READY', latest_start = clock_now() + interval '1 second'")
    assert await waiting(rig) == set()
    await rig.turn_clock(seconds=1)
    assert await waiting(rig) == {"promote"}


async def test_buffered_runs_and_awaited_children_are_pending_work(rig: Rig) -> None:
    await rig.queue(1, state="BLOCKED")
    assert await waiting(rig) == {"release_blocked"}
    await rig.execute("DELETE FROM due_work")
    await rig.execute(CHILD)
    assert await waiting(rig) == {"child_runs"}
    await rig.execute("UPDATE run_child SET awaited = false")
    assert await waiting(rig) == set()


async def test_an_overdue_task_is_pending_work(rig: Rig) -> None:
    task = await rig.task()
    await rig.execute("INSERT INTO task_health (task, overdue_time) VALUES ($1, clock_now())", task)
    assert await waiting(rig) == {"overdue_tasks"}


async def test_the_loops_it_names_are_woken(rig: Rig) -> None:
    """Every name that the statement can yield is that of a loop, which is woken by it."""
    settings = SchedulerSettings(database_url=rig.settings.database_url)
    made = periodic_loops(rig.database, NoStream(), Hints(rig.database), None, settings, None)  # type: ignore[arg-type]
    names = re.findall(r"\('(\w+)', EXISTS", pending_work.SQL.pending.text)
    assert len(names) >= 13
    assert set(names) <= {loop.name for loop in made}
    ran = asyncio.Event()

    async def run_once() -> bool:
        ran.set()
        return False

    loop = PeriodicLoop("rescue", run_once, 1000.0, asyncio.Event())
    task = asyncio.create_task(loop.serve())
    await ran.wait()
    ran.clear()
    holder = await rig.lease(seconds=30)
    await rig.queue(1)
    await rig.claim(holder)
    await PendingWork(rig.database, [loop]).run_once()
    assert not ran.is_set()
    await rig.turn_clock(seconds=31)
    await PendingWork(rig.database, [loop]).run_once()
    async with asyncio.timeout(PATIENCE):
        await ran.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
