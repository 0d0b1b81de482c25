"""A pipeline can run without a task; apart from that it is a run like any other."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from google.protobuf import json_format

from ordinaut.store import event
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import (
    CancelRunRequest,
    CreateRunRequest,
    GetRunRequest,
    ListRunsRequest,
    ListRunStepsRequest,
)
from ordinaut.v1.task_service_pb2 import ListTasksRequest
from ordinaut.v1.tool_service_pb2 import CallToolRequest, CreateToolRequest
from tests.integration.support.gateway_system import GatewaySystem, finished, gateway_system, refusal, working

SET = {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {"n": "${params.n}"}}], "output": "${steps.a.n}"}
LATER = "2100-01-01T00:00:00Z"


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url, live_runs_max=5) as started:
        yield started


def wanted(document: dict[str, Any], **fields: Any) -> CreateRunRequest:
    return json_format.ParseDict({"pipeline": document, **fields}, CreateRunRequest())


async def test_a_pipeline_runs_without_a_task(system: GatewaySystem, database_url: str) -> None:
    """To its end, with its own params; keys begin with the run's own name."""
    async with working(system, database_url):
        first = await system.admin.runs.CreateRun(wanted(SET, params={"n": 3}))
        second = await system.admin.runs.CreateRun(wanted(SET, params={"n": 4}))
        ended = [await finished(system.admin, run.name) for run in (first, second)]
    assert [(run.state, run.output.number_value) for run in ended] == [(Run.SUCCEEDED, 3.0), (Run.SUCCEEDED, 4.0)]
    assert (first.kind, first.task, first.task_version, first.trigger) == (Run.INLINE, "", 0, "")
    run_id = first.name.removeprefix("runs/")
    assert ended[0].steps[0].idempotency_key == f"run:{run_id}/a"
    assert first.occurrence == f"run-{run_id}"
    listed = (await system.admin.runs.ListRuns(ListRunsRequest(filter="kind = INLINE"))).runs
    assert [run.name for run in listed] == [second.name, first.name]


async def test_a_document_is_stored_once_and_not_listed_as_a_task(system: GatewaySystem) -> None:
    """Whatever its params; other rules make it another one."""
    for fields in ({"params": {"n": 1}}, {"params": {"n": 2}}, {"run_policy": {"priority": 1}}):
        await system.admin.runs.CreateRun(wanted(SET, **fields))
    async with system.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM task_version") == 2
        assert await connection.fetchval("SELECT array_agg(priority ORDER BY priority) FROM due_work") == [1, 5, 5]
    assert not (await system.admin.tasks.ListTasks(ListTasksRequest())).tasks


async def test_events_of_inline_runs_have_no_subject(system: GatewaySystem) -> None:
    """There is no task that they are about."""
    run = await system.admin.runs.CreateRun(wanted(SET))
    await system.admin.runs.CancelRun(CancelRunRequest(name=run.name))
    async with system.database.transaction() as connection:
        await event.number(connection)
        rows = await event.read(connection, project="default", after=0, batch=10)
    told = "".join(row.events for row in rows)
    assert told.count('"subject":""') == 2
    assert "ordinaut.run.cancelled" in told


async def test_an_invalid_document_is_refused_with_all_violations(system: GatewaySystem) -> None:
    """With paths into this request, and fixes."""
    broken = {"steps": [{"id": "a", "uses": "orchestrator.sett"}, {"id": "a", "uses": "orchestrator.set"}]}
    policy = {"priority": 12, "overlap": {"policy": "SKIP"}}
    refused = await refusal(system.admin.runs.CreateRun(wanted(broken, run_policy=policy)))
    assert refused.code == "INVALID_ARGUMENT"
    assert set(refused.fields) >= {"run_policy.overlap", "run_policy.priority", "pipeline.steps[0].uses"}
    assert refused.fixes >= 1
    assert (await refusal(system.admin.runs.CreateRun(CreateRunRequest()))).code == "INVALID_ARGUMENT"


async def test_an_inline_run_belongs_to_its_caller_and_has_its_scopes(system: GatewaySystem) -> None:
    """Tools that the caller may not call are refused; others do not see the run."""
    tool = {"tool_id": "mail.send", "tool": {"http": {"url": "http://example.com/"}}}
    await system.admin.tools.CreateTool(json_format.ParseDict(tool, CreateToolRequest()))
    agent = await system.agent("someone", "runs:write", "runs:read")
    other = await system.agent("other", "runs:write", "runs:read")
    calls = {"steps": [{"id": "a", "uses": "mail.send"}]}
    refused = await refusal(agent.runs.CreateRun(wanted(calls)))
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "MISSING_SCOPE")
    assert refused.metadata["scopes"] == "tools:call:mail.send"
    run = await agent.runs.CreateRun(wanted(SET))
    assert (await agent.runs.GetRun(GetRunRequest(name=run.name))).name == run.name
    assert (await refusal(other.runs.GetRun(GetRunRequest(name=run.name)))).code == "NOT_FOUND"
    assert not (await other.runs.ListRuns(ListRunsRequest())).runs


async def test_an_inline_run_is_idempotent_and_can_be_delayed_and_cancelled(system: GatewaySystem) -> None:
    """The same request_id gives the same run."""
    request = wanted(SET, start_time=LATER, request_id="once")
    run = await system.admin.runs.CreateRun(request)
    assert await system.admin.runs.CreateRun(request) == run
    assert run.state == Run.QUEUED
    cancelled = await system.admin.runs.CancelRun(CancelRunRequest(name=run.name, reason="enough"))
    assert (cancelled.state, cancelled.cancel_reason) == (Run.CANCELLED, "enough")


async def test_live_inline_runs_are_limited(system: GatewaySystem) -> None:
    """At the agent's limit, whatever their documents."""
    agent = await system.agent("eager", "runs:write", "runs:read")
    for number in range(5):
        document = {"steps": [{"id": f"a{number}", "uses": "orchestrator.set", "with": {}}]}
        await agent.runs.CreateRun(wanted(document))
    refused = await refusal(agent.runs.CreateRun(wanted(SET)))
    assert (refused.code, refused.reason, refused.retry) == ("RESOURCE_EXHAUSTED", "LIMIT_REACHED", True)
    assert refused.metadata == {"resource": "agents/eager", "limit": "5"}
    assert await system.admin.runs.CreateRun(wanted(SET))


def call(tool: str, given: dict[str, Any], **fields: Any) -> CallToolRequest:
    return json_format.ParseDict({"name": f"tools/{tool}", "input": given, **fields}, CallToolRequest())


async def test_a_tool_is_called_with_exactly_the_input(system: GatewaySystem, database_url: str) -> None:
    """No part of the input is a template; the same request_id waits for the same run."""
    given = {
        "text": "${params.x} $${y} {{z}} ${{a}} <%= b %> {now} ${",
        "list": [{"deep": "${now}", "key": 1.5}],
        "none": None,
    }
    async with working(system, database_url):
        request = call("orchestrator.set", given, request_id="one")
        run = await system.admin.tools.CallTool(request)
        assert (await system.admin.tools.CallTool(request)).name == run.name
        steps = (await system.admin.runs.ListRunSteps(ListRunStepsRequest(parent=run.name))).steps
    assert (run.state, run.kind, list(run.steps)) == (Run.SUCCEEDED, Run.INLINE, [])
    assert [step.path for step in steps] == ["call"]
    assert json_format.MessageToDict(run.output) == given


async def test_a_failed_call_returns_a_failed_run(system: GatewaySystem, database_url: str) -> None:
    """With the error of its step: here, of a wall around the engine."""
    tool = {"tool_id": "near.me", "tool": {"http": {"url": "http://127.0.0.1:9/"}, "retry": {"codes": ["TIMEOUT"]}}}
    await system.admin.tools.CreateTool(json_format.ParseDict(tool, CreateToolRequest()))
    async with working(system, database_url):
        run = await system.admin.tools.CallTool(call("near.me", {}))
    assert (run.state, run.error.code, run.error.step) == (Run.FAILED, "DENIED", "call")


async def test_an_invalid_call_is_refused_before_it_runs(system: GatewaySystem) -> None:
    """Unknown tools, wrong inputs with paths into the request, and tools that the token may not call."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"tool_id": "weather.now", "tool": {"http": {"url": "http://example.com/"}, "input_schema": schema}}
    await system.admin.tools.CreateTool(json_format.ParseDict(tool, CreateToolRequest()))
    refused = await refusal(system.admin.tools.CallTool(call("weather.then", {})))
    assert (refused.code, refused.metadata) == ("NOT_FOUND", {"resource": "tools/weather.then"})
    for given, field in (({"city": 7}, "input.city"), ({}, "input"), ({"city": "Iasi", "${x}": 1}, "input.${x}")):
        refused = await refusal(system.admin.tools.CallTool(call("weather.now", given)))
        assert refused.code == "INVALID_ARGUMENT"
        assert refused.fields[0].startswith(field)
    mailer = await system.agent("mailer", "tools:call:mail.*")
    refused = await refusal(mailer.tools.CallTool(call("weather.now", {"city": "Iasi"})))
    assert (refused.code, refused.metadata["scopes"]) == ("PERMISSION_DENIED", "tools:call:weather.now")
    assert not (await system.admin.runs.ListRuns(ListRunsRequest())).runs
