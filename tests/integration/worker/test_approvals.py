"""Questions in the database: born with the suspension, over with the deadline, and told as events."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Wait
from ordinaut.store.queue import due_work_finish, due_work_recover, wait
from ordinaut.store.runs import approval
from ordinaut.store.runs.approval import Reply
from tests.integration.support.queue_rig import BEGINNING, PROJECT, Rig
from tests.integration.worker.test_waits import DAY_MS, Loops, outcome, put_aside, resumed, state, suspended, timer

REPLY = Reply("agents/boss", "approve")


def question(path: str = "ask", deadline_ms: int | None = None) -> Wait:
    asked = {"message": "Really?", "data": {"n": 1}, "assignees": ["boss"], "editable": ["/n"]}
    return Wait(
        path=path, kind="APPROVAL", tool="orchestrator.request_approval", input=json.dumps(asked).encode(),
        guarded_tool="mail.send", subject_hash="abc", deadline_ms=deadline_ms,
    )  # fmt: skip


async def approvals(rig: Rig, run: UUID) -> dict[str, Any]:
    """What the run asks or has asked, by path."""
    return {row["step"]: row for row in await rig.rows("SELECT * FROM approval WHERE run = $1 ORDER BY id", run)}


async def told(rig: Rig) -> list[tuple[str, str]]:
    """The news of approvals so far: verb and subject."""
    events = [event for row in await rig.rows("SELECT events FROM outbox ORDER BY id") for event in json.loads(row[0])]
    topics = [(event["topic"], event["subject"]) for event in events]
    return [(topic.rpartition(".")[2], subject) for topic, subject in topics if topic.startswith("ordinaut.approval.")]


async def answered(rig: Rig, run: UUID, step: str = "ask", reply: Reply = REPLY) -> bool:
    """Whether an answer was the first."""
    found = (await approvals(rig, run))[step]
    async with rig.database.transaction() as connection:
        await due_work_recover.lock(connection, [run])
        given = await approval.answer(connection, found["id"], reply)
        if given is not None:
            await wait.resolve(connection, [(run, step, '{"status": "approved"}')])
    return given is not None


@pytest.fixture
async def loops(rig: Rig) -> Loops:
    return Loops(rig)


async def test_a_question_is_stored_with_the_suspension(rig: Rig) -> None:
    run = await suspended(rig, question(deadline_ms=30 * DAY_MS), timer("t", deadline_ms=1))
    found = (await approvals(rig, run))["ask"]
    assert (found["message"], found["tool"], found["hash"]) == ("Really?", "mail.send", "abc")
    assert (found["choices"], found["assignees"]) == (["approve", "reject"], ["agents/boss"])
    assert (found["editable"], found["allow_self"], found["state"]) == (["/n"], False, "PENDING")
    assert found["expire_time"] == BEGINNING + timedelta(days=30)
    assert await told(rig) == [("requested", f"approvals/{found['id']}")]


async def test_an_answer_wakes_the_run(rig: Rig) -> None:
    run = await suspended(rig, question())
    await rig.turn_clock(days=400)
    assert await answered(rig, run), "without a deadline it waits for ever"
    assert await state(rig, run) == "READY"
    assert not await answered(rig, run)
    assert [verb for verb, _ in await told(rig)] == ["requested", "answered"]


async def test_thirty_days_without_an_answer(rig: Rig, loops: Loops) -> None:
    """The step is told so; an answer that comes at that moment is too late, whether or not that was noticed."""
    run = await suspended(rig, question(deadline_ms=30 * DAY_MS))
    await rig.turn_clock(days=29, hours=23)
    await loops.expire_waits()
    assert await state(rig, run) == "WAITING"
    await rig.turn_clock(hours=1)
    assert not await answered(rig, run)
    await loops.expire_waits()
    assert await state(rig, run) == "READY"
    found = (await approvals(rig, run))["ask"]
    assert (found["state"], found["end_time"]) == ("EXPIRED", rig.now)
    assert await outcome(rig, run) == {
        "ask": {"status": "expired", "approval": f"approvals/{found['id']}", "time": "2026-04-01T12:00:00.000000Z"}
    }
    assert [verb for verb, _ in await told(rig)] == ["requested", "expired"]
    assert not await answered(rig, run)


async def test_a_suspension_and_its_question_are_one_transaction(rig: Rig) -> None:
    """A worker that has lost its lease asks nothing."""
    await rig.queue(1)
    [row] = await rig.claim(await rig.lease(1))
    await rig.turn_clock(seconds=2)
    assert await put_aside(rig, row, question()) == {}
    assert not await approvals(rig, row.id)


async def test_what_a_later_stay_does_not_name_is_cancelled(rig: Rig, loops: Loops) -> None:
    """Named again it stays the same question; the end of the run ends it too."""
    run = await suspended(rig, question("a"), question("b"), timer("t", deadline_ms=1000))
    before = await approvals(rig, run)
    await rig.turn_clock(seconds=1)
    await loops.expire_waits()
    row, _ = await resumed(rig)
    await put_aside(rig, row, Wait(path="a"))
    after = await approvals(rig, run)
    assert {path: one["state"] for path, one in after.items()} == {"a": "PENDING", "b": "CANCELLED"}
    assert after["a"]["id"] == before["a"]["id"]
    async with rig.database.transaction() as connection:
        assert await due_work_finish.request_cancel(connection, run=run, reason="no") == "ENDED"
    assert (await approvals(rig, run))["a"]["state"] == "CANCELLED"
    assert [verb for verb, _ in await told(rig)] == ["requested", "requested", "cancelled", "cancelled"]


async def test_an_answered_question_is_no_news_when_the_run_ends(rig: Rig) -> None:
    run = await suspended(rig, question())
    await answered(rig, run)
    holder = await rig.lease(3600)
    [row] = await rig.claim(holder)
    assert await rig.complete(holder, row) == {run}
    assert (await approvals(rig, run))["ask"]["state"] == "APPROVED"
    assert await rig.value("SELECT count(*) FROM wait") == 0


async def test_deadline_answers_and_cancel_race_to_one_end(rig: Rig) -> None:
    """Whoever comes first: one end, told once, and no deadlock."""
    loops = [Loops(rig), Loops(rig)]
    for count in range(8):
        run = await suspended(rig, question(deadline_ms=1000))
        if count % 2:
            await rig.turn_clock(seconds=1)

        async def cancel(run: UUID = run) -> None:
            async with rig.database.transaction() as connection:
                await due_work_finish.request_cancel(connection, run=run, reason="no")

        await asyncio.gather(
            loops[0].expire_waits(), answered(rig, run), cancel(), answered(rig, run), loops[1].expire_waits()
        )
        [ended] = (await approvals(rig, run)).values()
        news = [verb for verb, subject in await told(rig) if subject == f"approvals/{ended['id']}"]
        expected = {"APPROVED": "answered", "EXPIRED": "expired", "CANCELLED": "cancelled"}[ended["state"]]
        assert news == ["requested", expected]


async def test_many_questions_make_rows_that_the_log_can_hold(rig: Rig) -> None:
    """At most a thousand events a row."""
    run = await suspended(rig, *(question(f"ask{number}") for number in range(1001)))
    assert len(await approvals(rig, run)) == 1001
    counts = await rig.rows("SELECT count FROM outbox WHERE events::text LIKE '%approval.requested%' ORDER BY count")
    assert [row["count"] for row in counts] == [1, 1000]
    assert await rig.value("SELECT project FROM approval LIMIT 1") == PROJECT
