"""How long it takes until the first step starts: asked for, behind a long queue, on schedule, and after an event.

From the moment before the call, or the scheduled one, to the start that the engine notes in the journal: the same
machine's clock. The step is `orchestrator.set`; no tool's time is in it.
"""

import asyncio
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from google.protobuf import json_format

from benchmarks.targets import Row
from benchmarks.throughput import QUEUE, create_task
from ordinaut.client import Client
from ordinaut.embedded.system import Plan, System
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, PauseTaskRequest, RunTaskRequest

SAMPLES = 300
PACE_SECONDS = 0.02  # between two questions to an idle system
BACKLOG = 100_000
SCHEDULES = 200
SCHEDULED_SECONDS = 10
LOOK_SECONDS = 0.05
PIPELINE = {"version": 1, "steps": [{"id": "s", "uses": "orchestrator.set", "with": {"city": "Cluj"}}]}
URGENT = {"priority": 1, "overlap": {"policy": "ALLOW"}}
STARTS = "SELECT run, min(start_time) AS start FROM step_run WHERE run = ANY($1::uuid[]) GROUP BY run"
SCHEDULED = """
SELECT extract(epoch FROM min(s.start_time) - r.scheduled_time) * 1000 AS late
FROM run AS r JOIN step_run AS s ON s.run = r.id
WHERE r.task_name LIKE 'latency-each-second-%' AND r.scheduled_time >= $1 AND r.scheduled_time < $2
GROUP BY r.id, r.scheduled_time
"""
TRIGGERED = """
SELECT r.event ->> 'id' AS id, min(s.start_time) AS start
FROM run AS r JOIN step_run AS s ON s.run = r.id
WHERE r.task_name = 'latency-event' GROUP BY r.id, r.event
"""


async def measure(folder: Path) -> list[Row]:
    """All four, one after the other, on one system."""
    async with System(Plan(folder, grpc_port=0, rest_port=0)) as system:
        said = system.describe()
        connection = await asyncpg.connect(said["database_url"])
        try:
            async with Client(said["grpc"], said["token"]) as client:
                bench = Bench(client, connection)
                await bench.asked("latency-warm")
                return [
                    *rows("RunTask to first step, idle", await bench.asked("latency-idle"), (5, 15), (3.5, 8)),
                    *rows("the same before a queue of 100 000", await bench.behind_backlog(), (10, 30), (5, 10)),
                    *rows("instant to first step, 200 at each second", await bench.scheduled(), (15, 100), (5, 50)),
                    *rows("PublishEvent to first step, idle", await bench.triggered(), (15, 50), (6, 20)),
                ]
        finally:
            await connection.close()


def rows(what: str, found: Iterable[float], must: tuple[float, float], aim: tuple[float, float]) -> list[Row]:
    """The median and the 99th percentile of some milliseconds."""
    spent = sorted(found)
    return [
        Row(f"{what}, p{percent}", quantile(spent, percent / 100), "ms", must[place], aim[place])
        for place, percent in enumerate((50, 99))
    ]


def quantile(rising: Sequence[float], share: float) -> float:
    """The smallest value that is not below so large a share of all."""
    return rising[max(0, math.ceil(share * len(rising)) - 1)]


class Bench:
    """The four measurements; milliseconds come back."""

    def __init__(self, client: Client, connection: "asyncpg.Connection[Any]") -> None:
        self._client = client
        self._connection = connection

    async def asked(self, task_id: str) -> list[float]:
        """RunTask again and again."""
        await self._create(task_id, {})
        asked: dict[UUID, datetime] = {}
        for _ in range(SAMPLES):
            asked.update([await self._ask(task_id)])
            await asyncio.sleep(PACE_SECONDS)
        return await self._delays(asked)

    async def behind_backlog(self) -> list[float]:
        """RunTask of an urgent task while the queue holds less urgent runs, for as long as it does."""
        await self._create("latency-urgent", {})
        backlog = await create_task(self._connection, 1)
        await self._connection.execute(QUEUE, backlog, BACKLOG)
        asked: dict[UUID, datetime] = {}
        while len(asked) < SAMPLES and await self._waiting(backlog):
            asked.update([await self._ask("latency-urgent")])
        found = await self._delays(asked)
        await self._connection.execute("DELETE FROM due_work WHERE task = $1 AND state = 'READY'", backlog)
        while await self._waiting(backlog):  # noqa: ASYNC110 - the queue tells nobody
            await asyncio.sleep(LOOK_SECONDS)
        return found

    async def scheduled(self) -> list[float]:
        """Tasks that are due every second, all at the same instants."""
        names = [f"latency-each-second-{number}" for number in range(SCHEDULES)]
        for name in names:
            await self._create(name, {"triggers": [{"interval": "1s"}]})
        begin = datetime.now(UTC) + timedelta(seconds=2)
        end = begin + timedelta(seconds=SCHEDULED_SECONDS)
        await asyncio.sleep((end - datetime.now(UTC)).total_seconds() + 1)
        for name in names:
            await self._client.tasks.PauseTask(PauseTaskRequest(name=f"tasks/{name}"))
        return [float(row["late"]) for row in await self._connection.fetch(SCHEDULED, begin, end)]

    async def triggered(self) -> list[float]:
        """Events for a task that waits for their topic."""
        await self._create("latency-event", {"triggers": [{"event": {"topic": "latency.event"}}]})
        published = {}
        for number in range(SAMPLES):
            published[f"e{number}"] = datetime.now(UTC)
            await self._client.publish("latency.event", event_id=f"e{number}")
            await asyncio.sleep(PACE_SECONDS)
        while len(found := await self._connection.fetch(TRIGGERED)) < SAMPLES:  # noqa: ASYNC110 - as there
            await asyncio.sleep(LOOK_SECONDS)
        return [milliseconds(published[row["id"]], row["start"]) for row in found]

    async def _create(self, task_id: str, schedule: dict[str, Any]) -> None:
        definition = {"pipeline": PIPELINE, "run_policy": URGENT, "schedule": schedule}
        task = json_format.ParseDict(definition, Task())
        await self._client.tasks.CreateTask(CreateTaskRequest(task=task, task_id=task_id))

    async def _ask(self, task_id: str) -> tuple[UUID, datetime]:
        began = datetime.now(UTC)
        run = await self._client.tasks.RunTask(RunTaskRequest(name=f"tasks/{task_id}"))
        return UUID(run.name.removeprefix("runs/")), began

    async def _delays(self, asked: dict[UUID, datetime]) -> list[float]:
        while len(found := await self._connection.fetch(STARTS, list(asked))) < len(asked):  # noqa: ASYNC110 - as there
            await asyncio.sleep(LOOK_SECONDS)
        return [milliseconds(asked[row["run"]], row["start"]) for row in found]

    async def _waiting(self, task: UUID) -> bool:
        return bool(await self._connection.fetchval("SELECT EXISTS (SELECT FROM due_work WHERE task = $1)", task))


def milliseconds(begin: datetime, end: datetime) -> float:
    """From one moment to another."""
    return (end - begin) / timedelta(milliseconds=1)
