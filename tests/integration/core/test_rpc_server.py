"""The gRPC server that all services share."""

from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ordinaut.limits import MAX_INTERNAL_MESSAGE_BYTES
from ordinaut.rpc.server import Server, internal_guard


async def test_health_can_be_watched() -> None:
    """The health service writes responses to the context; the interceptor supports such handlers."""
    server = Server([], internal_guard("secret"), max_message_bytes=MAX_INTERNAL_MESSAGE_BYTES)
    port = await server.start("127.0.0.1:0")
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its type stubs lack Watch
            watch = stub.Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            await server.report(serving=False)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            watch.cancel()
    finally:
        await server.stop(0)
