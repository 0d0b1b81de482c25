"""The gRPC channel to a gateway, and stub methods with token, deadline and `ApiError`."""

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from ordinaut.client.errors import ApiError
from ordinaut.client.retry import UNAVAILABLE, Deadline, RetryPolicy, with_retries

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


class Addresses:
    """The addresses of the gateway; calls go to one of them until it is unavailable, then to the next."""

    def __init__(self, text: str) -> None:
        self.all = [address.strip() for address in text.split(",") if address.strip()]
        if not self.all:
            raise ValueError("at least one address host:port is required (got nothing)")
        self.current = 0

    def failed(self, index: int, error: ApiError) -> ApiError:
        """Notes the error of a call to an address and returns it."""
        if error.code == UNAVAILABLE and index == self.current:  # else another call has already moved on
            self.current = (index + 1) % len(self.all)
        return error


class Methods:
    """Wraps generated stubs so that their methods raise ApiError; await unary methods, iterate streaming ones.

    There is one stub for each address of the gateway. In addition to the request, each method takes `timeout` (seconds,
    with all attempts; default 30 for unary calls, none for streams), `metadata`, and unary ones `retry`.
    """

    def __init__(self, stubs: Sequence[Any], metadata: Metadata, addresses: Addresses, retry: RetryPolicy) -> None:
        for name, method in vars(stubs[0]).items():
            methods = [getattr(stub, name) for stub in stubs]
            streaming = isinstance(method, grpc.aio.UnaryStreamMultiCallable)
            call = (
                _streaming(methods, metadata, addresses) if streaming else _unary(methods, metadata, addresses, retry)
            )
            setattr(self, name, call)


def _unary(methods: Sequence[Any], common: Metadata, addresses: Addresses, policy: RetryPolicy) -> Any:
    async def call(
        request: Any,
        *,
        timeout: float | None = DEADLINE_SECONDS,
        metadata: Metadata = (),
        retry: RetryPolicy | None = None,
    ) -> Any:
        request, deadline = with_request_id(request), Deadline(timeout)

        async def attempt() -> Any:
            index = addresses.current
            try:
                return await methods[index](request, timeout=deadline.remaining(), metadata=(*common, *metadata))
            except grpc.aio.AioRpcError as failure:
                raise addresses.failed(index, ApiError.of(failure)) from None

        return await with_retries(attempt, retry or policy, codes=frozenset({UNAVAILABLE}), deadline=deadline)

    return call


def _streaming(methods: Sequence[Any], common: Metadata, addresses: Addresses) -> Any:
    async def call(request: Any, *, timeout: float | None = None, metadata: Metadata = ()) -> AsyncIterator[Any]:
        index = addresses.current
        stream = methods[index](request, timeout=timeout, metadata=(*common, *metadata))
        try:
            async for answer in stream:
                yield answer
        except grpc.aio.AioRpcError as failure:
            raise addresses.failed(index, ApiError.of(failure)) from None
        finally:
            stream.cancel()

    return call


def with_request_id(request: Any) -> Any:
    """Returns a copy of the request with a `request_id`, if its type has one and the caller has not set it.

    Every request that changes something has one, so that each call can be repeated after its response was lost.
    """
    if "request_id" not in request.DESCRIPTOR.fields_by_name or request.request_id:
        return request
    repeatable = type(request)()
    repeatable.CopyFrom(request)
    repeatable.request_id = str(uuid.uuid4())
    return repeatable
