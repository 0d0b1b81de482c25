"""Deadlines of runs and `finally`, on real rows: while a run waits, is delayed or held, after losses, in retries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict

from ordinaut.store.hints import Hints
from ordinaut.store.queue import due_work_recover
from ordinaut.v1.approval_service_pb2 import ListApprovalsRequest
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import (
    CancelRunRequest,
    CreateRunRequest,
    GetRunRequest,
    ListRunsRequest,
    ListRunStepsRequest,
    ReplayRunRequest,
    RetryRunRequest,
    SimulateRunRequest,
)
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, DeleteTaskRequest, RunTaskRequest, UpdateTaskRequest
from scheduler.maintenance.child_runs import ChildRuns
from scheduler.maintenance.expire_waits import ExpireWaits
from scheduler.maintenance.promote import Promote
from scheduler.maintenance.rescue import Rescue
from tests.integration.gateway.test_cancelled_runs import crash, lost_worker, slow_tool
from tests.integration.support.gateway_system import GatewaySystem, a_task, finished, gateway_system, refusal, working
from tests.patience import PATIENCE

CLOSE = {
    "id": "close",
    "uses": "orchestrator.emit",
    "with": {"topic": "closed", "data": {"state": "${run.state}", "first": "${steps.first}"}},
}
FIRST = {"id": "first", "uses": "orchestrator.emit", "with": {"topic": "first", "data": {}}}
LAST = {"id": "last", "uses": "slow.get", "with": {"n": "${run.state}"}}
WAITS: dict[str, dict[str, Any]] = {
    "timer": {"id": "w", "uses": "orchestrator.wait", "with": {"for": "1h"}},
    "event": {"id": "w", "uses": "orchestrator.wait_event", "with": {"topic": "never", "timeout": "1h"}},
    "approval": {"id": "w", "uses": "orchestrator.request_approval", "with": {"message": "?"}},
    "child": {"id": "w", "uses": "orchestrator.run_task", "with": {"task": "tasks/long", "wait": True}},
}


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url, egress="127.0.0.0/8") as started:
        yield started


@asynccontextmanager
async def scheduling(system: GatewaySystem) -> AsyncIterator[None]:
    """The scheduler's parts that wake, promote, rescue and cancel runs."""
    hints = Hints(system.database)
    loops = [part(system.database, hints) for part in (ExpireWaits, Promote, Rescue, ChildRuns)]

    async def sweep() -> None:
        while True:
            for loop in loops:
                await loop.run_once()
            await asyncio.sleep(0.02)

    sweeping = asyncio.create_task(sweep())
    try:
        yield
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)


@asynccontextmanager
async def running(system: GatewaySystem, database_url: str) -> AsyncIterator[None]:
    async with working(system, database_url), scheduling(system):
        yield


def document(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"steps": [FIRST, *steps], "finally": [CLOSE], **more}


async def created(system: GatewaySystem, pipeline: dict[str, Any], **fields: Any) -> str:
    request = json_format.ParseDict({"pipeline": pipeline, **fields}, CreateRunRequest())
    return str((await system.admin.runs.CreateRun(request)).name)


async def until(system: GatewaySystem, name: str, *states: "Run.State.ValueType") -> Run:
    async with asyncio.timeout(PATIENCE):
        while (run := await system.admin.runs.GetRun(GetRunRequest(name=name))).state not in states:
            await asyncio.sleep(0.02)
    result: Run = run
    return result


def states(run: Run) -> dict[str, str]:
    return {step.path: StepRun.State.Name(step.state) for step in run.steps}


def closed(run: Run) -> list[Any]:
    return [MessageToDict(step.input)["data"]["state"] for step in run.steps if step.path == "finally.close"]


async def lost(system: GatewaySystem) -> None:
    """The scheduler finds that the workers are lost."""
    async with system.database.transaction() as connection:
        await connection.execute("DELETE FROM lease")
        await due_work_recover.rescue(connection, 10)


@pytest.mark.parametrize("kind", WAITS)
async def test_a_waiting_run_is_woken_at_its_deadline(system: GatewaySystem, database_url: str, kind: str) -> None:
    long_task = a_task(pipeline={"steps": [{"id": "n", "uses": "orchestrator.wait", "with": {"for": "1h"}}]})
    await system.admin.tasks.CreateTask(CreateTaskRequest(task_id="long", task=long_task))
    handler = {"id": "note", "uses": "orchestrator.emit", "with": {"topic": "late", "data": {"code": "${error.code}"}}}
    async with running(system, database_url):
        name = await created(system, document(WAITS[kind], on_error=[handler]), run_policy={"deadline": "2s"})
        await until(system, name, Run.WAITING)
        run = await finished(system.admin, name)
        if kind == "child":
            child = (await system.admin.runs.ListRuns(ListRunsRequest(filter=f'parent = "{name}"'))).runs[0]
            assert (await finished(system.admin, child.name)).state == Run.CANCELLED
    assert (run.state, run.error.code, run.error.step, closed(run)) == (Run.FAILED, "DEADLINE", "w", ["FAILED"])
    assert [step.error.code for step in run.steps if step.path == "w"] == ["DEADLINE"]
    assert 2 <= (run.end_time.ToNanoseconds() - run.start_time.ToNanoseconds()) / 1e9 < 30
    assert (
        await system.admin.approvals.ListApprovals(ListApprovalsRequest(filter='state = "PENDING"'))
    ).approvals == []
    replay = await system.admin.runs.ReplayRun(ReplayRunRequest(name=name))
    assert replay.same, replay


async def test_a_delayed_run_is_resumed_at_its_deadline_and_its_retry_has_a_fresh_one(
    system: GatewaySystem, database_url: str
) -> None:
    step = {"id": "one", "uses": "slow.get", "with": {}, "retry": {"max": 9, "delay": "1h", "jitter": 0}}
    async with slow_tool(system) as tool, running(system, database_url):
        tool.fails, tool.calls = 1, 0
        name = await created(system, document(step, deadline="3s"))
        run = await finished(system.admin, name)
        assert (run.error.code, tool.calls, closed(run)) == ("DEADLINE", 1, ["FAILED"])
        tool.open.set()
        again = await system.admin.runs.RetryRun(RetryRunRequest(name=name))
        retried = await finished(system.admin, again.name)
    assert (retried.state, closed(retried)) == (Run.SUCCEEDED, ["SUCCEEDED"])
    keys = [{step.path: step.idempotency_key for step in each.steps} for each in (run, retried)]
    assert keys[0]["one"] == keys[1]["one"]
    assert keys[0]["finally.close"] != keys[1]["finally.close"]
    listed = await system.admin.runs.ListRunSteps(ListRunStepsRequest(parent=name))
    assert {step.path: step.idempotency_key for step in listed.steps} == keys[0]
    own = [step.path for step in retried.steps]
    assert own == ["first", "one", "finally", "finally.close"], "the first run's `finally` is not copied"


async def test_a_held_run_ends_at_its_deadline_and_after_a_loss_it_still_does(
    system: GatewaySystem, database_url: str
) -> None:
    step = {"id": "one", "uses": "slow.get", "with": {}, "timeout": "10m"}
    async with slow_tool(system) as tool:
        worker = await lost_worker(system, database_url)
        name = await created(system, document(step), run_policy={"deadline": "3s"})
        await tool.until(1)
        await crash(worker)
        await lost(system)
        async with running(system, database_url):
            run = await finished(system.admin, name)
    assert (run.state, run.error.code, run.error.step) == (Run.FAILED, "DEADLINE", "one")
    assert 3 <= (run.end_time.ToNanoseconds() - run.start_time.ToNanoseconds()) / 1e9 < 30


@pytest.mark.parametrize("when", ["held", "waiting", "delayed", "ready", "lost"])
async def test_a_cancelled_run_runs_finally(system: GatewaySystem, database_url: str, when: str) -> None:
    """Whoever holds it, once, without repeating what has finished."""
    slow = {"id": "w", "uses": "slow.get", "with": {}, "timeout": "10m", "retry": {"max": 9, "delay": "1h"}}
    step = WAITS["approval"] if when == "waiting" else slow
    async with slow_tool(system) as tool:
        tool.fails = 1 if when == "delayed" else 0
        worker = await lost_worker(system, database_url)
        async with scheduling(system):
            name = await created(system, document(step))
            if when == "waiting":
                await until(system, name, Run.WAITING)
            else:
                await tool.until(1)
            if when == "delayed":
                await _until_row(system, name, "DELAYED")
        if when in {"ready", "lost"}:
            await crash(worker)
            if when == "lost":
                await system.admin.runs.CancelRun(CancelRunRequest(name=name))
            await lost(system)
        else:
            await system.admin.runs.CancelRun(CancelRunRequest(name=name))
        if when == "ready":
            live = await system.admin.runs.CancelRun(CancelRunRequest(name=name, reason="enough"))
            assert live.state == Run.RUNNING
        await system.admin.runs.CancelRun(CancelRunRequest(name=name))  # a second one changes nothing
        if when in {"ready", "lost"}:
            async with running(system, database_url):
                run = await finished(system.admin, name)
        else:
            async with scheduling(system):
                run = await finished(system.admin, name)
            await worker.stop()
    assert (run.state, closed(run), run.HasField("error")) == (Run.CANCELLED, ["CANCELLED"], False)
    assert states(run)["first"] == "SUCCEEDED"
    if when in {"held", "waiting"}:
        assert states(run)["w"] == "CANCELLED"
    assert (await system.admin.runs.ReplayRun(ReplayRunRequest(name=name))).same
    assert tool.calls == (0 if when == "waiting" else 1)
    assert (
        await system.admin.approvals.ListApprovals(ListApprovalsRequest(filter='state = "PENDING"'))
    ).approvals == []


async def _until_row(system: GatewaySystem, name: str, state: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            async with system.database.connection() as connection:
                row = await connection.fetchval("SELECT state FROM due_work WHERE id = $1", name.removeprefix("runs/"))
            if row == state:
                return
            await asyncio.sleep(0.02)


async def test_a_run_that_never_started_runs_no_finally(system: GatewaySystem) -> None:
    name = await created(system, document())
    run = await system.admin.runs.CancelRun(CancelRunRequest(name=name))
    assert (run.state, list(run.steps)) == (Run.CANCELLED, [])


async def test_finally_of_a_cancelled_run_survives_the_loss_of_its_worker(
    system: GatewaySystem, database_url: str
) -> None:
    """The next claim continues it; its finished steps and the main part are not repeated."""
    pipeline = document({"id": "w", "uses": "slow.get", "with": {}, "timeout": "10m"})
    pipeline["finally"] = [CLOSE, {**LAST, "timeout": "50s"}]
    async with slow_tool(system) as tool:
        worker = await lost_worker(system, database_url)
        name = await created(system, pipeline)
        await tool.until(1)
        await system.admin.runs.CancelRun(CancelRunRequest(name=name))
        await tool.until(2)  # the call in `finally`
        await crash(worker)
        await lost(system)
        async with running(system, database_url):
            await tool.until(3)
            tool.open.set()
            run = await finished(system.admin, name)
    assert (run.state, closed(run)) == (Run.CANCELLED, ["CANCELLED"])
    assert [step.path for step in run.steps if step.path.startswith("finally")] == [
        "finally", "finally.close", "finally.last",
    ]  # fmt: skip
    assert states(run)["finally.last"] == "SUCCEEDED"


async def test_deleting_a_task_lets_its_runs_finish(system: GatewaySystem, database_url: str) -> None:
    task = a_task(pipeline=document(WAITS["timer"]), run_policy={"deadline": "90s"})
    await system.admin.tasks.CreateTask(CreateTaskRequest(task_id="t", task=task))
    async with running(system, database_url):
        name = (await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/t"))).name
        await until(system, name, Run.WAITING)
        await system.admin.tasks.DeleteTask(DeleteTaskRequest(name="tasks/t"))
        run = await finished(system.admin, name)
    assert (run.state, closed(run)) == (Run.CANCELLED, ["CANCELLED"])


async def test_the_deadline_of_a_policy_is_checked_patched_and_simulated(system: GatewaySystem) -> None:
    task = a_task(pipeline={"steps": [WAITS["timer"]]}, run_policy={"deadline": "90s"})
    await system.admin.tasks.CreateTask(CreateTaskRequest(task_id="t", task=task))
    simulated = await system.admin.runs.SimulateRun(SimulateRunRequest(task="tasks/t"))
    assert (simulated.run.state, simulated.run.error.code) == (Run.FAILED, "DEADLINE")
    patch = json_format.ParseDict({"name": "tasks/t", "runPolicy": {"deadline": "7200s"}}, Task())
    mask = FieldMask(paths=["run_policy.deadline"])
    updated = await system.admin.tasks.UpdateTask(UpdateTaskRequest(task=patch, update_mask=mask))
    assert updated.run_policy.deadline.seconds == 7200
    assert (await system.admin.runs.SimulateRun(SimulateRunRequest(task="tasks/t"))).run.state == Run.SUCCEEDED
    for wrong in ("0.5s", "40000000s", "-1s", "0s"):
        patch = json_format.ParseDict({"name": "tasks/t", "runPolicy": {"deadline": wrong}}, Task())
        request = UpdateTaskRequest(task=patch, update_mask=mask)
        assert (await refusal(system.admin.tasks.UpdateTask(request))).fields == ["task.run_policy.deadline"]
