"""gRPC channels between the services, with keepalive and the internal token."""

from collections.abc import Sequence
from typing import Any

import grpc

from ordinaut.limits import MAX_INTERNAL_MESSAGE_BYTES
from ordinaut.rpc.server import INTERNAL_TOKEN_KEY, KEEPALIVE_MS

OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_receive_message_length", MAX_INTERNAL_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_INTERNAL_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_retries", 0),
)


def internal_channel(address: str) -> grpc.aio.Channel:
    """Opens a channel to another service; must be called inside the running event loop."""
    return grpc.aio.insecure_channel(address, options=OPTIONS)


def internal_metadata(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata of an internal call."""
    return ((INTERNAL_TOKEN_KEY, token),) if token else ()
