"""A run that waits holds no worker, and goes on behind its wait whatever was killed meanwhile."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

from google.protobuf.struct_pb2 import Struct

from ordinaut.client import Client
from ordinaut.client.resume import Patience, repeated
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import PublishEventRequest
from ordinaut.v1.run_pb2 import Run, StepRun, Wait
from ordinaut.v1.system_service_pb2 import GetStatusRequest
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, get_run, run_task
from tests.acceptance.tool_server import ToolServer

WAITING_SECONDS = 30.0


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


async def publish(client: Client, topic: str, **data: Any) -> None:
    told = Struct()
    told.update(data)
    request = PublishEventRequest(event=Event(topic=topic, data=told), request_id=str(uuid.uuid4()))
    await repeated(lambda: client.events.PublishEvent(request), Patience())


async def until_waiting(client: Client, name: str, *steps: str) -> Run:
    """The run, once it is WAITING for exactly these steps."""
    async with asyncio.timeout(WAITING_SECONDS):
        async for run in client.watch_run(name):
            if run.state == Run.WAITING and sorted(wait.step for wait in run.waits) == sorted(steps):
                return run
    raise AssertionError("it ended")


async def test_it_goes_on_behind_its_waits(tmp_path: Path) -> None:
    async with ToolServer() as tool, SystemUnderTest(tmp_path / "data") as system:
        async with system.client() as client:
            await tool.register(client)
            await create_task(client, "work", pipeline())
            early = await run_task(client, "work")
            await publish(client, "order.done", run=early)
            name = await run_task(client, "work")
            await publish(client, "order.lost", run="runs/another")
            await until_waiting(client, name, "both.answer.reply")
            for service in ("worker", "pipeline_engine", "scheduler", "gateway"):
                await system.kill(service)
            run = await until_waiting(client, name, "both.answer.reply")
            assert (run.waits[0].kind, run.waits[0].topic) == (Wait.EVENT, "order.*")
            await ended(client, [early], 60)
            status = await client.system.GetStatus(GetStatusRequest())
            assert (status.due_work["WAITING"], status.due_work["LEASED"]) == (1, 0)
            await system.kill_everything()
            await system.start()
        async with system.client() as client:
            await publish(client, "order.done", run=name)
            assert await ended(client, [name, early], 60) == {name: ["succeeded"], early: ["succeeded"]}
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
        assert await system.stop() == 0
