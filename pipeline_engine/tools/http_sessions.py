"""The engine's HTTP connections to tools: a shared pool, and a new connection for each call of an UNSAFE tool."""

import socket
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from pipeline_engine.interpreter.requests import Call
from pipeline_engine.tools.definition import Kind
from pipeline_engine.tools.egress import Egress, EgressDeniedError

MAX_CONNECT_SECONDS = 10.0
CONNECT_SHARE = 0.8
"""Share of a call's timeout that connecting may take. A failed connect proves that the request was never sent; if the
timeout of the whole call expired first, this would be unknown."""
KEEP_ALIVE_SECONDS = 4.0
"""Idle time after which a pooled connection is closed. Many servers close theirs after 5 s; a request that is written
at that time is lost, and whether the tool has received it is unknown."""
Context = Any
"""An asynchronous context manager for the response, as aiohttp's `request` returns it."""


class GuardedResolver(AbstractResolver):
    """Resolves names and rejects a name if any of its addresses is denied.

    A name that resolves to public and private addresses is not trusted, whichever of them a connection would use: this
    is how DNS rebinding looks. The check also gives an early and clear error. It is not the decision that counts, which
    `Egress.socket` makes on the connected address.
    """

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Returns the addresses of a name.

        Raises:
            EgressDeniedError: one of them is denied.
        """
        addresses = await self._inner.resolve(host, port, family)
        for address in addresses:
            if not self._egress.permits(address["host"], port):
                raise EgressDeniedError(f"{host} resolves to {address['host']}")
        return addresses

    async def close(self) -> None:
        """Closes the inner resolver."""
        await self._inner.close()


class HttpSessions:
    """Two HTTP clients that apply the egress guard; create it inside the running event loop, and `close` it."""

    def __init__(self, egress: Egress, connections: int) -> None:
        self._egress = egress
        self._connections = connections
        self._pooled = self._session(force_close=False)
        self._unpooled: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Closes every connection."""
        await self._pooled.close()
        if self._unpooled is not None:
            await self._unpooled.close()

    def request(self, call: Call, method: str, url: URL, body: bytes | None, headers: Mapping[str, str]) -> Context:
        """Sends one request of a call; redirects are not followed.

        A call of an UNSAFE tool uses a new connection. A server may close a pooled connection at any time, and a
        request that was written at that time may or may not have been processed. On a new connection only a failure
        after the request was sent leaves the outcome unknown.
        """
        if call.tool.kind is not Kind.UNSAFE:
            return self._pooled.request(method, url, data=body, headers=headers, allow_redirects=False)
        if self._unpooled is None:
            self._unpooled = self._session(force_close=True)
        connect = min(MAX_CONNECT_SECONDS, CONNECT_SHARE * call.timeout)
        limit = aiohttp.ClientTimeout(total=None, connect=connect)
        return self._unpooled.request(method, url, data=body, headers=headers, allow_redirects=False, timeout=limit)

    def _session(self, *, force_close: bool) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._connections,
            resolver=GuardedResolver(self._egress),
            socket_factory=self._egress.socket,
            ttl_dns_cache=30,
            force_close=force_close,
            keepalive_timeout=None if force_close else KEEP_ALIVE_SECONDS,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "ordinaut"},
            middlewares=(send_once,),
        )


class ConnectionLostError(aiohttp.ClientError):
    """The connection was lost while the request was in flight."""


async def send_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Prevents aiohttp from repeating a GET, PUT or DELETE after a lost connection.

    aiohttp sends these methods again when a pooled connection breaks. The tool may have received the first request, so
    the second one would be an attempt that neither the step's `retry` allows nor the run records. The error is
    converted into one that aiohttp does not retry.

    Raises:
        ConnectionLostError: the connection was lost.
    """
    try:
        return await send(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as failure:
        raise ConnectionLostError(str(failure)) from failure
