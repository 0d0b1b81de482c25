"""Time to the start of a run's first step: requested, requested during a backlog, on schedule, and after an event.

From just before the call, or from the scheduled instant, to the start time in the journal, all by the clock of this
machine. The step is `orchestrator.set`, so that no tool adds to it.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from google.protobuf import json_format

from benchmarks.harness.targets import Row
from benchmarks.throughput import QUEUE, create_task
from ordinaut.client import Client
from ordinaut.embedded.system import Plan, System
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, PauseTaskRequest, RunTaskRequest

SAMPLES = 300
PACE_SECONDS = 0.02  # between two requests to an idle system
BACKLOG = 100_000
SCHEDULES = 200
SCHEDULED_SECONDS = 10
POLL_SECONDS = 0.05
PIPELINE = {"version": 1, "steps": [{"id": "s", "uses": "orchestrator.set", "with": {"city": "Cluj"}}]}
URGENT = {"priority": 1, "overlap": {"policy": "ALLOW"}}
ROOM = "INSERT INTO project_quota VALUES ('default', 'live_runs', 1000000, 1000000)"  # more than the backlog
STARTS = "SELECT run, min(start_time) AS start_time FROM step_run WHERE run = ANY($1::uuid[]) GROUP BY run"
SCHEDULED = """
SELECT extract(epoch FROM min(s.start_time) - r.scheduled_time) * 1000 AS milliseconds
FROM run AS r JOIN step_run AS s ON s.run = r.id
WHERE r.task_name LIKE 'latency-each-second-%' AND r.scheduled_time >= $1 AND r.scheduled_time < $2
GROUP BY r.id, r.scheduled_time
"""
TRIGGERED = """
SELECT r.event ->> 'id' AS id, min(s.start_time) AS start_time
FROM run AS r JOIN step_run AS s ON s.run = r.id
WHERE r.task_name = 'latency-event' GROUP BY r.id, r.event
"""


async def rows(folder: Path) -> AsyncGenerator[Row, None]:
    """Median and 99th percentile of the four measurements, one after the other on one system."""
    async with System(Plan(folder, grpc_port=0, rest_port=0)) as system:
        description = system.describe()
        connection = await asyncpg.connect(description["database_url"])
        try:
            await connection.execute(ROOM)
            async with Client(description["grpc"], description["token"]) as client:
                bench = Bench(client, connection)
                await bench.requested("latency-warm-up")
                measurements = [
                    ("RunTask to first step, idle", bench.requested, (5, 15), (3.5, 8)),
                    ("RunTask to first step, backlog of 100 000", bench.requested_in_backlog, (10, 30), (5, 10)),
                    ("instant to first step, 200 per second", bench.scheduled, (15, 100), (5, 50)),
                    ("PublishEvent to first step, idle", bench.triggered, (15, 50), (6, 20)),
                ]
                for name, measure, required, goal in measurements:
                    for row in percentiles(name, await measure(), required, goal):
                        yield row
        finally:
            await connection.close()


def percentiles(
    name: str, samples: Iterable[float], required: tuple[float, float], goal: tuple[float, float]
) -> list[Row]:
    """The median and the 99th percentile of milliseconds, each with its own targets."""
    ordered = sorted(samples)
    return [
        Row(f"{name}, p{percent}", quantile(ordered, percent / 100), "ms", required[index], goal[index])
        for index, percent in enumerate((50, 99))
    ]


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """The smallest sample such that at least this fraction of all samples is not above it."""
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]


class Bench:
    """The four measurements; each returns one value in milliseconds per run."""

    def __init__(self, client: Client, connection: "asyncpg.Connection[Any]") -> None:
        self._client = client
        self._connection = connection

    async def requested(self, task_id: str = "latency-idle") -> list[float]:
        """RunTask calls to an idle system."""
        await self._create(task_id, {})
        requests: dict[UUID, datetime] = {}
        for _ in range(SAMPLES):
            requests.update([await self._run_task(task_id)])
            await asyncio.sleep(PACE_SECONDS)
        return await self._delays(requests)

    async def requested_in_backlog(self) -> list[float]:
        """RunTask calls for an urgent task while the queue holds less urgent runs; stops when the queue is empty."""
        await self._create("latency-urgent", {})
        backlog = await create_task(self._connection, 1)
        await self._connection.execute(QUEUE, backlog, BACKLOG)
        requests: dict[UUID, datetime] = {}
        while len(requests) < SAMPLES and await self._is_queued(backlog):
            requests.update([await self._run_task("latency-urgent")])
        delays = await self._delays(requests)
        await self._connection.execute("DELETE FROM due_work WHERE task = $1 AND state = 'READY'", backlog)
        while await self._is_queued(backlog):  # noqa: ASYNC110 - a notification would add load to the measured system
            await asyncio.sleep(POLL_SECONDS)
        return delays

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
        return [float(delay) for (delay,) in await self._connection.fetch(SCHEDULED, begin, end)]

    async def triggered(self) -> list[float]:
        """PublishEvent calls for a task with an event trigger on their topic."""
        await self._create("latency-event", {"triggers": [{"event": {"topic": "latency.event"}}]})
        published = {}
        for number in range(SAMPLES):
            published[f"e{number}"] = datetime.now(UTC)
            await self._client.publish("latency.event", event_id=f"e{number}")
            await asyncio.sleep(PACE_SECONDS)
        while len(starts := await self._connection.fetch(TRIGGERED)) < SAMPLES:  # noqa: ASYNC110 - as above
            await asyncio.sleep(POLL_SECONDS)
        return [milliseconds(published[event], start_time) for event, start_time in starts]

    async def _create(self, task_id: str, schedule: dict[str, Any]) -> None:
        definition = {"pipeline": PIPELINE, "run_policy": URGENT, "schedule": schedule}
        task = json_format.ParseDict(definition, Task())
        await self._client.tasks.CreateTask(CreateTaskRequest(task=task, task_id=task_id))

    async def _run_task(self, task_id: str) -> tuple[UUID, datetime]:
        """The uid of the run and the time just before the call."""
        start = datetime.now(UTC)
        run = await self._client.tasks.RunTask(RunTaskRequest(name=f"tasks/{task_id}"))
        return UUID(run.name.removeprefix("runs/")), start

    async def _delays(self, requests: dict[UUID, datetime]) -> list[float]:
        """Waits until all runs have started."""
        runs = list(requests)
        while len(starts := await self._connection.fetch(STARTS, runs)) < len(runs):  # noqa: ASYNC110 - as above
            await asyncio.sleep(POLL_SECONDS)
        return [milliseconds(requests[run], start_time) for run, start_time in starts]

    async def _is_queued(self, task: UUID) -> bool:
        return bool(await self._connection.fetchval("SELECT EXISTS (SELECT FROM due_work WHERE task = $1)", task))


def milliseconds(begin: datetime, end: datetime) -> float:
    """The time from `begin` to `end`."""
    return (end - begin) / timedelta(milliseconds=1)
