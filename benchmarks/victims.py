"""Time to the start of a run of one project, while a client or another project attacks the gateway.

The attacker is a process of its own on the same machine, so that its CPU is part of the load.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from google.protobuf import json_format

from benchmarks.attacks import ATTACKS
from benchmarks.harness.targets import Row
from benchmarks.latency import PIPELINE, STARTS, milliseconds, quantile
from benchmarks.usage import cpu_seconds
from ordinaut.client import Client
from ordinaut.embedded.database import new_project
from ordinaut.embedded.system import Plan, System
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest

PROBES = 100
PACE_SECONDS = 0.1
WARM_UP_SECONDS = 2.0
POLL_SECONDS = 0.05
REQUIRED_MS, LONGEST_MS = 250.0, 3_000.0


async def rows(folder: Path) -> AsyncGenerator[Row, None]:
    """The 99th percentile and the longest time without an attack and beside each, and the gateway's share of a CPU."""
    async with System(Plan(folder, grpc_port=0, rest_port=0)) as system:
        description = system.describe()
        attacker = await new_project(description["database_url"], "attacker")
        ports = [description[name].rpartition(":")[2] for name in ("grpc", "rest")]
        connection = await asyncpg.connect(description["database_url"])
        try:
            async with Client(description["grpc"], description["token"]) as client:
                task = json_format.ParseDict({"pipeline": PIPELINE}, Task())
                await client.tasks.CreateTask(CreateTaskRequest(task=task, task_id="victim"))
                [gateway] = description["pids"]["gateway"]
                for name in ("no attack", *ATTACKS):
                    async with _attack(name, *ports, attacker):
                        before, start = cpu_seconds(gateway), datetime.now(UTC)
                        delays = sorted(await _probe(client, connection))
                        used = cpu_seconds(gateway) - before
                        share = 100_000 * used / milliseconds(start, datetime.now(UTC))
                    label = name.replace("_", " ")
                    yield Row(f"{label}: RunTask to first step, p50", quantile(delays, 0.5), "ms")
                    p99 = quantile(delays, 0.99)
                    yield Row(f"{label}: RunTask to first step, p99", p99, "ms", REQUIRED_MS, REQUIRED_MS)
                    yield Row(f"{label}: RunTask to first step, longest", delays[-1], "ms", LONGEST_MS, LONGEST_MS)
                    yield Row(f"{label}: CPU of the gateway", share, "%")
        finally:
            await connection.close()


@asynccontextmanager
async def _attack(name: str, *arguments: str) -> AsyncIterator[None]:
    if name not in ATTACKS:
        yield
        return
    command = [sys.executable, "-m", "benchmarks.attacks", name, *arguments]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1])  # noqa: ASYNC220 - does not block
    try:
        await asyncio.sleep(WARM_UP_SECONDS)
        yield
    finally:
        process.kill()
        process.wait()


async def _probe(client: Client, connection: "asyncpg.Connection[Any]") -> list[float]:
    requests: dict[UUID, datetime] = {}
    for _ in range(PROBES):
        start = datetime.now(UTC)
        run = await client.tasks.RunTask(RunTaskRequest(name="tasks/victim"))
        requests[UUID(run.name.removeprefix("runs/"))] = start
        await asyncio.sleep(PACE_SECONDS)
    runs = list(requests)
    while len(starts := await connection.fetch(STARTS, runs)) < len(runs):  # noqa: ASYNC110 - as in latency
        await asyncio.sleep(POLL_SECONDS)
    return [milliseconds(requests[run], start_time) for run, start_time in starts]
