"""A first agent: creates a task, starts it, and prints the output of the run."""

import asyncio

from google.protobuf import json_format

from ordinaut.client import ApiError, Client
from ordinaut.v1.run_service_pb2 import GetRunRequest
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest

GREETING = {
    "schedule": {"triggers": [{"cron": "0 9 * * mon-fri"}], "time_zone": "Europe/Berlin"},
    "params": {"name": "world"},
    "pipeline": {
        "steps": [{"id": "greet", "uses": "orchestrator.set", "with": {"text": "Hello, ${params.name}!"}}],
        "output": "${steps.greet.text}",
    },
}


async def main() -> None:
    """Uses ORDINAUT_ADDRESS and ORDINAUT_TOKEN; needs the scopes tasks:write, tasks:run and runs:read."""
    task = json_format.ParseDict(GREETING, Task())
    async with Client.from_env() as client:
        try:
            created = await client.tasks.CreateTask(CreateTaskRequest(task=task, task_id="greeting"))
            print(f"{created.name}: {created.explanation}")
        except ApiError as error:
            if error.code != "ALREADY_EXISTS":
                raise
        run = await client.tasks.RunTask(RunTaskRequest(name="tasks/greeting"))
        async for state in client.watch_run(run.name):
            run = state
        finished = await client.runs.GetRun(GetRunRequest(name=run.name))
        print(json_format.MessageToJson(finished.output))


if __name__ == "__main__":
    asyncio.run(main())
