"""The gateway as a process: ready when it says so, honest about what it can reach, quick to end."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import aiohttp
import asyncpg
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ordinaut.store import identity
from ordinaut.v1.event_service_pb2 import WatchEventsRequest
from tests.integration.support.gateway_process import a_gateway
from tests.integration.support.gateway_system import Caller, refusal
from tests.patience import PATIENCE


async def fetch(port: int, path: str, read: Callable[[aiohttp.ClientResponse], Any]) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await read(answer)


async def test_a_process_reports_its_components(database_url: str) -> None:
    """Ready without scheduler and engine, not ready without PostgreSQL, alive in any case."""
    async with a_gateway(database_url) as (_, ports):
        assert await fetch(ports["rest"], "/healthz", aiohttp.ClientResponse.json) == (200, {"status": "alive"})
        status, body = await fetch(ports["rest"], "/readyz", aiohttp.ClientResponse.json)
        assert (status, body["components"]["postgres"], body["workers"]) == (200, "SERVING", 0)
        assert body["components"]["scheduler"] != "SERVING"
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports['grpc']}") as channel:
            check: Any = health_pb2_grpc.HealthStub(channel)
            answer = await check.Check(
                health_pb2.HealthCheckRequest(service="ordinaut.v1.TaskService"), timeout=PATIENCE
            )
            assert answer.status == answer.SERVING
            await refusal(Caller(channel, "").events.WatchEvents(WatchEventsRequest()))
        status, text = await fetch(ports["metrics"], "/metrics", aiohttp.ClientResponse.text)
        assert status == 200
        refused = 'ordinaut_gateway_call_seconds_count{code="UNAUTHENTICATED"'
        assert refused in text


async def test_a_gateway_that_shuts_down_ends_its_streams(database_url: str) -> None:
    """At once and readably; the process ends well, long before its grace time."""
    connection = await asyncpg.connect(database_url)
    token = await identity.create_project(connection, "default")
    await connection.close()
    async with a_gateway(database_url) as (process, ports):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports['grpc']}") as channel:
            stream = Caller(channel, token).events.WatchEvents(WatchEventsRequest(), timeout=60)
            ending = asyncio.create_task(refusal(stream))
            await watched(ports["metrics"])
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                refused = await ending
                assert await process.wait() == 0
        assert (refused.code, refused.reason, refused.retry) == ("UNAVAILABLE", "CALL_CANCELLED", True)


async def watched(port: int) -> None:
    """Returns when the stream has begun: its answers tell nothing before there are events."""
    async with asyncio.timeout(PATIENCE):
        while (
            "ordinaut_gateway_event_watchers 1.0" not in (await fetch(port, "/metrics", aiohttp.ClientResponse.text))[1]
        ):
            await asyncio.sleep(0.02)  # metrics are there to be asked
