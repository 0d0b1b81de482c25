"""A reserved port belongs to one process, whose servers can listen on it."""

import asyncio
import socket

import grpc
import pytest

from ordinaut.embedded.ports import LOOPBACK, Port, PortTakenError


def test_a_port_is_reserved_once() -> None:
    first = Port.take(0)
    with pytest.raises(PortTakenError):
        Port.take(first.number)
    first.close()
    Port.take(first.number).close()


def test_another_port_is_chosen_if_the_preferred_one_is_in_use() -> None:
    first = Port.take(0)
    second = Port.prefer(first.number)
    assert second.number not in {0, first.number}
    first.close()
    second.close()


def test_a_port_with_another_listener_is_in_use() -> None:
    with socket.create_server((LOOPBACK, 0)) as foreign, pytest.raises(PortTakenError):
        Port.take(foreign.getsockname()[1])


async def test_servers_can_listen_on_it_repeatedly() -> None:
    port = Port.take(0)
    for _ in range(2):
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        assert server.add_insecure_port(port.address) == port.number
        await server.start()
        _, writer = await asyncio.open_connection(LOOPBACK, port.number)
        writer.close()
        await server.stop(None)
    web = await asyncio.start_server(lambda _reader, _writer: None, LOOPBACK, port.number)
    web.close()
    port.close()
