"""What REST adds to the same calls over gRPC, through a whole running system: `python -m benchmarks.rest`.

Both are asked in turn on kept-alive connections by one client process, so that whatever else the machine does hits
both alike. The figure is the difference of the medians.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from google.protobuf import json_format

from benchmarks.targets import Row
from ordinaut.client import Client
from ordinaut.embedded.system import Plan, System
from ordinaut.v1.agent_service_pb2 import WhoAmIRequest
from ordinaut.v1.event_service_pb2 import PublishEventRequest
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, GetTaskRequest

SAMPLES = 600
WARM_UP = 100
MUST_MS, AIM_MS = 2.0, 1.0
TASK = {
    "schedule": {"triggers": [{"cron": "30 8 * * mon-fri"}], "time_zone": "Europe/Berlin"},
    "pipeline": {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {"city": "${params.city}"}}]},
    "params": {"city": "Cluj"},
}
EVENT = {"topic": "bench.rest", "data": {"numbers": list(range(20)), "text": "x" * 200}}
Call = Callable[[], Awaitable[Any]]


async def measure(folder: Path) -> list[Row]:
    """A tiny call, a read and a write."""
    async with System(Plan(folder, grpc_port=0, rest_port=0)) as system:
        said = system.describe()
        headers = {"authorization": f"Bearer {said['token']}"}
        async with Client(said["grpc"], said["token"]) as client, aiohttp.ClientSession(headers=headers) as http:
            request = json_format.ParseDict({"task": TASK, "task_id": "bench-rest"}, CreateTaskRequest())
            await client.tasks.CreateTask(request)
            named = GetTaskRequest(name="tasks/bench-rest")
            published = json_format.ParseDict({"event": EVENT}, PublishEventRequest())
            base = said["rest"]
            pairs: dict[str, tuple[Call, Call]] = {
                "WhoAmI": (lambda: client.agents.WhoAmI(WhoAmIRequest()), _http(http, "GET", f"{base}/v1/whoami")),
                "GetTask": (lambda: client.tasks.GetTask(named), _http(http, "GET", f"{base}/v1/tasks/bench-rest")),
                "PublishEvent": (
                    lambda: client.events.PublishEvent(published),
                    _http(http, "POST", f"{base}/v1/events", EVENT),
                ),
            }
            return [row for name, (grpc, rest) in pairs.items() for row in await _rows(name, grpc, rest)]


def _http(http: aiohttp.ClientSession, verb: str, url: str, document: Any = None) -> Call:
    async def call() -> None:
        async with http.request(verb, url, json=document) as answer:
            answer.raise_for_status()
            await answer.read()

    return call


async def _rows(name: str, grpc: Call, rest: Call) -> list[Row]:
    spent: tuple[list[float], list[float]] = ([], [])
    for sample in range(WARM_UP + SAMPLES):
        for call, times in zip((grpc, rest), spent, strict=True):
            begun = time.perf_counter()
            await call()
            if sample >= WARM_UP:
                times.append((time.perf_counter() - begun) * 1000)
    plain, added = statistics.median(spent[0]), statistics.median(spent[1]) - statistics.median(spent[0])
    return [
        Row(f"{name} over gRPC, p50", plain, "ms"),
        Row(f"{name}: REST adds, p50", added, "ms", must=MUST_MS, aim=AIM_MS),
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        for row in asyncio.run(measure(Path(made))):
            print(f"{row.what:40} {row.value:8.3f} {row.unit} {row.verdict}")
