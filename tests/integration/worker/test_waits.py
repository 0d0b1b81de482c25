"""Runs that wait in the database: what ends a wait, who wins, and that no event slips through."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from ordinaut.expressions.event_condition import bound_match
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from ordinaut.store import event
from ordinaut.store.event import NewEvent
from ordinaut.store.hints import Hints
from ordinaut.store.queue import due_work_finish, due_work_recover, wait
from ordinaut.store.queue.due_work_claim import ClaimedRun
from ordinaut.store.runs import run
from scheduler.events.backlog_scan import BacklogScan
from scheduler.events.matcher import Matcher
from scheduler.maintenance.expire_waits import ExpireWaits
from tests.integration.support.judging import judge, judge_all
from tests.integration.support.queue_rig import BEGINNING, PROJECT, Rig
from tests.patience import PATIENCE
from worker.held_runs import HeldRun
from worker.run_result import WAITING, RunResult
from worker.suspension import suspend

US = 1_000_000
BEGINNING_US = round(BEGINNING.timestamp()) * US
DAY_MS = 86_400_000
NO_STREAM: Any = None  # nothing is sent to an engine here


def held(row: ClaimedRun, scopes: frozenset[str] = frozenset({"admin"})) -> HeldRun:
    return HeldRun(
        handle=1, id=row.id, fence=row.fence, project=PROJECT, owner="agents/alice", scopes=scopes, depth=0,
        root=row.root, stream=NO_STREAM,
    )  # fmt: skip


def timer(path: str = "a", **deadline: int) -> Wait:
    return Wait(path=path, kind="TIMER", tool="orchestrator.wait", input=b"{}", **deadline)  # type: ignore[arg-type]


def for_event(path: str = "a", topic: str = "order.done", match: Any = None, **more: Any) -> Wait:
    given = {"deadline_ms": 7 * DAY_MS, **more}
    asked = b"" if match is None else json.dumps(match).encode()
    return Wait(path=path, kind="EVENT", tool="orchestrator.wait_event", input=b"{}", topic=topic, match=asked, **given)


async def suspended(rig: Rig, *waits: Wait, wake_ms: int = 0, scopes: frozenset[str] = frozenset({"admin"})) -> UUID:
    """A run that its worker has given back."""
    await rig.queue(1)
    [row] = await rig.claim(await rig.lease(3600))
    await put_aside(rig, row, *waits, wake_ms=wake_ms, scopes=scopes)
    found: UUID = row.id
    return found


async def put_aside(
    rig: Rig, row: ClaimedRun, *waits: Wait, wake_ms: int = 0, scopes: frozenset[str] = frozenset({"admin"})
) -> dict[UUID, str]:
    owner = await rig.value("SELECT lease_owner FROM due_work WHERE id = $1", row.id)
    entry = JournalEntry(path=f"before{row.claims}", attempt=1, state="SUCCEEDED", tool="t.t")
    result = RunResult(WAITING, [entry], delay_ms=wake_ms, waits=waits)
    async with rig.database.transaction() as connection:
        return await suspend(connection, owner, [(held(row, scopes), result)])


async def publish(rig: Rig, topic: str = "order.done", number: bool = True, **data: Any) -> None:
    new = NewEvent(uuid4(), topic, "test", "", "", data, "agents/alice", 0)
    async with rig.database.transaction() as connection:
        await event.publish(connection, PROJECT, new)
    if number:
        async with rig.database.transaction() as connection:
            await event.number(connection)


async def state(rig: Rig, waiting: UUID) -> str:
    row = await rig.row(waiting)
    found: str = row["state"] if row else "GONE"
    return found


async def outcome(rig: Rig, waiting: UUID) -> dict[str, Any]:
    """Results and errors by path, None while open."""
    rows = await rig.rows("SELECT path, result::text, error::text FROM wait WHERE run = $1", waiting)
    return {row["path"]: json.loads(row["result"] or row["error"] or "null") for row in rows}


async def resumed(rig: Rig) -> tuple[ClaimedRun, dict[str, str]]:
    """The claimed row, and what the engine is told of its waits."""
    [row] = await rig.claim(await rig.lease(3600))
    async with rig.database.connection() as connection:
        return row, {entry.path: entry.state for entry in await wait.journaled(connection, [row.id])}


class Loops:
    """The parts of a scheduler that end waits."""

    def __init__(self, rig: Rig) -> None:
        hints = Hints(rig.database)
        self.expire_waits = ExpireWaits(rig.database, hints).run_once
        self._scan = BacklogScan(rig.database, hints)
        self._judge = judge(rig.database, hints)
        self._matcher = Matcher(rig.database, hints)

    async def match(self) -> None:
        for _ in range(3):
            await self._matcher.run_once()
        await judge_all(self._judge)

    async def backlog_scan(self) -> bool:
        may_have_more = await self._scan.run_once()
        await judge_all(self._judge)
        return may_have_more


@pytest.fixture
async def loops(rig: Rig) -> Loops:
    return Loops(rig)


async def test_a_timer_of_thirty_days_ends_in_thirty_days(rig: Rig, loops: Loops) -> None:
    """It holds no slot, `now` is new afterwards, and the wait does not count as time that the run takes."""
    waiting = await suspended(rig, timer(deadline_ms=30 * DAY_MS))
    row = await rig.row(waiting)
    assert (row["state"], row["lease_owner"], row["segment_time"]) == ("WAITING", None, None)
    await rig.turn_clock(days=29, hours=23)
    assert not await loops.expire_waits()
    assert await state(rig, waiting) == "WAITING"
    await rig.turn_clock(hours=1)
    await loops.expire_waits()
    assert await outcome(rig, waiting) == {"a": {"until": "2026-04-01T12:00:00.000000Z"}}
    row, told = await resumed(rig)
    assert told == {"a": "SUCCEEDED"}
    assert row.segment_time == BEGINNING + timedelta(days=30)
    assert (row.claims, row.fence) == (2, 2)
    assert row.remaining_seconds == 86_400
    assert row.waited_ms == 30 * DAY_MS
    assert await rig.value("SELECT losses FROM due_work") == 0


async def test_until_is_read_on_the_databases_clock(rig: Rig, loops: Loops) -> None:
    waiting = await suspended(rig, timer(deadline_us=BEGINNING_US + 10 * US))
    await rig.turn_clock(seconds=9)
    await loops.expire_waits()
    assert await state(rig, waiting) == "WAITING"
    await rig.turn_clock(seconds=1)
    await loops.expire_waits()
    assert await state(rig, waiting) == "READY"


@pytest.mark.parametrize("when", ["before", "between", "after"])
async def test_an_event_ends_the_wait_whenever_it_comes(rig: Rig, loops: Loops, when: str) -> None:
    """Before the wait is known, before it has been looked back for, and afterwards."""
    await rig.queue(1)
    [row] = await rig.claim(await rig.lease(3600))
    waiting = row.id
    if when == "before":
        await publish(rig, order=7)
        await loops.match()
    await put_aside(rig, row, for_event())
    if when == "between":
        await publish(rig, order=7)
        await loops.match()
        assert await state(rig, waiting) == "WAITING", "what is not scanned is left to the look-back"
    await loops.backlog_scan()
    if when == "after":
        await publish(rig, order=7)
        await loops.match()
    assert await state(rig, waiting) == "READY"
    found = (await outcome(rig, waiting))["a"]
    assert (found["topic"], found["data"]) == ("order.done", {"order": 7})
    assert await rig.value("SELECT count(*) FROM due_work") == 1


async def test_no_event_is_lost_while_waits_are_stored(rig: Rig) -> None:
    """Suspensions, publications, numbering, matching and looking back at once, by two schedulers."""
    both = [Loops(rig), Loops(rig)]
    count = 12
    await rig.queue(count)
    rows = await rig.claim(await rig.lease(3600))
    done = asyncio.Event()

    async def work(loops: Loops) -> None:
        while not done.is_set():
            await loops.backlog_scan()
            await loops.match()

    async def one(place: int, row: Any) -> None:
        async def ask() -> None:
            await put_aside(rig, row, for_event(match={"data.n": place}))

        await asyncio.gather(*([publish(rig, n=place), ask()] if place % 2 else [ask(), publish(rig, n=place)]))

    workers = [asyncio.create_task(work(loops)) for loops in both]
    await asyncio.gather(*(one(place, row) for place, row in enumerate(rows)))
    async with asyncio.timeout(PATIENCE):
        while await rig.value("SELECT count(*) FROM due_work WHERE state = 'WAITING'"):
            await asyncio.sleep(0)
    done.set()
    await asyncio.gather(*workers)
    numbers = await rig.rows("SELECT run, (result -> 'data' ->> 'n')::int AS n FROM wait")
    assert {row["run"]: row["n"] for row in numbers} == {row.id: place for place, row in enumerate(rows)}


async def test_only_a_matching_event_ends_a_wait(rig: Rig, loops: Loops) -> None:
    """Topic, condition, and not before `since`."""
    text = await suspended(rig, for_event(match="data.total > `10`"))
    pattern = await suspended(rig, for_event(topic="order.*", match={"data.total": 10, "topic": "order.done"}))
    late = await suspended(rig, for_event(since_us=BEGINNING_US + 60 * US))
    await publish(rig, "order.lost", total=10)
    await publish(rig, total=9)
    await publish(rig, total="x")
    for run_once in (loops.backlog_scan, loops.match):
        await run_once()
    assert [await state(rig, one) for one in (text, pattern, late)] == ["WAITING"] * 3
    await publish(rig, total=10)
    await loops.match()
    assert [await state(rig, one) for one in (text, pattern, late)] == ["WAITING", "READY", "WAITING"]
    await rig.turn_clock(seconds=61)
    await publish(rig, total=11)
    await loops.match()
    assert [await state(rig, one) for one in (text, pattern, late)] == ["READY", "READY", "READY"]


@pytest.mark.parametrize("stored_form", [True, False])
async def test_a_condition_that_fails_is_reported_with_the_timeout(rig: Rig, loops: Loops, stored_form: bool) -> None:
    """A text instead of a number does not match, and the wait says why; a later event can still match."""
    match = bound_match("data.total > params.limit", {"params": {"limit": 10}}) if stored_form else "data.total > `10`"
    failing = await suspended(rig, for_event(match=match, deadline_ms=60_000))
    await publish(rig, total="12")
    await loops.backlog_scan()
    ended = await suspended(rig, for_event(match=match, deadline_ms=60_000))
    await publish(rig, total="13")
    await loops.backlog_scan()
    await loops.match()
    async with rig.database.connection() as connection:
        reasons = [row["condition_error"] for row in await connection.fetch("SELECT condition_error FROM wait")]
    expected = "cannot compare a string with a number; convert one of them with to_number() or to_string()"
    assert [bool(reason and reason.startswith(expected)) for reason in reasons] == [stored_form] * 2
    await publish(rig, total=11)
    await loops.match()
    assert [await state(rig, one) for one in (failing, ended)] == ["READY", "READY"]


async def test_a_timeout_names_the_failure_of_the_condition(rig: Rig, loops: Loops) -> None:
    failing = await suspended(rig, for_event(match=bound_match({"data.total": 12}, {}), deadline_ms=60_000))
    await publish(rig, total="12")
    await loops.backlog_scan()
    await loops.match()
    await rig.turn_clock(seconds=60)
    await loops.match()
    await loops.expire_waits()
    error = (await outcome(rig, failing))["a"]
    assert error["code"] == "TIMEOUT"
    assert "`match` could not be evaluated on an event: cannot compare a string with a number" in error["message"]


async def test_two_events_of_one_batch_are_for_two_waits(rig: Rig, loops: Loops) -> None:
    """They have one time; the second wait goes on behind the first one's place in the log."""
    new = [NewEvent(uuid4(), "order.done", "test", "", "", {"n": n}, "agents/alice", 0).document() for n in range(2)]
    waiting = await suspended(rig, for_event("first"))
    async with rig.database.transaction() as connection:
        await event.announce(connection, PROJECT, new)
        await event.number(connection)
    await loops.backlog_scan()
    await loops.match()
    row, _ = await resumed(rig)
    heard = (await outcome(rig, waiting))["first"]
    await put_aside(rig, row, for_event("second", taken_positions=[heard["position"]]))
    await loops.backlog_scan()
    assert (await outcome(rig, waiting))["second"]["data"] == {"n": 1}


async def until_matched(rig: Rig, loops: Loops) -> None:
    async with rig.database.transaction() as connection:
        await event.number(connection)
    await loops.match()


@pytest.mark.parametrize("numbered", ["before", "before the scan", "after the scan"])
async def test_an_event_from_before_the_run_does_not_count(rig: Rig, loops: Loops, numbered: str) -> None:
    """Also when the log numbers it after the run was created; the next event is for the wait."""
    await publish(rig, n=1, number=numbered == "before")
    waiting = await suspended(rig, for_event(topic="order.*"))
    if numbered == "after the scan":
        await loops.backlog_scan()
    await publish(rig, n=2, number=False)
    await until_matched(rig, loops)
    await loops.backlog_scan()
    assert (await outcome(rig, waiting))["a"]["data"] == {"n": 2}


@pytest.mark.parametrize("scanned_first", [True, False])
async def test_an_event_that_is_committed_after_the_run_counts(rig: Rig, loops: Loops, scanned_first: bool) -> None:
    """Although its row is older: it was not in the log when the run was created."""
    new = NewEvent(uuid4(), "order.done", "test", "", "", {"n": 1}, "agents/alice", 0)
    async with rig.database.transaction() as slow:
        await event.publish(slow, PROJECT, new)
        await publish(rig, "noise.x", number=False)
        waiting = await suspended(rig, for_event())
    if scanned_first:
        await loops.backlog_scan()
    await until_matched(rig, loops)
    await loops.backlog_scan()
    assert (await outcome(rig, waiting))["a"]["data"] == {"n": 1}


async def test_a_restored_database_does_not_take_new_events_for_old_ones(rig: Rig, loops: Loops) -> None:
    """Transaction ids begin again in a server that a dump is restored to."""
    waiting = await suspended(rig, for_event())
    for table in ("due_work", "wait"):
        await rig.execute(f"UPDATE {table} SET log_mark.xid = 1000000000000")
    await publish(rig, n=1)
    await loops.match()
    await loops.backlog_scan()
    assert (await outcome(rig, waiting))["a"]["data"] == {"n": 1}


@pytest.mark.parametrize("skew", [-20, 20])
@pytest.mark.parametrize("wrong_at", ["enqueue", "publication", "wait"])
async def test_a_wrong_clock_hides_no_event(rig: Rig, loops: Loops, wrong_at: str, skew: int) -> None:
    """An event before the run does not count and one after it does, whatever the clock showed."""

    async def turn(at: str, by: int) -> None:
        if at == wrong_at:
            await rig.turn_clock(seconds=by)

    await publish(rig, n=1)
    await turn("enqueue", skew)
    await rig.queue(1)
    [row] = await rig.claim(await rig.lease(3600))
    await turn("enqueue", -skew)
    await turn("publication", skew)
    await publish(rig, n=2)
    await turn("publication", -skew)
    await turn("wait", skew)
    await put_aside(rig, row, for_event(deadline_ms=5000))
    await turn("wait", -skew)
    await loops.match()
    await loops.backlog_scan()
    assert (await outcome(rig, row.id))["a"]["data"] == {"n": 2}


async def test_what_a_line_of_steps_has_taken_does_not_count_again(rig: Rig, loops: Loops) -> None:
    """Also with `since`, and whatever came before it still does."""
    await rig.queue(1)
    [row] = await rig.claim(await rig.lease(3600))
    for n in (1, 2):
        await publish(rig, n=n)
    await put_aside(
        rig,
        row,
        for_event("a", taken_positions=[2]),
        for_event("b", taken_positions=[1, 7]),
        for_event("c", taken_positions=[1], since_us=0),
        for_event("d", since_us=0),
        for_event("e", taken_positions=[1, 2]),
    )
    await loops.match()
    await loops.backlog_scan()
    ended = await outcome(rig, row.id)
    assert {path: event and event["data"]["n"] for path, event in ended.items()} == {
        "a": 1, "b": 2, "c": 2, "d": 1, "e": None,
    }  # fmt: skip


async def test_an_event_of_another_project_does_not_match(rig: Rig, loops: Loops) -> None:
    waiting = await suspended(rig, for_event())
    await loops.backlog_scan()
    new = NewEvent(uuid4(), "order.done", "test", "", "", {}, "agents/eve", 0)
    async with rig.database.transaction() as connection:
        await event.publish(connection, "other", new)
        await event.number(connection)
    await loops.match()
    assert await state(rig, waiting) == "WAITING"


async def test_a_wait_without_the_read_scope_is_denied(rig: Rig) -> None:
    waiting = await suspended(rig, for_event(), scopes=frozenset({"events:read:mail.*"}))
    assert await state(rig, waiting) == "READY"
    assert (await outcome(rig, waiting))["a"]["code"] == "DENIED"


async def test_a_wait_for_an_event_times_out(rig: Rig, loops: Loops) -> None:
    waiting = await suspended(rig, for_event(deadline_ms=60_000))
    await loops.backlog_scan()
    await rig.turn_clock(seconds=60)
    await publish(rig, "order.other")
    await loops.match()
    await loops.expire_waits()
    assert await state(rig, waiting) == "READY"
    error = (await outcome(rig, waiting))["a"]
    assert (error["code"], error["step"], error["tool"]) == ("TIMEOUT", "a", "orchestrator.wait_event")


async def test_a_deadline_does_not_overtake_an_event_that_came_in_time(rig: Rig, loops: Loops) -> None:
    """Schedulers were away: the deadline waits until what came before it has been matched."""
    first = await suspended(rig, for_event(deadline_ms=60_000))
    await loops.backlog_scan()
    second = await suspended(rig, for_event(deadline_ms=60_000))
    await rig.turn_clock(seconds=59)
    await publish(rig, number=False)
    await rig.turn_clock(days=3)
    await loops.expire_waits()
    assert [await state(rig, one) for one in (first, second)] == ["WAITING", "WAITING"]
    async with rig.database.transaction() as connection:
        await event.number(connection)
    await loops.expire_waits()
    assert [await state(rig, one) for one in (first, second)] == ["WAITING", "WAITING"]
    await loops.backlog_scan()
    await loops.match()
    assert [(await outcome(rig, one))["a"]["topic"] for one in (first, second)] == ["order.done"] * 2


async def test_an_event_after_the_deadline_does_not_count(rig: Rig, loops: Loops) -> None:
    waiting = await suspended(rig, for_event(deadline_ms=60_000))
    await loops.backlog_scan()
    await rig.turn_clock(seconds=61)
    await publish(rig)
    await loops.match()
    await loops.expire_waits()
    assert (await outcome(rig, waiting))["a"]["code"] == "TIMEOUT"


async def test_the_first_result_stays(rig: Rig, loops: Loops) -> None:
    waiting = await suspended(rig, for_event())
    await loops.backlog_scan()
    for order in (1, 2):
        await publish(rig, order=order)
        await loops.match()
    await rig.turn_clock(days=8)
    await loops.expire_waits()
    assert (await outcome(rig, waiting))["a"]["data"] == {"order": 1}


async def test_branches_wait_for_several_results_and_keep_open_waits(rig: Rig, loops: Loops) -> None:
    """The second stay names what is still open; what it does not name is given up."""
    waiting = await suspended(rig, timer("x", deadline_ms=1000), timer("y", deadline_ms=5000), for_event("z"))
    await rig.turn_clock(seconds=1)
    await loops.expire_waits()
    row, told = await resumed(rig)
    assert told == {"x": "SUCCEEDED", "y": "WAITING", "z": "WAITING"}
    await put_aside(rig, row, Wait(path="y"))
    assert await outcome(rig, waiting) == {"y": None}
    deadline = await rig.value("SELECT deadline FROM wait WHERE path = 'y'")
    assert deadline == BEGINNING + timedelta(seconds=5), "it stands from the beginning"


async def test_a_result_that_comes_while_the_run_works_is_not_lost(rig: Rig, loops: Loops) -> None:
    waiting = await suspended(rig, timer("x", deadline_ms=1000), timer("y", deadline_ms=5000))
    await rig.turn_clock(seconds=1)
    await loops.expire_waits()
    row, _ = await resumed(rig)
    await rig.turn_clock(seconds=4)
    await loops.expire_waits()
    assert await state(rig, waiting) == "LEASED"
    assert await put_aside(rig, row, Wait(path="y")) == {waiting: "READY"}
    _, told = await resumed(rig)
    assert told == {"y": "SUCCEEDED"}


async def test_a_delay_beside_a_wait_wakes_the_run_each_time(rig: Rig, loops: Loops) -> None:
    waiting = await suspended(rig, for_event("z"), wake_ms=10_000)
    for _ in range(2):
        await rig.turn_clock(seconds=10)
        await loops.expire_waits()
        row, told = await resumed(rig)
        assert told == {"z": "WAITING"}
        assert await put_aside(rig, row, Wait(path="z"), wake_ms=10_000) == {waiting: "WAITING"}


async def test_a_lost_worker_cannot_suspend(rig: Rig) -> None:
    """Its lease is over, or another has the run: nothing is stored."""
    await rig.queue(1)
    [row] = await rig.claim(await rig.lease(1))
    await rig.turn_clock(seconds=2)
    assert await put_aside(rig, row, timer(deadline_ms=1000)) == {}
    assert await rig.value("SELECT count(*) FROM wait") == 0
    assert await rig.value("SELECT count(*) FROM step_run") == 0


async def test_cancelling_ends_a_waiting_run_with_its_waits(rig: Rig) -> None:
    waiting = await suspended(rig, timer(deadline_ms=1000), for_event("z"))
    async with rig.database.transaction() as connection:
        assert await due_work_finish.request_cancel(connection, run=waiting, reason="no") == "ENDED"
    assert await rig.value("SELECT count(*) FROM wait") == 0
    assert await rig.value("SELECT state FROM run WHERE id = $1", waiting) == "CANCELLED"


async def test_deleting_the_task_ends_its_waiting_runs(rig: Rig) -> None:
    waiting = await suspended(rig, timer(deadline_ms=1000))
    task = (await rig.row(waiting))["task"]
    async with rig.database.transaction() as connection:
        await due_work_finish.cancel_task(connection, task=task, reason="deleted")
    assert await state(rig, waiting) == "GONE"
    assert await rig.value("SELECT count(*) FROM wait") == 0


async def test_a_cancel_that_meets_a_suspension_is_not_lost(rig: Rig) -> None:
    await rig.queue(1)
    [row] = await rig.claim(await rig.lease(3600))
    async with rig.database.transaction() as connection:
        assert await due_work_finish.request_cancel(connection, run=row.id, reason="no") == "REQUESTED"
    await put_aside(rig, row, timer(deadline_ms=DAY_MS))
    async with rig.database.transaction() as connection:
        assert await due_work_recover.end_unclaimed(connection) == 1
    assert await rig.value("SELECT state FROM run WHERE id = $1", row.id) == "CANCELLED"
    assert await rig.value("SELECT count(*) FROM wait") == 0


async def test_the_end_of_a_run_deletes_its_waits(rig: Rig, loops: Loops) -> None:
    await suspended(rig, timer("x", deadline_ms=1000), timer("y", deadline_ms=5000))
    await rig.turn_clock(seconds=1)
    await loops.expire_waits()
    holder = await rig.lease(3600)
    [row] = await rig.claim(holder)
    assert await rig.complete(holder, row) == {row.id}
    assert await rig.value("SELECT count(*) FROM wait") == 0


async def test_callers_see_what_a_run_waits_for(rig: Rig) -> None:
    waiting = await suspended(rig, for_event("z"), wake_ms=5000)
    async with rig.database.connection() as connection:
        found = await run.get(connection, waiting, steps=True)
    assert found is not None
    assert found.state == "WAITING"
    [seen] = json.loads(found.waits or "[]")
    assert (seen["step"], seen["kind"], seen["topic"]) == ("z", "EVENT", "order.done")
    [told] = await rig.rows("SELECT events FROM outbox ORDER BY id DESC LIMIT 1")
    [lifecycle] = json.loads(told["events"])
    assert (lifecycle["topic"], lifecycle["source"]) == ("ordinaut.run.waiting", f"runs/{waiting}")


async def test_a_long_log_is_scanned_in_parts(rig: Rig, loops: Loops) -> None:
    """And an event far back is found."""
    for _ in range(150):
        await publish(rig, "noise.x", number=False)
    await publish(rig, order=1, number=False)
    async with rig.database.transaction() as connection:
        await event.number(connection)
    for _ in range(2):
        await loops.match()
    far = await suspended(rig, for_event(since_us=BEGINNING_US))
    near = await suspended(rig, for_event(topic="order.never", since_us=BEGINNING_US))
    await loops._scan.run_once()
    assert await rig.value("SELECT count(*) FROM match_todo") == 2  # the matcher does not wait for all of it
    assert [await state(rig, one) for one in (far, near)] == ["WAITING", "WAITING"]
    await judge_all(loops._judge)
    assert [await state(rig, one) for one in (far, near)] == ["READY", "WAITING"]
    assert await rig.value("SELECT scanned FROM wait WHERE run = $1", near)
