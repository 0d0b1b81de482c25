"""What a client can do with connections and calls before its request is read."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.admission import abandoned_calls, slow_connects
from ordinaut.v1.task_service_pb2 import ListTasksRequest
from tests.integration.support.gateway_system import GatewaySystem, gateway_system
from tests.patience import PATIENCE
from tests.security import http2

PATH = "/ordinaut.v1.TaskService/GetTask"
RESETS = 2_000_000
"""Without a token most of them are dropped by the library before they are counted."""


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


@pytest.mark.parametrize("has_token", [True, False])
async def test_a_connection_that_resets_its_calls_is_shut_down(system: GatewaySystem, has_token: bool) -> None:
    """Its address then connects slowly; another connection from there goes on working."""
    assert await system.admin.tasks.ListTasks(ListTasksRequest()) is not None
    token = system.admin.token if has_token else ""
    start = time.process_time()
    still_open = await asyncio.to_thread(http2.resets, system.port, RESETS, PATH, token)
    print(f"token {has_token}: {time.process_time() - start:.2f} s of CPU on both sides")
    assert not still_open
    assert await system.admin.tasks.ListTasks(ListTasksRequest()) is not None
    async with asyncio.timeout(PATIENCE):
        while await connects(system.port, "127.0.0.1"):
            continue
    assert await connects(system.port, "127.0.0.2")


async def connects(port: int, source: str) -> bool:
    """Whether a connection is accepted at once, and not when its first packet is repeated after a second."""
    try:
        async with asyncio.timeout(0.5):
            _reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    except TimeoutError:
        return False
    writer.close()
    return True


@pytest.mark.parametrize(("host", "source", "other"), [("127.0.0.1", "127.0.0.2", "127.0.0.1"), ("::1", "::1", None)])
async def test_only_new_connections_of_an_address_are_slowed_down(
    monkeypatch: pytest.MonkeyPatch, host: str, source: str, other: str | None
) -> None:
    monkeypatch.setattr(slow_connects, "PASSED_SHARE", 0)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    def connection(address: str) -> socket.socket:
        client = socket.socket(family)
        client.settimeout(0.5)
        client.bind((address, 0))
        try:
            client.connect((host, port))
        except TimeoutError:
            client.close()
            raise
        return client

    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        with connection(source) as before, server.accept()[0] as accepted:
            assert slow_connects.slow_down(port, ["10.1.2.3", "2001:db8::1"]) == 1
            with connection(source), server.accept()[0]:
                pass
            assert slow_connects.slow_down(port, ["10.1.2.3", "2001:db8::1", source]) == 1
            with pytest.raises(TimeoutError):
                connection(source)
            before.sendall(b"x" * 100_000)
            assert accepted.recv(100_000, socket.MSG_WAITALL) == b"x" * 100_000
            if other is not None:
                with connection(other), server.accept()[0] as from_other:
                    from_other.sendall(b"y")
        slow_connects.slow_down(port, [])
        with connection(source):
            pass
    assert slow_connects.slow_down(port, [source]) == 0, "nothing listens there any more"


async def test_an_address_connects_fast_again_after_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_connects, "PASSED_SHARE", 0)
    monkeypatch.setattr(abandoned_calls, "STRICT_SECONDS", 1.0)
    calls = abandoned_calls.AbandonedCalls()
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        calls.port = server.sockets[0].getsockname()[1]
        for _ in range(abandoned_calls.CALLS_MAX):
            calls.note("ipv4:127.0.0.2:1")
        assert not await connects(calls.port, "127.0.0.2")
        async with asyncio.timeout(PATIENCE):
            while not await connects(calls.port, "127.0.0.2"):
                continue
