"""Tasks as the acceptance tests need them."""

import asyncio
import uuid
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from ordinaut.client import Client
from ordinaut.client.retry import RetryPolicy, with_retries
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import PublishEventRequest
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import GetRunRequest
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest
from tests.patience import PATIENCE

CALLS_AT_ONCE = 20


def working_steps(count: int) -> dict[str, Any]:
    """A pipeline of `count` calls of `work.step`."""
    steps = [
        {"id": f"s{step}", "uses": "work.step", "with": {"run": "${run.name}", "step": f"s{step}"}, "retry": 20}
        for step in range(count)
    ]
    return {"version": 1, "steps": steps}


async def create_task(client: Client, task_id: str, pipeline: dict[str, Any], **fields: Any) -> Task:
    task = json_format.ParseDict({"pipeline": pipeline, **fields}, Task())
    return await client.tasks.CreateTask(CreateTaskRequest(task=task, task_id=task_id))


async def run_task(client: Client, task_id: str) -> str:
    """Asks for one run, again with the same request_id until there is an answer; its name."""
    request = RunTaskRequest(name=f"tasks/{task_id}", request_id=str(uuid.uuid4()))
    return (await with_retries(lambda: client.tasks.RunTask(request), RetryPolicy())).name


async def run_many(client: Client, task_id: str, count: int) -> list[str]:
    gate = asyncio.Semaphore(CALLS_AT_ONCE)

    async def one() -> str:
        async with gate:
            return await run_task(client, task_id)

    return list(await asyncio.gather(*(one() for _ in range(count))))


async def ended(client: Client, names: list[str], within: float) -> dict[str, list[str]]:
    """Waits for the lifecycle events that end these runs; every one that came, by run."""
    waiting = set(names)
    seen: dict[str, list[str]] = {name: [] for name in names}
    async with asyncio.timeout(within):
        async for event in client.watch_events("ordinaut.run.*", after_position=0):
            what = event.topic.rpartition(".")[2]
            if event.source in seen and what in {"succeeded", "failed", "cancelled"}:
                seen[event.source].append(what)
                waiting.discard(event.source)
                if not waiting:
                    return seen
    raise AssertionError("unreachable")


async def get_run(client: Client, name: str) -> Run:
    return await client.runs.GetRun(GetRunRequest(name=name))


async def publish(client: Client, topic: str, **data: Any) -> None:
    told = Struct()
    told.update(data)
    request = PublishEventRequest(event=Event(topic=topic, data=told), request_id=str(uuid.uuid4()))
    await with_retries(lambda: client.events.PublishEvent(request), RetryPolicy())


async def until_waiting(client: Client, name: str, *steps: str) -> Run:
    """The run, once it is WAITING for exactly these steps."""
    async with asyncio.timeout(PATIENCE):
        async for run in client.watch_run(name):
            if run.state == Run.WAITING and sorted(wait.step for wait in run.waits) == sorted(steps):
                return run
    raise AssertionError("it ended")
