"""The connection to a gateway, and its methods with what every call needs: token, deadline, readable errors."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from ordinaut.client.errors import ApiError

DEADLINE_SECONDS = 30.0
Metadata = Sequence[tuple[str, str]]

OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.keepalive_time_ms", 30_000),  # Ordinaut's servers allow one every 5 s
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.enable_retries", 0),  # what may be repeated is known here, not there
)


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel to `host:port`, with TLS when the address begins with `https://`; needs the running event loop."""
    scheme, _, rest = address.rpartition("://")
    if scheme == "https":
        return grpc.aio.secure_channel(rest, grpc.ssl_channel_credentials(), options=OPTIONS)
    return grpc.aio.insecure_channel(rest, options=OPTIONS)


class Methods:
    """A generated stub whose failures are ApiError: unary methods are awaited, streaming ones iterated.

    Each takes `timeout` (seconds; unary calls 30 by default, streams none) and `metadata` beside its request.
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
