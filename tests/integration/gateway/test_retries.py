"""A run that failed is taken up again behind what it had finished."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from google.protobuf import json_format

from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import (
    CancelRunRequest,
    CreateRunRequest,
    GetRunRequest,
    ListRunsRequest,
    RetryRunRequest,
)
from ordinaut.v1.state_pb2 import StateEntry
from ordinaut.v1.state_service_pb2 import PutStateEntryRequest
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, DeleteTaskRequest, RunTaskRequest
from tests.integration.support.gateway_system import GatewaySystem, a_task, finished, gateway_system, refusal, working

# Fails until the state entry `door/open` has its first revision; then it ends with that of what its first step wrote.
DOOR: dict[str, Any] = {
    "steps": [
        {"id": "first", "uses": "orchestrator.put_state", "with": {"namespace": "log", "key": "first", "value": 1}},
        {"id": "never", "if": "`false`", "uses": "orchestrator.set", "with": {}},
        {
            "id": "pass",
            "uses": "orchestrator.put_state",
            "with": {"namespace": "door", "key": "open", "value": 2, "revision": 1},
        },
    ],
    "on_error": [{"id": "tell", "uses": "orchestrator.set", "with": {"code": "${error.code}"}}],
    "output": "${steps.first.revision}",
}
OPEN = PutStateEntryRequest(entry=json_format.ParseDict({"name": "state/door/open", "value": True}, StateEntry()))
SHUT = {"steps": [{"id": "a", "uses": "orchestrator.fail", "with": {"code": "SHUT", "message": "no"}}]}
FINE = {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {}}]}


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


def inline(document: dict[str, Any]) -> CreateRunRequest:
    return json_format.ParseDict({"pipeline": document}, CreateRunRequest())


async def retried(system: GatewaySystem, run: Run, **fields: Any) -> Run:
    answer: Run = await system.admin.runs.RetryRun(RetryRunRequest(name=run.name, **fields))
    return answer


async def test_a_retry_resumes_after_the_completed_steps(system: GatewaySystem, database_url: str) -> None:
    """Finished and skipped steps are copied, the failed one is tried again with its key, error handlers are not."""
    async with working(system, database_url):
        task = a_task(pipeline=DOOR, params={})
        await system.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="door"))
        run = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/door"))
        failed = await finished(system.admin, run.name)
        assert failed.state == Run.FAILED
        assert [step.path for step in failed.steps] == ["first", "never", "pass", "on_error.tell"]
        await system.admin.state.PutStateEntry(OPEN)
        again = await finished(system.admin, (await retried(system, failed)).name)
    assert (again.state, again.kind, again.retry_of, again.task) == (Run.SUCCEEDED, Run.RETRY, run.name, "tasks/door")
    assert [step.path for step in again.steps] == ["first", "never", "pass"]
    assert list(again.steps)[:2] == list(failed.steps)[:2]
    assert again.steps[2].idempotency_key == failed.steps[2].idempotency_key
    assert again.output.number_value == 1.0
    listed = await system.admin.runs.ListRuns(ListRunsRequest(filter="kind = RETRY"))
    assert [shown.retry_of for shown in listed.runs] == [run.name]


async def test_a_retry_can_be_retried(system: GatewaySystem, database_url: str) -> None:
    """Also one of a run without a task; the keys are those of the first."""
    async with working(system, database_url):
        first = await finished(system.admin, (await system.admin.runs.CreateRun(inline(SHUT))).name)
        second = await finished(system.admin, (await retried(system, first)).name)
        third = await finished(system.admin, (await retried(system, second)).name)
    assert [run.state for run in (first, second, third)] == [Run.FAILED] * 3
    assert (third.retry_of, third.task) == (second.name, "")
    assert third.steps[0].idempotency_key == first.steps[0].idempotency_key


async def test_only_failed_and_cancelled_runs_are_retried(system: GatewaySystem, database_url: str) -> None:
    """Neither a live run nor one that succeeded."""
    live = await system.admin.runs.CreateRun(inline(SHUT))
    refused = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=live.name)))
    assert (refused.code, refused.reason, refused.metadata["state"]) == ("FAILED_PRECONDITION", "RUN_STATE", "QUEUED")
    async with working(system, database_url):
        done = await finished(system.admin, (await system.admin.runs.CreateRun(inline(FINE))).name)
    refused = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=done.name)))
    assert (refused.reason, refused.metadata["state"]) == ("RUN_STATE", "SUCCEEDED")


async def test_one_of_concurrent_retries_runs(system: GatewaySystem) -> None:
    """The others name it; the same request_id gives the same one."""
    run = await system.admin.runs.CreateRun(inline(FINE))
    await system.admin.runs.CancelRun(CancelRunRequest(name=run.name))
    answers = await asyncio.gather(*(retried(system, run, request_id="one") for _ in range(3)))
    assert {answer.name for answer in answers} == {answers[0].name}
    refused = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=run.name)))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "OVERLAP")
    assert refused.metadata == {"live_run": answers[0].name}


async def test_the_overlap_policy_applies_to_retries(system: GatewaySystem) -> None:
    """A task that allows one run at a time has one."""
    policy = {"overlap": {"policy": "SKIP"}}
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(run_policy=policy), task_id="one"))
    run = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))
    await system.admin.runs.CancelRun(CancelRunRequest(name=run.name))
    live = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))
    refused = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=run.name)))
    assert (refused.reason, refused.metadata) == ("OVERLAP", {"live_run": live.name})


async def test_the_runs_of_a_deleted_task_stay_ended(system: GatewaySystem) -> None:
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="gone"))
    run = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/gone"))
    await system.admin.tasks.DeleteTask(DeleteTaskRequest(name="tasks/gone"))
    assert (await system.admin.runs.GetRun(GetRunRequest(name=run.name))).state == Run.CANCELLED
    refused = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=run.name)))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "TASK_STATE")
