"""Serves REST in the gateway process: an HTTP server in front of the gRPC port of this process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import uvicorn
from prometheus_client import Counter
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.rest.application import application
from gateway.rest.request_limits import Application
from gateway.rest.transcoding.large_bodies import LargeBodies
from gateway.rest.transcoding.transcoder import Bodies, Transcoder
from gateway.server import Gateway
from gateway.services import DESCRIPTORS
from ordinaut.errors import StartError
from ordinaut.limits import MAX_MESSAGE_BYTES

KILLED = Counter("ordinaut_gateway_conversions_ended", "Processes ended because a large body took too long")
STOP_SECONDS = 5.0
HEAD_SECONDS = 10.0
HEAD_MAX_BYTES = 256 * 1024  # more than RequestLimits accepts, which returns an error instead of closing


class _Server(uvicorn.Server):
    """A server that installs no signal handlers; the process has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Protocol(H11Protocol):
    """Closes a connection if the next request head is not complete after ten seconds."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        cycle = self.cycle
        super().data_received(data)
        if self.cycle is not cycle:  # a head is complete
            self._head_complete()
        elif self._deadline is None and (cycle is None or cycle.response_complete):
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_complete()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._close)

    def _head_complete(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()


@asynccontextmanager
async def serving(app: Application, listen: str) -> AsyncIterator[int]:
    """Serves `app` on `host:port` (0: a free port) until the context ends; yields the port.

    Raises:
        StartError: the address cannot be bound.
    """
    listener = _listener(listen)
    server = _Server(
        uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=HEAD_MAX_BYTES,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]), name="rest")
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait([task], timeout=STOP_SECONDS)
        task.cancel()
        listener.close()


def _listener(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=family, backlog=128)
    except OSError as failure:
        raise StartError(f"cannot listen on {listen}: {failure.strerror}") from failure


CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)


@asynccontextmanager
async def serve_rest(gateway: Gateway, listen: str) -> AsyncIterator[int]:
    """Serves HTTP on `listen`; yields the port.

    Its calls go to a gRPC server of their own on a unix socket: to the limits of connections of the public one, all
    clients of REST would be a single client.

    Raises:
        StartError: the address cannot be bound.
    """
    with TemporaryDirectory(prefix="ordinaut-") as folder:
        target = f"unix:{folder}/rest"
        await gateway.rest_server.start(target)
        large = LargeBodies(KILLED.inc)
        bodies = Bodies(gateway.authenticate, gateway.admit, large, gateway.yaml_max_bytes)
        try:
            async with grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
                transcoder = Transcoder(DESCRIPTORS, channel, bodies)
                async with serving(application(gateway.health, transcoder), listen) as port:
                    yield port
        finally:
            await large.close()
            await gateway.rest_server.stop(0)
