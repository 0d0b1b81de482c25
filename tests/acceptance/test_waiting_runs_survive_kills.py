"""A run that waits holds no worker, and goes on behind its wait whatever was killed meanwhile."""

from typing import Any

import pytest

from ordinaut.v1.run_pb2 import StepRun, Wait
from ordinaut.v1.system_service_pb2 import GetStatusRequest
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, get_run, publish, run_task, until_waiting
from tests.acceptance.tool_server import ToolServer
from tests.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="session")


def work(step_id: str) -> dict[str, Any]:
    return {"id": step_id, "uses": "work.step", "with": {"run": "${run.name}", "step": step_id}, "retry": 20}


def pipeline() -> dict[str, Any]:
    """Two branches: one waits for an answer to this very run, the other for a time, both between two calls."""
    match = {"data.run": "${run.name}"}
    answer = {"topic": "order.*", "match": match, "timeout": "10m"}
    return {
        "version": 1,
        "steps": [
            work("before"),
            {
                "id": "both",
                "branches": {
                    "answer": [{"id": "reply", "uses": "orchestrator.wait_event", "with": answer}, work("left")],
                    "time": [{"id": "pause", "uses": "orchestrator.wait", "with": {"for": "2s"}}, work("right")],
                },
            },
            work("after"),
        ],
        "output": {"left": "${steps.both.answer.done}"},
    }


async def test_it_goes_on_behind_its_waits(mortal_system: SystemUnderTest) -> None:
    async with ToolServer() as tool:
        async with mortal_system.client() as client:
            await tool.register(client)
            await create_task(client, "work", pipeline())
            early = await run_task(client, "work")
            await publish(client, "order.done", run=early)
            name = await run_task(client, "work")
            await publish(client, "order.lost", run="runs/another")
            await until_waiting(client, name, "both.answer.reply")
            for service in ("worker", "pipeline_engine", "scheduler", "gateway"):
                await mortal_system.kill(service)
            run = await until_waiting(client, name, "both.answer.reply")
            assert (run.waits[0].kind, run.waits[0].topic) == (Wait.EVENT, "order.*")
            await ended(client, [early], PATIENCE)
            status = await client.system.GetStatus(GetStatusRequest())
            assert (status.due_work["WAITING"], status.due_work["LEASED"]) == (1, 0)
            await mortal_system.kill_everything()
            await mortal_system.start()
        async with mortal_system.client() as client:
            await publish(client, "order.done", run=name)
            assert await ended(client, [name, early], PATIENCE) == {name: ["succeeded"], early: ["succeeded"]}
            for each in (name, early):
                run = await get_run(client, each)
                states = {step.path: step.state for step in run.steps}
                assert states == dict.fromkeys(
                    [
                        "before", "both.answer.reply", "both.answer.left", "both.time.pause", "both.time.right",
                        "both", "after",
                    ],
                    StepRun.SUCCEEDED,
                )  # fmt: skip
                assert not run.waits
            calls = [step for run_name, step, _ in tool.calls if run_name == name]
            assert sorted(calls) == ["after", "before", "left", "right"], "nothing behind a wait is called twice"
