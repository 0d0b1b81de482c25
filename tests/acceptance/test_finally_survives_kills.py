"""A run ends at its deadline, and its `finally` runs once, whatever was killed in it."""

import asyncio
from typing import Any

import pytest

from ordinaut.client import Client
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import CancelRunRequest
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, get_run, run_task, until_waiting
from tests.acceptance.tool_server import ToolServer
from tests.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="session")
WAIT = {"id": "wait", "uses": "orchestrator.wait", "with": {"for": "1h"}}


def call(step_id: str) -> dict[str, Any]:
    with_ = {"run": "${run.name}", "step": step_id}
    return {"id": step_id, "uses": "work.step", "with": with_, "retry": 20, "timeout": "10m"}


def pipeline(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"version": 1, "steps": [call("before"), *steps], "finally": [call("close"), call("last")], **more}


async def called(tool: ToolServer, step: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not any(name == step for _, name, _ in tool.calls):
            tool.called.clear()
            await tool.called.wait()


def once(tool: ToolServer, name: str, run: Run) -> None:
    """Each step has one key; what had ended before a kill is called once."""
    keys = {step: keys for (run_name, step), keys in tool.keys().items() if run_name == name}
    assert {step: len(of_step) for step, of_step in keys.items()} == {"before": 1, "close": 1, "last": 1}
    assert [step for run_name, step, _ in tool.calls if run_name == name].count("before") == 1
    states = {step.path: step.state for step in run.steps if step.path.startswith("finally")}
    assert states == dict.fromkeys(["finally", "finally.close", "finally.last"], StepRun.SUCCEEDED)


async def killed_in_finally(tool: ToolServer, system: SystemUnderTest) -> None:
    """kill -9 of the engine and of the worker while the first call of `finally` is in flight."""
    for service in ("pipeline_engine", "worker"):
        await called(tool, "close")
        await system.kill(service)
    tool.gate.set()


async def test_a_deadline_passes_while_everything_is_down(mortal_system: SystemUnderTest) -> None:
    async with ToolServer() as tool:
        async with mortal_system.client() as client:
            await tool.register(client)
            await create_task(client, "work", pipeline(WAIT), run_policy={"deadline": "8s"})
            name = await run_task(client, "work")
            await until_waiting(client, name, "wait")
            tool.gate.clear()
            await mortal_system.kill_everything()
            await mortal_system.start()
        async with mortal_system.client() as client:
            await killed_in_finally(tool, mortal_system)
            assert await ended(client, [name], 90) == {name: ["failed"]}
            run = await get_run(client, name)
            assert (run.error.code, run.error.step) == ("DEADLINE", "wait")
            once(tool, name, run)


async def test_a_cancelled_run_finishes(mortal_system: SystemUnderTest) -> None:
    """One that waits, and one that has been killed in its call."""
    async with ToolServer() as tool, mortal_system.client() as client:
        await tool.register(client)
        await create_task(client, "work", pipeline(WAIT))
        name = await run_task(client, "work")
        await until_waiting(client, name, "wait")
        await finished_after(client, mortal_system, tool, name, "cancelled")
        await create_task(client, "brief", pipeline(deadline="1h"))
        name = await run_task(client, "brief")
        await finished_after(client, mortal_system, tool, name, "succeeded")


async def finished_after(client: Client, system: SystemUnderTest, tool: ToolServer, name: str, end: str) -> None:
    tool.calls[:] = [one for one in tool.calls if one[0] == name]
    if end == "cancelled":
        tool.gate.clear()
        await client.runs.CancelRun(CancelRunRequest(name=name))
        await killed_in_finally(tool, system)
    else:
        await called(tool, "close")
        await system.kill("pipeline_engine")
        await system.kill("worker")
    assert await ended(client, [name], 90) == {name: [end]}
    once(tool, name, await get_run(client, name))
