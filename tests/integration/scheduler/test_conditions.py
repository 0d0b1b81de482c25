"""Conditions that are evaluated outside the matcher: no event is lost or judged twice, whatever happens in between."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from ordinaut.store import event, match_todo
from ordinaut.store.event import NewEvent
from ordinaut.store.hints import Hints
from ordinaut.store.queue import due_work_enqueue
from ordinaut.store.tasks import cursor, task
from ordinaut.store.tasks.cursor import NewEventTrigger
from scheduler.conditions import consequences
from scheduler.conditions.budget import Budgets
from scheduler.conditions.judge import Judge, new_pool
from scheduler.events.matcher import Matcher
from tests.integration.support.judging import judge, judge_all
from tests.integration.support.queue_rig import Rig
from tests.patience import PATIENCE

LARGE = "length(data.lines) > `1`"
SMALL = "length(data.lines) == `1`"
COSTLY = "length(data.lines[?@ > `0`]) > `0`"


class Conditions:
    """The parts of a scheduler that match events and evaluate conditions."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        hints = Hints(rig.database)
        self.matcher = Matcher(rig.database, hints)
        self.judge = judge(rig.database, hints)

    async def publish(self, *lines: list[Any], project: str = "default") -> list[str]:
        """Publishes an event for each list; their uids."""
        uids = [uuid4() for _ in lines]
        async with self.rig.database.transaction() as connection:
            for uid, each in zip(uids, lines, strict=True):
                new = NewEvent(uid, "order", "test", "", "", {"lines": each}, "agents/alice", 0)
                await event.publish(connection, project, new)
        async with self.rig.database.transaction() as connection:
            await event.number(connection)
        return [str(uid) for uid in uids]

    async def match(self) -> None:
        """Matches the numbered log."""
        for _ in range(2):
            await self.matcher.run_once()

    async def settle(self) -> None:
        """Matches and judges everything."""
        await self.match()
        await judge_all(self.judge)

    async def edit(self, edited: UUID, *triggers: NewEventTrigger) -> None:
        """Saves other triggers, as an update does."""
        async with self.rig.database.transaction() as connection:
            await cursor.rearm(connection, edited)
            await cursor.replan(
                connection,
                project="default",
                task=edited,
                last_instant=self.rig.now,
                event_triggers=triggers,
                ends=True,
            )

    async def pause(self, paused: UUID) -> None:
        """Pauses a task."""
        async with self.rig.database.transaction() as connection:
            await task.set_state(connection, paused, "PAUSED", "")
            await cursor.pause(connection, paused)

    async def resume(self, resumed: UUID) -> None:
        """Resumes a task."""
        async with self.rig.database.transaction() as connection:
            await task.set_state(connection, resumed, "ACTIVE", "")
            await cursor.resume(connection, resumed)

    async def started(self, by: UUID) -> list[str]:
        """The uids of the events that started runs of a task, in the order of the runs."""
        rows = await self.rig.rows(
            "SELECT occurrence FROM due_work WHERE task = $1 ORDER BY (event->>'position')::int", by
        )
        return [row[0].removeprefix("event:") for row in rows]

    async def left(self) -> int:
        """Entries that are not judged."""
        return int(await self.rig.value("SELECT count(*) FROM match_todo"))


@pytest_asyncio.fixture
async def conditions(rig: Rig) -> AsyncIterator[Conditions]:
    yield Conditions(rig)


def on(condition: str, topic: str = "order") -> NewEventTrigger:
    return NewEventTrigger("t0", topic, condition, None)


async def test_the_matcher_leaves_what_is_not_constant(conditions: Conditions, rig: Rig) -> None:
    constant = await rig.task(event_triggers=[on("data.lines[0] == `1`")])
    other = await rig.task(event_triggers=[on(LARGE)])
    [small, large] = await conditions.publish([1], [1, 2])
    await conditions.match()
    assert await conditions.started(constant) == [small, large]
    assert (await conditions.started(other), await conditions.left()) == ([], 1)
    await judge_all(conditions.judge)
    assert (await conditions.started(other), await conditions.left()) == ([large], 0)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (match_todo, "add"),
        (event, "move_matcher"),
        (match_todo, "lock"),
        (due_work_enqueue, "enqueue_for_events"),
        (match_todo, "note_exhaustions"),
        (consequences, "apply"),
        (match_todo, "move"),
    ],
)
async def test_a_crash_before_any_statement_loses_and_doubles_nothing(
    module: Any, name: str, conditions: Conditions, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = await rig.task(event_triggers=[on(LARGE), NewEventTrigger("t1", "order", COSTLY, None)])
    [one, _empty, two] = await conditions.publish([1, 2], [], [3, 4])

    async def crash(*_arguments: Any, **_named: Any) -> None:
        raise RuntimeError("killed")

    target = sys.modules["scheduler.conditions.judge"] if name == "apply" else module
    with monkeypatch.context() as patched:
        patched.setattr(target, name, crash)
        with pytest.raises(RuntimeError):
            await conditions.settle()
    await conditions.settle()
    assert (await conditions.started(started), await conditions.left()) == ([one, two], 0)


KILLED = """
import asyncio, os, signal, sys
from ordinaut.settings import StoreSettings
from ordinaut.store import match_todo
from ordinaut.store.database import Database
from ordinaut.store.hints import Hints
from ordinaut.store.queue import due_work_enqueue
from scheduler.conditions.judge import Judge, new_pool

async def kill(*_arguments, **_named):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    database = await Database.open(StoreSettings(database_url=sys.argv[1]))
    match_todo.move = kill
    await Judge(database, Hints(database), new_pool()).run_once()

asyncio.run(main())
"""


async def test_a_killed_evaluator_frees_its_entry(conditions: Conditions, rig: Rig) -> None:
    started = await rig.task(event_triggers=[on(LARGE)])
    [uid] = await conditions.publish([1, 2])
    await conditions.match()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, rig.settings.database_url)
    assert await process.wait() == -signal.SIGKILL
    assert await conditions.left() == 1
    async with asyncio.timeout(PATIENCE):
        while await conditions.left():  # until PostgreSQL has noticed the end of the connection
            await conditions.judge.run_once()
    assert await conditions.started(started) == [uid]


async def test_evaluators_at_once_start_each_run_once(conditions: Conditions, rig: Rig) -> None:
    tasks = [await rig.task(event_triggers=[on(LARGE)]) for _ in range(20)]
    for _ in range(10):
        await conditions.publish([1, 2])
    await conditions.match()
    others = [judge(rig.database, Hints(rig.database)) for _ in range(3)]
    await asyncio.gather(*(judge_all(each) for each in others))
    await conditions.settle()
    assert [len(await conditions.started(each)) for each in tasks] == [10] * 20
    assert await conditions.left() == 0


async def test_an_event_meets_the_condition_of_its_time(conditions: Conditions, rig: Rig) -> None:
    """Both for what the matcher has not seen at the edit, and for what it has left to be evaluated."""
    edited = await rig.task(event_triggers=[on(LARGE)])
    [seen, _] = await conditions.publish([1, 2], [1])
    await conditions.match()
    [unseen, _] = await conditions.publish([1, 2], [1])
    await conditions.edit(edited, on(SMALL))
    [after, _] = await conditions.publish([1], [1, 2])
    await conditions.settle()
    assert await conditions.started(edited) == [seen, unseen, after]
    await conditions.judge.run_once()
    assert await rig.value("SELECT count(*) FROM event_trigger") == 1


async def test_another_topic_is_for_later_events_as_well(conditions: Conditions, rig: Rig) -> None:
    edited = await rig.task(event_triggers=[on("", "order")])
    [before] = await conditions.publish([1])
    await conditions.edit(edited, on("", "invoice"))
    await conditions.publish([1])
    await conditions.settle()
    assert await conditions.started(edited) == [before]


async def test_params_of_the_current_trigger_are_used(conditions: Conditions, rig: Rig) -> None:
    edited = await rig.task(event_triggers=[on(LARGE)])
    await conditions.publish([1, 2])
    await conditions.match()
    await conditions.edit(edited, NewEventTrigger("t0", "order", SMALL, '{"n": 7}'))
    await conditions.settle()
    assert await rig.value("SELECT params->>'n' FROM due_work WHERE task = $1", edited) == "7"


async def test_a_removed_trigger_and_a_deleted_task_start_nothing(conditions: Conditions, rig: Rig) -> None:
    removed, deleted = await rig.task(event_triggers=[on(LARGE)]), await rig.task(event_triggers=[on(LARGE)])
    await conditions.publish([1, 2])
    await conditions.match()
    await conditions.edit(removed)
    async with rig.database.transaction() as connection:
        await cursor.remove(connection, deleted)
    await conditions.settle()
    assert (await conditions.started(removed), await conditions.started(deleted)) == ([], [])
    assert await conditions.left() == 0


async def test_a_pause_in_between_delays_the_run(conditions: Conditions, rig: Rig) -> None:
    """Events from before the pause start their runs afterwards, those from the pause do not."""
    paused = await rig.task(event_triggers=[on(LARGE)])
    other = await rig.task(event_triggers=[on(LARGE)])
    [before] = await conditions.publish([1, 2])
    await conditions.match()
    await conditions.pause(paused)
    [during] = await conditions.publish([1, 2])
    await conditions.settle()
    assert (await conditions.started(paused), await conditions.started(other)) == ([], [before, during])
    await conditions.resume(paused)
    [after] = await conditions.publish([1, 2])
    await conditions.settle()
    assert (await conditions.started(paused), await conditions.left()) == ([before, after], 0)


async def test_a_deleted_task_leaves_nothing_from_its_pause(conditions: Conditions, rig: Rig) -> None:
    paused = await rig.task(event_triggers=[on(LARGE)])
    await conditions.publish([1, 2])
    await conditions.match()
    await conditions.pause(paused)
    await conditions.settle()
    async with rig.database.transaction() as connection:
        await cursor.remove(connection, paused)
    await conditions.settle()
    assert await conditions.left() == 0


async def test_a_denied_trigger_starts_nothing(conditions: Conditions, rig: Rig) -> None:
    denied = await rig.task(event_triggers=[on(LARGE)])
    await conditions.publish([1, 2])
    await conditions.match()
    async with rig.database.transaction() as connection:
        await event.set_denied(connection, [(denied, "t0", True)])
    await conditions.settle()
    assert (await conditions.started(denied), await conditions.left()) == ([], 0)


async def exhausted(conditions: Conditions, rig: Rig) -> UUID:
    """A task with a trigger that has just been disabled, at the second last of 21 large events."""
    costly = await rig.task(event_triggers=[on(COSTLY)], name="costly")
    for _ in range(20):
        await conditions.publish([1] * 6000)
    await conditions.settle()
    return costly


async def test_a_trigger_that_uses_up_its_fuel_twenty_times_is_disabled(conditions: Conditions, rig: Rig) -> None:
    costly = await exhausted(conditions, rig)
    async with rig.database.connection() as connection:
        [disabled] = await cursor.disabled_triggers(connection, costly)
    assert (disabled.trigger, disabled.reason) == ("t0", "CONDITION_OVER_BUDGET")
    assert disabled.time is not None
    [told] = await rig.rows("SELECT events FROM outbox WHERE events::text LIKE '%trigger_disabled%'")
    assert '"reason": "CONDITION_OVER_BUDGET"' in told["events"]
    await conditions.publish([1])
    await conditions.settle()
    assert (await conditions.started(costly), await conditions.left()) == ([], 0)


async def test_one_success_in_between_keeps_it(conditions: Conditions, rig: Rig) -> None:
    costly = await rig.task(event_triggers=[on(COSTLY)])
    for number in range(30):
        await conditions.publish([1] * (1 if number == 15 else 6000))
    await conditions.settle()
    assert len(await conditions.started(costly)) == 1
    assert await rig.value("SELECT disable_reason FROM event_trigger") == ""


@pytest.mark.parametrize("how", ["resume", "edit"])
async def test_what_is_pending_is_judged_when_it_is_enabled(how: str, conditions: Conditions, rig: Rig) -> None:
    costly = await exhausted(conditions, rig)
    pending = await conditions.publish([1], [1, 2])
    await conditions.match()
    [unseen] = await conditions.publish([1])
    if how == "resume":
        await conditions.resume(costly)
    else:
        await conditions.edit(costly, on(SMALL))
    await conditions.settle()
    [later] = await conditions.publish([1])
    await conditions.settle()
    expected = [*pending, unseen, later] if how == "resume" else [pending[0], unseen, later]
    assert (await conditions.started(costly), await conditions.left()) == (expected, 0)


async def test_a_project_without_budget_waits_and_the_others_do_not(conditions: Conditions, rig: Rig) -> None:
    time = 0.0
    budgets = Budgets(lambda: time)
    conditions.judge = judge(rig.database, Hints(rig.database), budgets)
    mine = await rig.task(event_triggers=[on(LARGE)])
    assert budgets.in_turn(["default"]) == ["default"]
    budgets.charge("default", 2.0, {})
    [uid] = await conditions.publish([1, 2])
    await conditions.settle()
    assert (await conditions.started(mine), await conditions.left()) == ([], 1)
    time += 21  # 50 ms a second
    await conditions.settle()
    assert (await conditions.started(mine), await conditions.left()) == ([uid], 0)


async def test_the_child_processes_evaluate(conditions: Conditions, rig: Rig) -> None:
    pool = new_pool()
    conditions.judge = Judge(rig.database, Hints(rig.database), pool)
    started = await rig.task(event_triggers=[on(LARGE)])
    try:
        [uid] = await conditions.publish([1, 2])
        await conditions.settle()
        assert await conditions.started(started) == [uid]
    finally:
        await pool.close()
    assert not pool._all
