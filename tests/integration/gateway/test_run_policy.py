"""The rules of a task's runs as callers see and change them."""

from collections.abc import AsyncIterator

import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask

from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import CreateRunRequest
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, PauseTaskRequest, ResumeTaskRequest, UpdateTaskRequest
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system, refusal

POLICY = {"start_deadline": "90s", "pause_after_failures": 3, "expect_success_every": "3600s"}
HEALTH = """
SELECT failures, overdue_time = 'infinity' AS silent, extract(epoch FROM overdue_time - clock_now()) AS seconds
FROM task_health
"""


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


async def health(system: GatewaySystem) -> tuple[int, bool, float | None] | None:
    async with system.database.connection() as connection:
        row = await connection.fetchrow(HEALTH)
    if row is None:
        return None
    return row["failures"], row["silent"], None if row["silent"] else round(float(row["seconds"]), -2)


async def changed(system: GatewaySystem, path: str, **policy: object) -> Task:
    task = Task(name="tasks/watched", run_policy=a_task(run_policy=policy).run_policy)
    request = UpdateTaskRequest(task=task, update_mask=FieldMask(paths=[path]))
    answer: Task = await system.admin.tasks.UpdateTask(request)
    return answer


async def test_policies_are_stored_changed_and_removed(system: GatewaySystem) -> None:
    task = a_task(run_policy=POLICY)
    made = await system.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="watched"))
    assert made.run_policy == task.run_policy
    assert await health(system) == (0, False, 3600)
    await changed(system, "run_policy.expect_success_every", expect_success_every="7200s")
    assert await health(system) == (0, False, 7200)
    await changed(system, "run_policy.priority", priority=2)
    assert await health(system) == (0, False, 7200)
    answer = await changed(system, "run_policy.expect_success_every")
    assert await health(system) == (0, True, None)
    assert answer.run_policy.pause_after_failures == 3
    await changed(system, "run_policy", start_deadline="60s")
    assert await health(system) is None


async def test_resuming_resets_the_failure_count(system: GatewaySystem) -> None:
    task = a_task(run_policy=POLICY)
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="watched"))
    async with system.database.connection() as connection:
        await connection.execute("UPDATE task_health SET failures = 2, overdue_time = '2020-01-01Z'")
    await system.admin.tasks.PauseTask(PauseTaskRequest(name="tasks/watched"))
    await system.admin.tasks.ResumeTask(ResumeTaskRequest(name="tasks/watched"))
    assert await health(system) == (0, False, 3600)


async def test_rules_of_tasks_are_refused_for_inline_runs(system: GatewaySystem) -> None:
    task = a_task(run_policy=POLICY)
    request = CreateRunRequest(pipeline=task.pipeline, params=task.params, run_policy=task.run_policy)
    found = await refusal(system.admin.runs.CreateRun(request))
    assert found.fields == ["run_policy.pause_after_failures", "run_policy.expect_success_every"]
    request.run_policy.ClearField("pause_after_failures")
    request.run_policy.ClearField("expect_success_every")
    run = await system.admin.runs.CreateRun(request)
    assert run.state == Run.QUEUED
