"""The gRPC channel to a gateway, and stub methods with token, deadline and `ApiError`."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from ordinaut.client.errors import ApiError

DEADLINE_SECONDS = 30.0
MAX_RESPONSE_BYTES = 16 * 1024 * 1024
Metadata = Sequence[tuple[str, str]]

OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.keepalive_time_ms", 30_000),  # the servers accept one every 5 s
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    ("grpc.enable_retries", 0),  # the client decides which calls are safe to retry
)


def open_channel(address: str) -> grpc.aio.Channel:
    """Opens a channel to `host:port`, with TLS if the address starts with `https://`; needs a running event loop."""
    scheme, _, rest = address.rpartition("://")
    if scheme == "https":
        return grpc.aio.secure_channel(rest, grpc.ssl_channel_credentials(), options=OPTIONS)
    return grpc.aio.insecure_channel(rest, options=OPTIONS)


class Methods:
    """Wraps a generated stub so that its methods raise ApiError; await unary methods, iterate streaming ones.

    In addition to the request, each method takes `timeout` (seconds; default 30 for unary calls, none for streams) and
    `metadata`.
    """

    def __init__(self, stub: Any, metadata: Metadata) -> None:
        for name, method in vars(stub).items():
            streaming = isinstance(method, grpc.aio.UnaryStreamMultiCallable)
            setattr(self, name, _streaming(method, metadata) if streaming else _unary(method, metadata))


def _unary(method: Any, common: Metadata) -> Any:
    async def call(request: Any, *, timeout: float | None = DEADLINE_SECONDS, metadata: Metadata = ()) -> Any:
        try:
            return await method(request, timeout=timeout, metadata=(*common, *metadata))
        except grpc.aio.AioRpcError as failure:
            raise ApiError.of(failure) from None

    return call


def _streaming(method: Any, common: Metadata) -> Any:
    async def call(request: Any, *, timeout: float | None = None, metadata: Metadata = ()) -> AsyncIterator[Any]:
        stream = method(request, timeout=timeout, metadata=(*common, *metadata))
        try:
            async for answer in stream:
                yield answer
        except grpc.aio.AioRpcError as failure:
            raise ApiError.of(failure) from None
        finally:
            stream.cancel()

    return call
