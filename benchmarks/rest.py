"""Latency that REST adds to the same calls over gRPC, through a whole running system.

One client process makes the two calls alternately on kept-alive connections, so that other load on the machine affects
both. The figure is the difference of the medians.
"""

import statistics
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from google.protobuf import json_format

from benchmarks.harness.targets import Row
from ordinaut.client import Client
from ordinaut.embedded.system import Plan, System
from ordinaut.v1.agent_service_pb2 import WhoAmIRequest
from ordinaut.v1.event_service_pb2 import PublishEventRequest
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, GetTaskRequest

SAMPLES = 600
WARM_UP = 100
REQUIRED_MS, GOAL_MS = 2.0, 1.0
TASK = {
    "schedule": {"triggers": [{"cron": "30 8 * * mon-fri"}], "time_zone": "Europe/Berlin"},
    "pipeline": {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {"city": "${params.city}"}}]},
    "params": {"city": "Cluj"},
}
EVENT = {"topic": "bench.rest", "data": {"numbers": list(range(20)), "text": "x" * 200}}
Call = Callable[[], Awaitable[Any]]


async def rows(folder: Path) -> AsyncGenerator[Row, None]:
    """A small call, a read and a write."""
    async with System(Plan(folder, grpc_port=0, rest_port=0)) as system:
        description = system.describe()
        headers = {"authorization": f"Bearer {description['token']}"}
        async with (
            Client(description["grpc"], description["token"]) as client,
            aiohttp.ClientSession(headers=headers) as http,
        ):
            request = json_format.ParseDict({"task": TASK, "task_id": "bench-rest"}, CreateTaskRequest())
            await client.tasks.CreateTask(request)
            for name, (grpc_call, rest_call) in _call_pairs(client, http, description["rest"]).items():
                grpc_ms, rest_ms = await _medians(grpc_call, rest_call)
                yield Row(f"{name} over gRPC, p50", grpc_ms, "ms")
                yield Row(f"{name}, added by REST, p50", rest_ms - grpc_ms, "ms", REQUIRED_MS, GOAL_MS)


def _call_pairs(client: Client, http: aiohttp.ClientSession, base_url: str) -> dict[str, tuple[Call, Call]]:
    """The same call over gRPC and over REST, by method name."""
    get_task = GetTaskRequest(name="tasks/bench-rest")
    publish = json_format.ParseDict({"event": EVENT}, PublishEventRequest())
    return {
        "WhoAmI": (lambda: client.agents.WhoAmI(WhoAmIRequest()), _http_call(http, "GET", f"{base_url}/v1/whoami")),
        "GetTask": (
            lambda: client.tasks.GetTask(get_task),
            _http_call(http, "GET", f"{base_url}/v1/tasks/bench-rest"),
        ),
        "PublishEvent": (
            lambda: client.events.PublishEvent(publish),
            _http_call(http, "POST", f"{base_url}/v1/events", EVENT),
        ),
    }


def _http_call(http: aiohttp.ClientSession, verb: str, url: str, document: Any = None) -> Call:
    async def call() -> None:
        async with http.request(verb, url, json=document) as response:
            response.raise_for_status()
            await response.read()

    return call


async def _medians(*calls: Call) -> list[float]:
    """Milliseconds of each call, made alternately; the first WARM_UP samples are dropped."""
    samples: list[list[float]] = [[] for _ in calls]
    for _ in range(WARM_UP + SAMPLES):
        for call, times in zip(calls, samples, strict=True):
            start = time.perf_counter()
            await call()
            times.append((time.perf_counter() - start) * 1000)
    return [statistics.median(times[WARM_UP:]) for times in samples]
