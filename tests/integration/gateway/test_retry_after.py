"""What a tool answers is visible in the run: when it may be called again, and which response was lost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio
from aiohttp import web
from google.protobuf import json_format

from gateway.api.json_values import to_datetime
from ordinaut.expressions.times import parse_timestamp
from ordinaut.v1.run_pb2 import StepRun, Wait
from ordinaut.v1.run_service_pb2 import CreateRunRequest, WatchRunRequest
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import CreateToolRequest
from ordinaut.v1.view_pb2 import FULL
from tests.integration.support.engine_rig import tool_server
from tests.integration.support.gateway_system import GatewaySystem, gateway_system, working
from tests.patience import PATIENCE


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url, egress="127.0.0.0/8") as started, working(started, database_url):
        yield started


async def started(system: GatewaySystem, port: int, effect: str, **step: object) -> str:
    tool = {"name": "tools/t.x", "effect": effect, "http": {"url": f"http://127.0.0.1:{port}/x"}}
    await system.admin.tools.CreateTool(CreateToolRequest(tool=json_format.ParseDict(tool, Tool())))
    document = {"pipeline": {"steps": [{"id": "a", "uses": "t.x", **step}]}}
    return str((await system.admin.runs.CreateRun(json_format.ParseDict(document, CreateRunRequest()))).name)


async def test_the_run_shows_when_the_next_attempt_starts(system: GatewaySystem) -> None:
    """A minute is served in the queue: the failed attempt is recorded, with the time of the next one."""

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "60"})

    async with tool_server(handle) as port:
        name = await started(system, port, "IDEMPOTENT", retry={"max": 1, "delay": "100ms"})
        async with asyncio.timeout(PATIENCE):
            async for update in system.admin.runs.WatchRun(WatchRunRequest(name=name, view=FULL)):
                if any(step.state == StepRun.FAILED for step in update.steps):
                    [failed] = [step for step in update.steps if step.state == StepRun.FAILED]
                    break
    details = json_format.MessageToDict(failed.error.details)
    assert (failed.error.code, details["status"], details["retry_after"]) == ("TOOL_ERROR", 429, "60")
    next_time = parse_timestamp(details["next_attempt_time"])
    assert abs(next_time - to_datetime(failed.end_time) - timedelta(minutes=1)) < timedelta(milliseconds=50)


async def test_an_unsafe_call_with_an_unreadable_response_has_an_unknown_outcome(system: GatewaySystem) -> None:
    """A header over 8190 bytes: the tool has acted, so a person is asked, and it is called once."""
    calls: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        calls.append(request.headers["Idempotency-Key"])
        return web.json_response({}, headers={"X-Long": "a" * 9000})

    async with tool_server(handle) as port:
        name = await started(system, port, "UNSAFE")
        async with asyncio.timeout(PATIENCE):
            async for update in system.admin.runs.WatchRun(WatchRunRequest(name=name)):
                if update.run.waits:
                    break
    [wait] = update.run.waits
    assert (wait.kind, len(calls)) == (Wait.APPROVAL, 1)
