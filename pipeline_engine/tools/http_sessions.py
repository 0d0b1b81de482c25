"""The engine's connections to tools: kept ones, and for calls of UNSAFE tools one each."""

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
"""Of a call's time, that connecting may take: what then fails was never sent, which a timeout of the whole hides."""
Context = Any
"""What aiohttp's `request` gives: an asynchronous context with the response."""


class GuardedResolver(AbstractResolver):
    """Resolves names; one closed address among the answers closes the name, so that rebinding gains nothing."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name.

        Raises:
            EgressDeniedError: one of them is closed.
        """
        found = await self._inner.resolve(host, port, family)
        for answer in found:
            if not self._egress.permits(answer["host"], port):
                raise EgressDeniedError(f"{host} is {answer['host']}, which is closed to tools")
        return found

    async def close(self) -> None:
        """Gives back what the resolver holds."""
        await self._inner.close()


class Sessions:
    """Two HTTP clients behind the egress guard; create it inside the running loop, and `close` it."""

    def __init__(self, egress: Egress, connections: int) -> None:
        self._egress = egress
        self._connections = connections
        self._kept = self._session(force_close=False)
        self._fresh: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Closes every connection."""
        await self._kept.close()
        if self._fresh is not None:
            await self._fresh.close()

    def request(self, call: Call, method: str, url: URL, body: bytes | None, headers: Mapping[str, str]) -> Context:
        """One request for a call; redirects are not followed.

        An UNSAFE one has a connection of its own: on a kept one, which a server may close at any moment, it would
        often be unclear whether it was heard.
        """
        if call.tool.kind is not Kind.UNSAFE:
            return self._kept.request(method, url, data=body, headers=headers, allow_redirects=False)
        if self._fresh is None:
            self._fresh = self._session(force_close=True, middlewares=(once,))
        connect = min(MAX_CONNECT_SECONDS, CONNECT_SHARE * call.timeout)
        limit = aiohttp.ClientTimeout(total=None, connect=connect)
        return self._fresh.request(method, url, data=body, headers=headers, allow_redirects=False, timeout=limit)

    def _session(self, *, force_close: bool, **more: Any) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._connections,
            resolver=GuardedResolver(self._egress),
            socket_factory=self._egress.socket,
            ttl_dns_cache=30,
            force_close=force_close,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "ordinaut"},
            **more,
        )


class BrokenOffError(aiohttp.ClientError):
    """The connection ended while the request was under way."""


async def once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from repeating a GET, PUT or DELETE whose connection ended.

    Raises:
        BrokenOffError: it did.
    """
    try:
        return await send(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as failure:
        raise BrokenOffError(str(failure)) from failure
