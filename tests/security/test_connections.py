"""What a client can do with connections and calls before its request is read."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest_asyncio

from ordinaut.v1.task_service_pb2 import ListTasksRequest
from tests.integration.support.gateway_system import GatewaySystem, gateway_system
from tests.security import http2

PATH = "/ordinaut.v1.TaskService/GetTask"
RESETS = 20_000


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


async def test_a_connection_that_resets_its_calls_is_shut_down(system: GatewaySystem) -> None:
    """With a valid token, and without one."""
    for token in (system.admin.token, ""):
        start = time.process_time()
        still_open = await asyncio.to_thread(http2.resets, system.port, RESETS, PATH, token)
        print(f"token {bool(token)}: {time.process_time() - start:.2f} s of CPU on both sides")
        assert not still_open
    assert await system.admin.tasks.ListTasks(ListTasksRequest()) is not None
