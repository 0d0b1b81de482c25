"""Child runs: one for each step, with the owner's scopes, and the end of the parent's wait."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Effect, JournalEntry, Wait
from ordinaut.limits import MAX_CHAIN_DEPTH
from ordinaut.store import event
from ordinaut.store.hints import Hints
from ordinaut.store.queue import due_work_enqueue, due_work_finish
from ordinaut.store.queue.due_work_claim import ClaimedRun
from ordinaut.store.runs import retry, run
from scheduler.events.matcher import Matcher
from scheduler.maintenance.child_runs import ChildRuns
from tests.integration.support.queue_rig import BEGINNING, PROJECT, Rig
from tests.patience import PATIENCE
from worker.effects.apply import apply_effects
from worker.effects.child_runs import MAX_CHILDREN, RUN_TASK
from worker.held_runs import HeldRun
from worker.run_result import WAITING, RunResult
from worker.suspension import suspend

ADMIN = frozenset({"admin"})


def held(row: ClaimedRun, scopes: frozenset[str] = ADMIN, **fields: Any) -> HeldRun:
    return HeldRun(
        handle=1, id=row.id, fence=row.fence, project=PROJECT, owner="agents/alice", scopes=scopes,
        **{"depth": row.depth, "root": row.root, "stream": None, **fields},
    )  # fmt: skip


class Family:
    """A parent that a worker holds, and the parts of a scheduler that matter to it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.row: ClaimedRun
        self.lease = uuid4()
        hints = Hints(rig.database)
        self.sweep = ChildRuns(rig.database, hints).run_once
        self._matcher = Matcher(rig.database, hints)

    async def born(self, **queued: Any) -> "Family":
        await self.rig.queue(1, **queued)
        self.lease = await self.rig.lease(36_000)
        [self.row] = await self.rig.claim(self.lease)
        return self

    async def match(self) -> None:
        async with self.rig.database.transaction() as connection:
            await event.number(connection)
        for _ in range(2):
            await self._matcher.run_once()

    async def do(self, path: str = "a", *, scopes: frozenset[str] = ADMIN, **given: Any) -> dict[str, Any]:
        """Applies one `run_task` without waiting; its output or error."""
        [result] = await self.do_all([path], scopes=scopes, **given)
        return result

    async def do_all(
        self, paths: Sequence[str], *, scopes: frozenset[str] = ADMIN, depth: int | None = None, **given: Any
    ) -> list[dict[str, Any]]:
        """Applies the effects of concurrent steps together, as the journal does."""
        run_of = held(self.row, scopes, **({} if depth is None else {"depth": depth}))
        text = json.dumps(given).encode()
        effects = [
            Effect(
                handle=1,
                step=JournalEntry(path=path, attempt=1, tool=RUN_TASK, input=text),
                idempotency_key=f"{self.row.root}/{path}",
            )
            for path in paths
        ]
        async with self.rig.database.transaction() as connection:
            entries = await apply_effects(connection, [(run_of, effect) for effect in effects])
        return [json.loads(entry.output or entry.error) for entry in entries]

    async def wait(self, *paths: str, again: Sequence[str] = (), **given: Any) -> str:
        """Suspends the parent until the runs that these steps start have ended; its state afterwards."""
        step_input = json.dumps({"wait": True, **given}).encode()
        waits = [Wait(path=path, kind="CHILD", tool=RUN_TASK, input=step_input) for path in paths]
        result = RunResult(WAITING, waits=[*waits, *(Wait(path=path) for path in again)])
        async with self.rig.database.transaction() as connection:
            return (await suspend(connection, self.lease, [(held(self.row), result)]))[self.row.id]

    async def child(self, path: str = "a") -> Any:
        """The queue's row of the newest child of a step."""
        rows = await self.rig.rows(
            "SELECT d.* FROM due_work AS d JOIN run_child AS c ON c.run = d.id WHERE c.path = $1", path
        )
        return rows[-1] if rows else None

    async def end(self, path: str = "a", state: str = "SUCCEEDED", error: dict[str, Any] | None = None) -> UUID:
        """Claims that child and ends it."""
        child: UUID = (await self.child(path))["id"]
        rows = await self.rig.claim(self.lease)
        [row] = [row for row in rows if row.id == child]
        ended = due_work_finish.EndColumns([row.id], [row.fence], [state], ['{"n": 7}'], [json.dumps(error)])
        if state == "SUCCEEDED":
            ended.errors = [None]
        else:
            ended.outputs = [None]
        async with self.rig.database.transaction() as connection:
            assert await due_work_finish.complete(connection, self.lease, ended)
            rest = [row for row in rows if row.id != child]
            await due_work_finish.release(connection, self.lease, [row.id for row in rest], [row.fence for row in rest])
        return child

    async def state(self) -> str:
        row = await self.rig.row(self.row.id)
        return row["state"] if row else "GONE"

    async def outcome(self, path: str = "a") -> Any:
        """The result of a wait; None while it is open."""
        [row] = await self.rig.rows("SELECT result::text, error::text, resolve_time FROM wait WHERE path = $1", path)
        return json.loads(row["result"] or row["error"] or "null") if row["resolve_time"] else None

    async def cancel(self, which: UUID) -> None:
        async with self.rig.database.transaction() as connection:
            await due_work_finish.request_cancel(connection, run=which, reason="no")


@pytest.fixture
async def family(rig: Rig) -> Family:
    await rig.task(name="report")
    await rig.execute("UPDATE task_version SET params = $1", '{"city": "Iasi", "n": 1}')
    return await Family(rig).born()


async def test_a_child_is_a_run_of_the_task_with_its_parent(family: Family) -> None:
    answer = await family.do(task="tasks/report", params={"n": 2})
    row = await family.child()
    assert answer == {"run": f"runs/{row['id']}"}
    assert (row["kind"], row["task_name"], row["depth"], row["state"]) == ("CHILD", "report", 1, "READY")
    assert json.loads(row["params"]) == {"city": "Iasi", "n": 2}
    assert row["root"] == row["occurrence"]
    assert row["root"].startswith("child:")
    async with family.rig.database.connection() as connection:
        record = await run.get(connection, row["id"], steps=False)
    assert record is not None
    assert record.parent == family.row.id
    assert await family.rig.value("SELECT outcome FROM occurrence WHERE key = $1", row["root"]) == "ENQUEUED"


async def test_a_step_has_one_child_however_often_it_is_executed(family: Family) -> None:
    """The same key gives the same child: after a commit with a lost answer, and in a retry of the run."""
    first = await family.do(task="report")
    assert await family.do(task="report") == first
    await family.end()
    assert await family.do(task="report") == first
    assert await family.do("b", task="report") != first
    assert await family.rig.value("SELECT count(*) FROM run_child") == 2


@pytest.mark.parametrize(
    ("given", "starts"),
    [({"delay": "90s"}, 90), ({"start_time": "2026-03-02T14:00:00+01:00"}, 3600), ({"delay": "PT1H"}, 3600)],
)
async def test_a_child_with_a_delay_or_start_time_starts_later(
    family: Family, given: dict[str, Any], starts: int
) -> None:
    await family.do(task="report", **given)
    row = await family.child()
    assert (row["state"], row["due_time"]) == ("DELAYED", BEGINNING + timedelta(seconds=starts))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"task": "tasks/nothing"}, "NOT_FOUND"),
        ({"task": "bobs"}, "NOT_FOUND"),
        ({"task": "report", "delay": "soon"}, "VALIDATION_INPUT"),
        ({"task": "report", "start_time": "0001-01-01T00:00:00+14:00"}, "VALIDATION_INPUT"),
        ({"task": "report", "start_time": "2026-03-02"}, "VALIDATION_INPUT"),
        ({"task": "report", "wait": True}, "VALIDATION_INPUT"),
        ({"task": "report", "scopes": frozenset({"tasks:run:other"})}, "DENIED"),
        ({"task": "report", "depth": MAX_CHAIN_DEPTH}, "DENIED"),
    ],
)
async def test_a_child_that_cannot_be_started_is_an_error_of_the_step(
    family: Family, given: dict[str, Any], code: str
) -> None:
    await family.rig.task(name="bobs")
    await family.rig.execute("UPDATE task SET owner = 'agents/bob' WHERE name = 'bobs'")
    scopes = given.pop("scopes", frozenset({"tasks:run"}))
    [error] = await family.do_all(["a"], scopes=scopes, **given)
    assert (error["code"], error["step"], error["tool"]) == (code, "a", RUN_TASK)
    assert await family.child() is None


async def test_only_an_admin_can_run_a_task_of_another_owner(family: Family) -> None:
    await family.rig.execute("UPDATE task SET owner = 'agents/bob' WHERE name = 'report'")
    assert (await family.do(task="report", scopes=frozenset({"tasks:run"})))["code"] == "NOT_FOUND"
    assert "run" in await family.do(task="report")
    assert (await family.child())["owner"] == "agents/bob"


async def test_the_overlap_policy_of_the_task_applies(family: Family) -> None:
    """A conflict is an error of the step; it succeeds after the other run has ended."""
    await family.rig.task(name="single", overlap="SKIP")
    first = await family.do("a", task="single")
    conflict = await family.do("b", task="single")
    assert (conflict["code"], conflict["details"]) == ("TOOL_ERROR", {"reason": "OVERLAP", "live_run": first["run"]})
    assert (await family.do("b", task="single"))["code"] == "TOOL_ERROR"
    await family.end("a")
    assert "run" in await family.do("b", task="single")
    outcomes = await family.rig.rows("SELECT outcome FROM occurrence")
    assert [row["outcome"] for row in outcomes] == ["ENQUEUED", "ENQUEUED"]


async def test_a_parent_waits_for_a_buffered_child(family: Family) -> None:
    await family.rig.task(name="turns", overlap="BUFFER_ONE")
    await family.do("first", task="turns")
    assert await family.wait("a", task="turns") == "WAITING"
    assert (await family.child("a"))["state"] == "BLOCKED"


@pytest.mark.parametrize("between", [False, True])
async def test_a_run_cannot_wait_for_a_child_that_is_buffered_until_it_ends(rig: Rig, between: bool) -> None:
    """A child of the same task, or of the task of an ancestor; without `wait` it is buffered."""
    turns = await rig.task(name="turns", overlap="BUFFER_ALL", policy={"max_buffer": 5})
    await rig.task(name="between")
    family = Family(rig)
    family.lease = await rig.lease(36_000)
    async with rig.database.transaction() as connection:
        await due_work_enqueue.enqueue_manual(
            connection, task=turns, run=uuid4(), params_json="{}", priority=None, start_time=None
        )
    [family.row] = await rig.claim(family.lease)
    if between:
        await family.wait("b", task="between")
        [family.row] = await rig.claim(family.lease)
    assert await family.wait("a", task="turns") == "READY"
    assert (await family.outcome("a"))["details"] == {"reason": "OVERLAP"}
    [family.row] = await rig.claim(family.lease)
    assert "run" in await family.do("free", task="turns")
    assert (await family.child("free"))["state"] == "BLOCKED"


async def test_the_number_of_children_of_a_run_is_limited(family: Family) -> None:
    await family.rig.execute(
        "INSERT INTO run_child SELECT new_id(), $1, 'x', gen_random_uuid(), false FROM generate_series(1, $2)",
        family.row.id,
        MAX_CHILDREN - 1,
    )
    first, second = await family.do_all(["a", "b"], task="report")
    assert "run" in first
    assert second["code"] == "FAN_OUT_LIMIT"


@pytest.mark.parametrize("owner", ["", "agents/alice"])
async def test_a_step_starts_no_child_over_the_quota_of_live_runs(family: Family, owner: str) -> None:
    """Its retry does when there is room."""
    await family.rig.execute("INSERT INTO over_quota VALUES ($1, $2)", PROJECT, owner)
    refused = await family.do("a", task="report")
    assert (refused["code"], refused["details"]) == ("TOOL_ERROR", {"reason": "QUOTA_EXCEEDED", "quota": "live_runs"})
    assert await family.rig.value("SELECT count(*) FROM run_child") == 0
    await family.rig.execute("DELETE FROM over_quota")
    assert "run" in await family.do("a", task="report")


@pytest.mark.parametrize("by", ["match", "sweep"])
async def test_a_parent_resumes_with_the_output_of_its_child(family: Family, by: str) -> None:
    """By the event of the end, or by the sweep if the event was missed."""
    assert await family.wait("a", task="report", params={"n": 3}) == "WAITING"
    async with family.rig.database.connection() as connection:
        record = await run.get(connection, family.row.id, steps=True)
    ended = await family.end()
    assert record is not None
    [open_wait] = json.loads(record.waits or "[]")
    assert (open_wait["kind"], open_wait["run"], open_wait["step"]) == ("CHILD", str(ended), "a")
    assert await family.state() == "WAITING", "the completion does not wake the parent"
    await getattr(family, by)()
    assert await family.state() == "READY"
    assert await family.outcome() == {"n": 7}
    assert await family.rig.value("SELECT count(*) FROM run_child WHERE awaited") == 0


async def test_the_failure_of_a_child_is_an_error_with_the_error_of_the_child(family: Family) -> None:
    await family.wait("a", "b", task="report")
    failed = await family.end("a", "FAILED", {"code": "NO_DATA", "message": "nothing"})
    cancelled = (await family.child("b"))["id"]
    await family.cancel(cancelled)
    await family.match()
    assert await family.outcome("a") == {
        "code": "TOOL_ERROR", "message": f"runs/{failed} failed: nothing", "step": "a", "tool": RUN_TASK, "attempt": 1,
        "details": {"run": f"runs/{failed}", "error": {"code": "NO_DATA", "message": "nothing"}},
    }  # fmt: skip
    error = await family.outcome("b")
    assert (error["code"], error["details"]) == ("CANCELLED", {"run": f"runs/{cancelled}"})


async def test_a_rejected_child_ends_the_wait_at_once(family: Family) -> None:
    assert await family.wait("a", task="nothing") == "READY"
    assert (await family.outcome())["code"] == "NOT_FOUND"
    assert await family.rig.value("SELECT count(*) FROM run_child") == 0


async def test_a_child_that_ends_while_its_parent_is_leased_is_not_lost(family: Family) -> None:
    """Two branches: one child wakes the parent, the other ends before the parent suspends again."""
    await family.wait("a", "b", task="report")
    await family.end("a")
    await family.match()
    rows = await family.rig.claim(family.lease)
    [family.row] = [row for row in rows if row.id == family.row.id]
    [other] = [row for row in rows if row.id != family.row.id]
    await family.rig.complete(family.lease, other)
    await family.match()
    assert await family.state() == "LEASED"
    assert await family.wait(again=["b"]) == "READY"


async def test_the_end_of_a_parent_cancels_the_children_that_it_waits_for(family: Family) -> None:
    """With their descendants; children that it did not wait for continue."""
    await family.do("free", task="report")
    await family.wait("a", task="report")
    child = await family.child()
    [grandparent] = [row for row in await family.rig.claim(family.lease) if row.id == child["id"]]
    below = Family(family.rig)
    below.row, below.lease = grandparent, family.lease
    await below.wait("deep", task="report")
    await family.cancel(family.row.id)
    while await family.sweep():
        pass
    ended = await family.rig.rows("SELECT id, state, cancel_reason FROM run ORDER BY id")
    assert [row["state"] for row in ended] == ["CANCELLED"] * 3
    assert ended[1]["cancel_reason"] == f"runs/{family.row.id} no longer waits for it"
    assert await family.child("free") is not None
    assert await family.rig.value("SELECT count(*) FROM run_child WHERE awaited") == 0


async def test_a_child_is_cancelled_when_its_parent_no_longer_waits_for_it(family: Family) -> None:
    """A sibling has failed, and the run continues without the waiting branch."""
    await family.wait("a", "b", task="report")
    await family.end("b", "FAILED", {"code": "NO"})
    await family.match()
    [family.row] = [row for row in await family.rig.claim(family.lease) if row.id == family.row.id]
    assert await family.child("a") is not None
    await family.wait("handler", task="report")
    await family.sweep()
    child = await family.child("a")
    assert child is None or child["cancel_requested"]
    assert await family.child("handler") is not None


async def test_a_retry_of_the_parent_reuses_its_children(rig: Rig) -> None:
    """Live and successful children are kept; a failed one is retried with the same root."""
    await rig.task(name="report")
    task = await rig.task(name="parent")
    family = Family(rig)
    family.lease = await rig.lease(36_000)
    await rig.queue(1, of=task)
    [family.row] = await rig.claim(family.lease)
    await family.wait("good", "bad", task="report")
    await family.end("good")
    failed = await family.end("bad", "FAILED", {"code": "NO"})
    await family.match()
    [row] = [row for row in await rig.claim(family.lease) if row.id == family.row.id]
    await rig.complete(family.lease, row, state="FAILED")
    async with rig.database.transaction() as connection:
        again = await retry.enqueue(connection, retry_of=row.id, run=uuid4())
    assert again.run is not None
    [family.row] = await rig.claim(family.lease)
    assert await family.wait("good", "bad", task="report") == "READY"
    assert await family.outcome("good") == {"n": 7}
    assert await family.outcome("bad") is None
    second = await family.child("bad")
    assert (second["kind"], second["root"]) == ("RETRY", await rig.value("SELECT root FROM run WHERE id = $1", failed))
    assert await rig.value("SELECT count(*) FROM run_child") == 3
    await family.end("bad")
    await family.match()
    assert await family.outcome("bad") == {"n": 7}


async def test_a_live_child_is_adopted_by_a_retry_before_it_is_cancelled(rig: Rig) -> None:
    """The parent was cancelled, and is retried before the sweep."""
    await rig.task(name="report")
    task = await rig.task(name="parent")
    family = Family(rig)
    family.lease = await rig.lease(36_000)
    await rig.queue(1, of=task)
    [family.row] = await rig.claim(family.lease)
    await family.wait("a", task="report")
    child = await family.child()
    await family.cancel(family.row.id)
    async with rig.database.transaction() as connection:
        again = await retry.enqueue(connection, retry_of=family.row.id, run=uuid4())
    [family.row] = [row for row in await rig.claim(family.lease) if row.id == again.run]
    assert await family.wait("a", task="report") == "WAITING"
    await family.sweep()
    still = await family.child()
    assert (still["id"], still["cancel_requested"]) == (child["id"], False)


async def test_concurrent_ends_sweeps_and_suspensions_lose_no_wake_up(rig: Rig) -> None:
    """Twelve parents; children end, matchers and sweeps of two schedulers run, all at the same time."""
    await rig.task(name="report")
    families = [Family(rig), Family(rig)]
    lease = await rig.lease(36_000)
    await rig.queue(12)
    rows = await rig.claim(lease)
    parents = []
    for row in rows:
        parent = Family(rig)
        parent.row, parent.lease = row, lease
        parents.append(parent)
    done = asyncio.Event()

    async def schedule(family: Family) -> None:
        while not done.is_set():
            await family.match()
            await family.sweep()

    async def work() -> None:
        while not done.is_set():
            claimed = [row for row in await rig.claim(lease) if row.kind == "CHILD"]
            if claimed:
                await rig.complete(lease, *claimed)
            await asyncio.sleep(0)

    loops = [asyncio.create_task(schedule(family)) for family in families] + [asyncio.create_task(work())]
    await asyncio.gather(*(parent.wait("a", "b", task="report") for parent in parents))
    async with asyncio.timeout(PATIENCE):
        while await rig.value("SELECT count(*) FROM wait WHERE resolve_time IS NULL"):
            await asyncio.sleep(0)
    done.set()
    await asyncio.gather(*loops)
    assert await rig.value("SELECT count(*) FROM run_child") == 24
    assert await rig.value("SELECT count(*) FROM run WHERE kind = 'CHILD' AND state = 'SUCCEEDED'") == 24
