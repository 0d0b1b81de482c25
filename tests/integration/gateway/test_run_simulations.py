"""SimulateRun tells what a run would do, touches nothing, and asks nobody."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format

from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import GetRunRequest, ListRunsRequest, SimulateRunRequest, SimulateRunResponse
from ordinaut.v1.task_service_pb2 import CreateTaskRequest
from ordinaut.v1.tool_service_pb2 import CreateToolRequest
from tests.integration.conftest import fresh_database
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system, refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOON = "2027-06-01T12:00:00Z"
FORECAST = {"type": "object", "properties": {"temp": {"type": "integer", "minimum": 5}}, "required": ["temp"]}
WEATHER = {"id": "w", "uses": "weather.forecast", "with": {"city": "${params.city}"}}
WARM = {"steps": [WEATHER], "output": "${steps.w.temp}"}
TOOL = {"output_schema": FORECAST, "http": {"url": "http://weather.example.com/"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(postgres_url: str) -> AsyncIterator[GatewaySystem]:
    async with fresh_database(postgres_url) as url, gateway_system(url) as started:
        tool = json_format.ParseDict({"tool_id": "weather.forecast", "tool": TOOL}, CreateToolRequest())
        await started.admin.tools.CreateTool(tool)
        task = a_task(
            pipeline=WARM,
            params={"city": "Porto"},
            params_schema={"properties": {"city": {"type": "string"}}},
            run_policy={"retry": {"max": 1}, "run_timeout": "3600s"},
        )
        await started.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="warm"))
        yield started


async def simulated(system: GatewaySystem, **fields: Any) -> SimulateRunResponse:
    request = json_format.ParseDict({"start_time": NOON, **fields}, SimulateRunRequest())
    answer: SimulateRunResponse = await system.admin.runs.SimulateRun(request)
    return answer


async def test_a_document_is_simulated_with_mocks(system: GatewaySystem) -> None:
    """The answer has the shape of a run that has ended; it is stored nowhere."""
    mocks = [{"step": "w", "output": {"temp": 21}, "duration": "2.5s"}]
    answer = await simulated(system, pipeline=WARM, params={"city": "Faro"}, mocks=mocks)
    run = json_format.MessageToDict(answer.run, preserving_proto_field_name=True)
    name = "00000000-0000-7000-8000-000000000000"
    assert run == {
        "name": f"runs/{name}",
        "kind": "INLINE",
        "owner": "agents/admin",
        "occurrence": f"run-{name}",
        "state": "SUCCEEDED",
        "params": {"city": "Faro"},
        "output": 21.0,
        "claims": 1,
        "create_time": NOON,
        "start_time": NOON,
        "end_time": "2027-06-01T12:00:02.500Z",
        "steps": [
            {
                "path": "w",
                "tool": "weather.forecast",
                "state": "SUCCEEDED",
                "attempt": 1,
                "idempotency_key": f"run:{name}/w",
                "input": {"city": "Faro"},
                "output": {"temp": 21.0},
                "start_time": NOON,
                "end_time": "2027-06-01T12:00:02.500Z",
            }
        ],
    }
    assert [*answer.generated, *answer.warnings] == []
    assert (await refusal(system.admin.runs.GetRun(GetRunRequest(name=answer.run.name)))).code == "NOT_FOUND"
    assert not (await system.admin.runs.ListRuns(ListRunsRequest())).runs


async def test_the_current_version_of_a_task_is_simulated(system: GatewaySystem) -> None:
    """With its params, schema, retry and time; what nobody gives is made up."""
    answer = await simulated(system, task="tasks/warm", seed=5)
    assert (answer.run.kind, answer.run.task, answer.run.task_version) == (Run.MANUAL, "tasks/warm", 1)
    assert answer.run.steps[0].input.struct_value["city"] == "Porto"
    assert answer.run.output.number_value >= 5
    assert list(answer.generated) == ["w"]
    assert await simulated(system, task="tasks/warm", seed=5) == answer
    failing = [{"tool": "weather.forecast", "error": {"code": "TOOL_UNAVAILABLE", "message": "down"}}]
    failed = (await simulated(system, task="tasks/warm", mocks=failing)).run
    assert [(step.attempt, step.state) for step in failed.steps] == [(1, 3), (2, 3)]
    assert (failed.state, failed.error.code, failed.error.attempt) == (Run.FAILED, "TOOL_UNAVAILABLE", 2)
    refused = await refusal(simulated(system, task="tasks/warm", params={"city": 5}))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["params.city"])


async def test_event_and_interval_are_available_to_the_pipeline(system: GatewaySystem) -> None:
    """An event needs no more than its data."""
    step = {"id": "a", "uses": "orchestrator.set", "with": {"n": "${event.data.n}", "at": "${event.publish_time}"}}
    heard = await simulated(system, pipeline={"steps": [step]}, event={"topic": "a.b", "data": {"n": 3}})
    assert heard.run.kind == Run.EVENT
    assert json_format.MessageToDict(heard.run.steps[0].output) == {"n": 3.0, "at": NOON}
    step = {"id": "a", "uses": "orchestrator.set", "with": {"from": "${run.interval.start}", "k": "${run.kind}"}}
    interval = {"start_time": "2027-05-31T22:00:00Z", "end_time": "2027-06-01T22:00:00Z"}
    due = await simulated(system, pipeline={"steps": [step]}, interval=interval)
    assert (due.run.kind, due.run.occurrence) == (Run.SCHEDULED, "20270531T220000Z")
    assert json_format.MessageToDict(due.run.steps[0].output) == {"from": "2027-05-31T22:00:00Z", "k": "SCHEDULED"}


async def test_simulations_require_the_same_scopes(system: GatewaySystem) -> None:
    """A simulation has the rights that the run would have."""
    caller = await system.agent("simulant", "runs:write", "tasks:read")
    document = json_format.ParseDict({"pipeline": WARM}, SimulateRunRequest())
    refused = await refusal(caller.runs.SimulateRun(document))
    assert (refused.code, refused.metadata["scopes"]) == ("PERMISSION_DENIED", "tools:call:weather.forecast")
    for name in ("tasks/warm", "tasks/nobody"):
        refused = await refusal(caller.runs.SimulateRun(SimulateRunRequest(task=name)))
        assert (refused.code, refused.reason) == ("NOT_FOUND", "RESOURCE_NOT_FOUND")


async def test_an_invalid_document_is_refused_as_in_a_run(system: GatewaySystem) -> None:
    """Every problem at once, with paths into the request."""
    wrong = {"steps": [{"id": "a", "uses": "weather.forcast"}, {"id": "a", "uses": "orchestrator.set"}]}
    refused = await refusal(simulated(system, pipeline=wrong, mocks=[{"step": "a"}]))
    assert refused.fields == ["mocks[0]", "pipeline.steps[0].uses", "pipeline.steps[1].id"]


async def test_a_simulation_requires_an_engine(postgres_url: str) -> None:
    """UNAVAILABLE, with a time to wait."""
    async with fresh_database(postgres_url) as url, gateway_system(url) as alone:
        await alone.engine.stop(0)
        refused = await refusal(simulated(alone, pipeline=WARM))
    assert (refused.code, refused.reason, refused.retry) == ("UNAVAILABLE", "ENGINE_UNAVAILABLE", True)


async def test_a_run_that_waits_for_what_no_mock_gives_is_waiting(system: GatewaySystem) -> None:
    """With the step that waits, and what for."""
    wait = {"id": "news", "uses": "orchestrator.wait_event", "with": {"topic": "a.b", "timeout": "1h"}}
    child = {"id": "other", "uses": "orchestrator.run_pipeline", "with": {"pipeline": [wait]}}
    answer = await simulated(system, pipeline={"steps": [child]})
    assert (answer.run.state, [asked.step for asked in answer.run.waits]) == (Run.WAITING, ["other"])
    assert [(step.path, step.state, step.HasField("end_time")) for step in answer.run.steps] == [
        ("other", StepRun.WAITING, False)
    ]
