"""A step that waits for another task's run has exactly one such run, whatever is killed meanwhile."""

import asyncio
from typing import Any

import pytest
from google.protobuf import json_format

from ordinaut.client import Client
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import CancelRunRequest, ListRunsRequest
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, get_run, run_task, working_steps
from tests.acceptance.tool_server import ToolServer
from tests.patience import PATIENCE
from tests.sample import FULL

pytestmark = pytest.mark.asyncio(loop_scope="session")
ITEMS = ["x", "y", "z"]
KILLED = ("worker", "scheduler", "pipeline_engine") + (("worker", "scheduler") if FULL else ())


def parent() -> dict[str, Any]:
    """Three children side by side that are waited for, then one that goes its own way."""
    given = {"task": "tasks/work", "params": {"item": "${item}"}, "wait": True}
    return {
        "version": 1,
        "steps": [
            {"id": "each", "foreach": ITEMS, "uses": "orchestrator.run_task", "with": given},
            {"id": "free", "uses": "orchestrator.run_task", "with": {"task": "tasks/work"}},
        ],
        "output": {"items": "${steps.each[*].item}", "free": "${steps.free.run}"},
    }


async def children(client: Client, name: str) -> list[Run]:
    listed = await client.runs.ListRuns(ListRunsRequest(filter=f'parent = "{name}"', order_by="create_time"))
    return list(listed.runs)


async def test_each_step_has_one_child(mortal_system: SystemUnderTest) -> None:
    async with ToolServer() as tool, mortal_system.client() as client:
        await tool.register(client)
        work = {**working_steps(3), "output": {"item": "${params.item}"}}
        await create_task(client, "work", work, params={"item": "none"})
        await create_task(client, "parent", parent())
        name = await run_task(client, "parent")
        for service in KILLED:
            await mortal_system.kill(service)
        assert await ended(client, [name], 90) == {name: ["succeeded"]}
        run = await get_run(client, name)
        output: dict[str, Any] = json_format.MessageToDict(run.output)
        assert output["items"] == ITEMS
        assert [step.state for step in run.steps] == [StepRun.SUCCEEDED] * 5
        await ended(client, [output["free"]], PATIENCE)
        found = await children(client, name)
        assert [one.state for one in found] == [Run.SUCCEEDED] * 4
        calls = {(run_name, step): key for run_name, step, key in tool.calls}
        assert len(calls) == len(set(calls.values())) == 12, "each step of each child has one key of its own"
        await cancelled_together(client, mortal_system)


async def cancelled_together(client: Client, system: SystemUnderTest) -> None:
    """A parent that is cancelled takes along the child that it waits for, also when nobody was there to see it."""
    pause = {"version": 1, "steps": [{"id": "p", "uses": "orchestrator.wait", "with": {"for": "1h"}}]}
    await create_task(client, "pause", pause)
    step = {"id": "c", "uses": "orchestrator.run_task", "with": {"task": "pause", "wait": True}}
    await create_task(client, "patient", {"version": 1, "steps": [step]})
    name = await run_task(client, "patient")
    async with asyncio.timeout(PATIENCE):
        async for run in client.watch_run(name):
            if run.state == Run.WAITING:
                break
    [child] = await children(client, name)
    await client.runs.CancelRun(CancelRunRequest(name=name))
    await system.kill("scheduler")
    assert await ended(client, [child.name], PATIENCE) == {child.name: ["cancelled"]}
