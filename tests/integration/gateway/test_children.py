"""Runs that steps start, as their callers see them: parents, rights, params, and what a parent waits for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest_asyncio
from google.protobuf import json_format

from ordinaut.store.hints import Hints
from ordinaut.v1.run_pb2 import Run, Wait
from ordinaut.v1.run_service_pb2 import CancelRunRequest, CreateRunRequest, ListRunsRequest, WatchRunRequest
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest, ValidateTaskRequest
from ordinaut.v1.tool_service_pb2 import CallToolRequest, CreateToolRequest
from scheduler.maintenance.child_runs import ChildRuns
from tests.integration.support.gateway_system import GatewaySystem, a_task, finished, gateway_system, refusal, working
from tests.patience import PATIENCE

REPORT = {
    "pipeline": {
        "steps": [{"id": "a", "uses": "orchestrator.set", "with": {"city": "${params.city}"}}],
        "output": "${steps.a.city}",
    },
    "params": {"city": "Iasi"},
    "params_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        await started.admin.tasks.CreateTask(CreateTaskRequest(task_id="report", task=a_task(**REPORT)))
        yield started


@asynccontextmanager
async def going_on(system: GatewaySystem, database_url: str) -> AsyncIterator[None]:
    """A worker, and the scheduler's part that ends waits for runs."""
    run_once = ChildRuns(system.database, Hints(system.database)).run_once

    async def sweep() -> None:
        while True:
            await run_once()
            await asyncio.sleep(0.02)

    async with working(system, database_url):
        sweeping = asyncio.create_task(sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)


def starting(step_id: str = "c", **given: Any) -> dict[str, Any]:
    return {"id": step_id, "uses": "orchestrator.run_task", "with": {"task": "tasks/report", **given}}


def inline(*steps: dict[str, Any], **rest: Any) -> CreateRunRequest:
    return json_format.ParseDict({"pipeline": {"steps": steps, **rest}}, CreateRunRequest())


async def children(system: GatewaySystem, parent: str) -> list[Run]:
    listed = await system.admin.runs.ListRuns(ListRunsRequest(filter=f'parent = "{parent}"'))
    return list(listed.runs)


async def test_runs_show_their_parent_and_can_be_listed_by_it(system: GatewaySystem, database_url: str) -> None:
    async with working(system, database_url):
        run = await system.admin.runs.CreateRun(inline(starting(params={"city": "Cluj"}), output="${steps.c.run}"))
        ended = await finished(system.admin, run.name)
        child = await finished(system.admin, ended.output.string_value)
    assert (child.kind, child.state, child.task, child.parent) == (Run.CHILD, Run.SUCCEEDED, "tasks/report", run.name)
    assert child.output.string_value == "Cluj"
    assert child.occurrence.startswith("child-")
    assert [one.name for one in await children(system, run.name)] == [child.name]
    assert await children(system, child.name) == []
    others = await system.admin.runs.ListRuns(ListRunsRequest(filter=f'parent != "{run.name}" AND kind = INLINE'))
    assert [one.name for one in others.runs] == [run.name]
    for wrong in ("parent = 'tasks/report'", "parent = 'runs/x'", f"parent < '{run.name}'"):
        refused = await refusal(system.admin.runs.ListRuns(ListRunsRequest(filter=wrong)))
        assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["filter"])


async def test_a_parent_waits_for_its_children_and_gets_their_outputs(system: GatewaySystem, database_url: str) -> None:
    """Side by side, in the order of the elements."""
    each = {**starting(params={"city": "${item}"}, wait=True), "foreach": ["Iasi", "Cluj", "Arad"]}
    async with going_on(system, database_url):
        run = await system.admin.runs.CreateRun(inline(each, output="${steps.c}"))
        ended = await finished(system.admin, run.name)
    assert ended.state == Run.SUCCEEDED
    assert [city.string_value for city in ended.output.list_value.values] == ["Iasi", "Cluj", "Arad"]
    assert len(await children(system, run.name)) == 3


async def test_params_of_a_child_are_validated_when_it_starts(system: GatewaySystem, database_url: str) -> None:
    async with going_on(system, database_url):
        run = await system.admin.runs.CreateRun(inline(starting(params={"city": 7}, wait=True)))
        ended = await finished(system.admin, run.name)
    assert (ended.state, ended.error.code, ended.error.step) == (Run.FAILED, "TOOL_ERROR", "c")
    inner = json_format.MessageToDict(ended.error.details)["error"]
    assert (inner["code"], inner["pointer"]) == ("VALIDATION_INPUT", "/city")
    [child] = await children(system, run.name)
    assert (child.error.code, child.state) == ("VALIDATION_INPUT", Run.FAILED)


async def test_cancelling_the_parent_cancels_awaited_children(system: GatewaySystem, database_url: str) -> None:
    async with going_on(system, database_url):
        run = await system.admin.runs.CreateRun(inline(starting(delay="1h", wait=True)))
        waiting = await until(system, run.name, Run.WAITING)
        [child] = await children(system, run.name)
        [seen] = waiting.waits
        assert (seen.kind, seen.step, seen.run) == (Wait.CHILD, "c", child.name)
        await system.admin.runs.CancelRun(CancelRunRequest(name=run.name))
        ended = await finished(system.admin, child.name)
    assert (ended.state, ended.cancel_reason) == (Run.CANCELLED, f"{run.name} no longer waits for it")


async def until(system: GatewaySystem, name: str, state: Run.State.ValueType) -> Run:
    async with asyncio.timeout(PATIENCE):
        async for answer in system.admin.runs.WatchRun(WatchRunRequest(name=name)):
            if answer.run.state == state:
                found: Run = answer.run
                return found
    raise AssertionError("it ended")


async def test_the_depth_of_a_run_chain_is_limited(system: GatewaySystem, database_url: str) -> None:
    """A task that starts itself."""
    again = {"steps": [starting(task="again")]}
    await system.admin.tasks.CreateTask(CreateTaskRequest(task_id="again", task=a_task(pipeline=again)))
    async with working(system, database_url):
        name = (await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/again"))).name
        links = 0
        while (run := await finished(system.admin, name)).state == Run.SUCCEEDED:
            [child] = await children(system, name)
            name, links = child.name, links + 1
    assert (links, run.error.code) == (8, "DENIED")


def running(document: Any, **given: Any) -> dict[str, Any]:
    return {"id": "p", "uses": "orchestrator.run_pipeline", "with": {"pipeline": document, **given}}


INNER = {"steps": [{"id": "x", "uses": "orchestrator.set", "with": {"n": "${params.n}"}}], "output": "${steps.x.n}"}


async def test_a_step_runs_a_literal_or_computed_pipeline(system: GatewaySystem, database_url: str) -> None:
    """As a run of its own, under the rules of its parent."""
    plan = {"id": "plan", "uses": "orchestrator.set", "with": {"n": 7, "plan": "${params.plan}"}}
    written = inline(running(INNER, params={"n": 3}), output="${steps.p}")
    written.run_policy.priority = 2
    computed = inline(plan, running("${steps.plan.plan}", params={"n": "${steps.plan.n}"}), output="${steps.p}")
    json_format.ParseDict({"plan": INNER}, computed.params)
    async with going_on(system, database_url):
        runs = [await system.admin.runs.CreateRun(one) for one in (written, computed)]
        ended = [await finished(system.admin, run.name) for run in runs]
    assert [run.output.number_value for run in ended] == [3.0, 7.0]
    [child] = await children(system, runs[0].name)
    assert (child.kind, child.task, child.task_version, child.parent) == (Run.CHILD, "", 0, runs[0].name)
    async with system.database.connection() as connection:
        kept = await connection.fetch("SELECT priority FROM task_version WHERE pipeline ->> 'output' = '${steps.x.n}'")
    assert sorted(row["priority"] for row in kept) == [2, 5]


async def test_a_computed_pipeline_has_the_rights_of_its_parent(system: GatewaySystem, database_url: str) -> None:
    """A tool that there is not is told before it runs, one that the owner may not call by the step that calls it."""
    tool = {"tool_id": "mail.send", "tool": {"http": {"url": "http://example.com/"}}}
    await system.admin.tools.CreateTool(json_format.ParseDict(tool, CreateToolRequest()))
    agent = await system.agent("someone", "runs:write", "runs:read")
    request = inline(running("${params.plan}"))
    errors = []
    async with going_on(system, database_url):
        for uses in ("mail.sendd", "mail.send"):
            json_format.ParseDict({"plan": [{"id": "x", "uses": uses}]}, request.params)
            run = await agent.runs.CreateRun(request)
            errors.append(json_format.MessageToDict((await finished(agent, run.name)).error))
    assert (errors[0]["code"], errors[0]["details"]) == ("VALIDATION_INPUT", {"tools": ["mail.sendd"]})
    assert (errors[1]["code"], errors[1]["details"]["error"]["code"]) == ("TOOL_ERROR", "DENIED")


async def test_a_literal_pipeline_is_validated_when_it_is_saved(system: GatewaySystem) -> None:
    """Its tools are looked up and its owner's rights asked as if it were a part of the whole."""
    tool = {"tool_id": "mail.send", "tool": {"http": {"url": "http://example.com/"}}}
    await system.admin.tools.CreateTool(json_format.ParseDict(tool, CreateToolRequest()))
    assert await system.admin.runs.CreateRun(inline(running([{"id": "x", "uses": "mail.send"}])))
    refused = await refusal(system.admin.runs.CreateRun(inline(running([{"id": "x", "uses": "mail.sendd"}]))))
    assert (refused.fields, refused.fixes) == (["pipeline.steps[0].with.pipeline[0].uses"], 1)
    agent = await system.agent("someone", "runs:write")
    refused = await refusal(agent.runs.CreateRun(inline(running([{"id": "x", "uses": "mail.send"}]))))
    assert (refused.reason, refused.fields) == ("MISSING_SCOPE", ["pipeline.steps[0].with.pipeline[0].uses"])
    caller = await system.agent("caller", "tools:call", "runs:read")
    assert (await refusal(caller.tools.CallTool(call(INNER)))).code == "PERMISSION_DENIED"


def call(document: Any) -> CallToolRequest:
    given = {"pipeline": document, "params": {"n": "${params.n}"}}
    return json_format.ParseDict({"name": "tools/orchestrator.run_pipeline", "input": given}, CallToolRequest())


async def test_a_pipeline_is_called_as_a_tool(system: GatewaySystem, database_url: str) -> None:
    """Its placeholders are its own; the params are what they are."""
    async with going_on(system, database_url):
        run = await system.admin.tools.CallTool(call(INNER))
    assert (run.state, run.output.string_value) == (Run.SUCCEEDED, "${params.n}")


async def test_saving_a_step_that_runs_a_task_requires_the_scope(system: GatewaySystem) -> None:
    agent = await system.agent("someone", "runs:write", "tasks:run:mail-*")
    refused = await refusal(agent.runs.CreateRun(inline(starting())))
    assert (refused.code, refused.metadata["scopes"]) == ("PERMISSION_DENIED", "tasks:run:report")
    assert await agent.runs.CreateRun(inline(starting(task="mail-morning")))
    assert await agent.runs.CreateRun(inline(starting(task="${params.x}")))


async def test_an_unknown_task_gives_a_warning(system: GatewaySystem) -> None:
    """It may come later: nothing is refused. Others' tasks are none, the task itself is one."""
    agent = await system.agent("someone", "tasks:write", "tasks:run", "tasks:read")
    steps = [starting("a", task="tasks/reprot"), starting("b", task="self"), starting("c", task="${params.x}")]
    wanted = ValidateTaskRequest(task_id="self", task=a_task(pipeline={"steps": steps}))
    seen = await system.admin.tasks.ValidateTask(wanted)
    assert list(seen.warnings) == ["steps[0].with.task: tasks/reprot does not exist yet; did you mean tasks/report?"]
    [fix] = seen.fixes
    assert (fix.field, fix.operations[0]["path"], fix.operations[0]["value"]) == (
        "task.pipeline.steps[0].with.task",
        "/task/pipeline/steps/0/with/task",
        "tasks/report",
    )
    blind = await agent.tasks.ValidateTask(wanted)
    assert list(blind.warnings) == ["steps[0].with.task: tasks/reprot does not exist yet"]
