"""The gRPC server of every service: health checks, reflection, error conversion, graceful shutdown."""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from ordinaut.errors import PermissionDeniedError, StartError
from ordinaut.limits import MAX_INTERNAL_MESSAGE_BYTES
from ordinaut.rpc.interceptor import Checks, Context, ErrorInterceptor, Guard
from ordinaut.rpc.reflection import add_reflection
from ordinaut.v1.error_pb2 import ErrorReason

KEEPALIVE_MS = 10_000  # ping interval of idle internal channels; servers accept pings at half this interval
INTERNAL_TOKEN_KEY = "ordinaut-internal-token"  # noqa: S105 - the name of a header
OPEN_METHODS = ("/grpc.health.", "/grpc.reflection.")


@dataclass(frozen=True, slots=True)
class Registration:
    """A servicer, the generated function that adds it to a server, and its full service name."""

    add: Callable[[Any, Any], None]
    servicer: Any
    service: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server that strangers can reach; the numbers are observed, see docs/adr/0032.

    `streams` is the number of concurrent calls of one connection, `calls` that of the process and `connections` that of
    accepted connections. A connection is closed after `idle_seconds` without a call, and after `age_seconds` plus
    `grace_seconds` in any case.
    """

    streams: int = 256
    calls: int = 4096
    connections: int = 1000
    idle_seconds: int = 300
    age_seconds: int = 3600
    grace_seconds: int = 60

    def options(self) -> list[tuple[str, int]]:
        """The arguments of the server."""
        return [
            ("grpc.max_concurrent_streams", self.streams),
            ("grpc.max_allowed_incoming_connections", self.connections),
            ("grpc.max_connection_idle_ms", self.idle_seconds * 1000),
            ("grpc.max_connection_age_ms", self.age_seconds * 1000),
            ("grpc.max_connection_age_grace_ms", self.grace_seconds * 1000),
        ]


class Server:
    """A gRPC server; must be created inside the running event loop."""

    def __init__(
        self,
        registrations: Sequence[Registration],
        checks: Checks | Guard,
        *,
        max_message_bytes: int,
        limits: Limits | None = None,
    ) -> None:
        checks = checks if isinstance(checks, Checks) else Checks(checks)
        self._server = grpc.aio.server(
            interceptors=[ErrorInterceptor(replace(checks, guard=_open_or(checks.guard)))],
            maximum_concurrent_rpcs=limits.calls if limits else None,
            options=[
                *(limits.options() if limits else ()),
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", MAX_INTERNAL_MESSAGE_BYTES),  # clients enforce their own limits
                ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._services = [registration.service for registration in registrations]
        for registration in registrations:
            registration.add(registration.servicer, self._server)
        add_reflection([*self._services, health.SERVICE_NAME], self._server)

    async def start(self, listen: str) -> int:
        """Listens on `host:port` (port 0: any free port) and reports SERVING.

        Returns:
            The port number.

        Raises:
            StartError: the address cannot be bound.
        """
        try:
            port = self._server.add_insecure_port(listen)
        except RuntimeError:
            reason = "the port is in use, or the host is not an address of this machine"
            raise StartError(f"cannot listen on {listen}: {reason}") from None
        await self._server.start()
        await self.report(serving=True)
        return port

    async def report(self, *, serving: bool) -> None:
        """Sets the health status of the process and of each service."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ["", *self._services]:
            await self._health.set(service, status)

    async def stop(self, grace_seconds: float) -> None:
        """Rejects new calls and waits up to `grace_seconds` for active calls."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)


def internal_guard(token: str, listen: str = "127.0.0.1:0") -> Guard:
    """A guard that requires `token` in the metadata; an empty `token` accepts every call and only fits loopback.

    Raises:
        StartError: without a token, `listen` (`host:port`) can be reached from other hosts.
    """
    if not token.strip() and not _is_loopback(listen.rpartition(":")[0].strip("[]")):
        raise StartError(f"ORDINAUT_INTERNAL_TOKEN is required to listen on {listen}, which is not a loopback address")

    async def guard(_method: str, context: Context) -> None:
        if not token:
            return
        token_received = dict(context.invocation_metadata() or ()).get(INTERNAL_TOKEN_KEY, "")
        if not hmac.compare_digest(str(token_received), token):
            raise PermissionDeniedError(
                ErrorReason.MISSING_SCOPE, "this method is internal; the internal token is missing or wrong"
            )

    return guard


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _open_or(guard: Guard) -> Guard:
    async def check(method: str, context: Context) -> None:
        if not method.startswith(OPEN_METHODS):
            await guard(method, context)

    return check
