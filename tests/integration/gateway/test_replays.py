"""ReplayRun holds an ended run against its journal; what cannot be replayed is said."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format

from ordinaut.v1.replay_pb2 import StepComparison
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import CreateRunRequest, ReplayRunRequest, ReplayRunResponse
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, DeleteTaskRequest, RunTaskRequest, UpdateTaskRequest
from tests.integration.conftest import fresh_database
from tests.integration.support.gateway_system import GatewaySystem, a_task, finished, gateway_system, refusal, working

pytestmark = pytest.mark.asyncio(loop_scope="module")
SUM = {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {"n": "${params.n}"}}], "output": "${steps.a.n}"}
LATER = "2100-01-01T00:00:00Z"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(postgres_url: str) -> AsyncIterator[GatewaySystem]:
    async with fresh_database(postgres_url) as url, gateway_system(url) as started, working(started, url):
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def done(system: GatewaySystem) -> Run:
    """An inline run that has ended."""
    request = json_format.ParseDict({"pipeline": SUM, "params": {"n": 1.5}}, CreateRunRequest())
    return await finished(system.admin, (await system.admin.runs.CreateRun(request)).name)


async def replayed(system: GatewaySystem, name: str, **fields: Any) -> ReplayRunResponse:
    request = json_format.ParseDict({"name": name, **fields}, ReplayRunRequest())
    answer: ReplayRunResponse = await system.admin.runs.ReplayRun(request)
    return answer


async def test_a_run_is_compared_with_its_journal(system: GatewaySystem, done: Run) -> None:
    """The replay is a run of its own, with the same name and inputs."""
    replay = await replayed(system, done.name)
    assert (replay.same, replay.end, list(replay.warnings)) == (True, StepComparison.SAME, [])
    assert [(step.path, step.attempt, step.outcome) for step in replay.steps] == [("a", 1, StepComparison.SAME)]
    assert (replay.run.name, replay.run.kind, replay.run.output) == (done.name, Run.INLINE, done.output)
    assert [step.input for step in replay.run.steps] == [step.input for step in done.steps]


async def test_another_document_gives_a_difference(system: GatewaySystem, done: Run) -> None:
    """Of the step, and of the end."""
    other = {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {"n": 2, "m": 3}}], "output": "${steps.a.n}"}
    replay = await replayed(system, done.name, pipeline=other)
    [step] = replay.steps
    assert (replay.same, step.outcome, replay.end) == (False, StepComparison.DIFFERENT, StepComparison.DIFFERENT)
    patch = [json_format.MessageToDict(operation) for operation in step.difference]
    assert {operation["path"]: operation.get("value") for operation in patch} == {
        "/input/m": 3.0,
        "/input/n": 2.0,
        "/output/m": 3.0,
        "/output/n": 2.0,
    }
    assert [json_format.MessageToDict(operation) for operation in replay.end_difference] == [
        {"op": "replace", "path": "/output", "value": 2.0}
    ]


async def test_a_replay_with_the_current_version(system: GatewaySystem) -> None:
    """As long as the task is there."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(pipeline=SUM, params={"n": 1}), task_id="sum"))
    run = await finished(system.admin, (await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/sum"))).name)
    longer = {**SUM, "output": "${add(steps.a.n, `1`)}"}
    await system.admin.tasks.UpdateTask(
        json_format.ParseDict({"task": {"name": "tasks/sum", "pipeline": longer}}, UpdateTaskRequest())
    )
    assert (await replayed(system, run.name)).same
    now = await replayed(system, run.name, present_version=True)
    assert (now.same, now.run.output.number_value) == (False, 2.0)
    await system.admin.tasks.DeleteTask(DeleteTaskRequest(name="tasks/sum"))
    refused = await refusal(replayed(system, run.name, present_version=True))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "TASK_STATE")
    assert (await replayed(system, run.name)).same


async def test_a_live_run_is_not_replayed(system: GatewaySystem, done: Run) -> None:
    """Neither is an inline run of another version of its task, which it has not."""
    request = json_format.ParseDict({"pipeline": SUM, "params": {"n": 1}, "start_time": LATER}, CreateRunRequest())
    live = await system.admin.runs.CreateRun(request)
    refused = await refusal(replayed(system, live.name))
    assert (refused.code, refused.reason, refused.metadata["state"]) == ("FAILED_PRECONDITION", "RUN_STATE", "QUEUED")
    refused = await refusal(replayed(system, done.name, present_version=True))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "TASK_STATE")


async def test_all_violations_are_reported_at_once(system: GatewaySystem, done: Run) -> None:
    """Of mocks and document."""
    wrong = {"steps": [{"id": "a", "uses": "orchestrator.sett"}]}
    refused = await refusal(replayed(system, done.name, pipeline=wrong, mocks=[{"step": "a"}]))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["mocks[0]", "pipeline.steps[0].uses"])
    refused = await refusal(replayed(system, done.name, pipeline=SUM, present_version=True))
    assert refused.fields == ["pipeline"]
