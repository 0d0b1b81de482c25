"""Translates HTTP/JSON to gRPC calls.

Calls go through a channel to the gRPC port of this process instead of directly to the services, so that authentication,
limits, deadlines and errors of REST are those of gRPC.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from gateway.api.rehearsal import sent_metadata
from gateway.api.violations import got
from gateway.authentication.client_address import Metadata, source_metadata
from gateway.rest.errors import HttpError, error_response
from gateway.rest.transcoding.assembly import assemble
from gateway.rest.transcoding.body import ClientGoneError, Receive, receive_body
from gateway.rest.transcoding.body_fixes import Place, left_out, place_fixes, placed, unplaced
from gateway.rest.transcoding.headers import Headers
from gateway.rest.transcoding.large_bodies import LargeBodies
from gateway.rest.transcoding.preconditions import Preconditions, etag
from gateway.rest.transcoding.response import Send, send_body, to_json
from gateway.rest.transcoding.routes import Route, RouteTable
from gateway.rest.transcoding.streaming import Stream, resume, stream_format
from ordinaut.errors import InvalidArgumentError, ResourceExhaustedError, Violation
from ordinaut.rpc.requests import SMALL_BYTES

USER_AGENT_MAX = 200
AUTHORIZATION_MAX = 512
TIMEOUT = b"x-server-timeout"
SECONDS = re.compile(r"[0-9]{1,5}(\.[0-9]{1,3})?")
INLINE_RESPONSE_BYTES = 64 * 1024  # larger responses are converted in a thread
Scope = Any


@dataclass(frozen=True, slots=True)
class Bodies:
    """What happens before a body is read and converted.

    `authenticate` gets the path of the method and the metadata of the call, `admit` the size of a large body; both
    raise an OrdinautError to refuse the request. `yaml_max` is the largest size of YAML in bytes.
    """

    authenticate: Callable[[str, Metadata], Awaitable[None]]
    admit: Callable[[int], Awaitable[None]]
    large: LargeBodies
    yaml_max: int


class Transcoder:
    """An ASGI application; `channel` leads to the gRPC server of this process."""

    def __init__(self, services: Iterable[ServiceDescriptor], channel: grpc.aio.Channel, bodies: Bodies) -> None:
        self.table = RouteTable(services)
        self._bodies = bodies
        self._calls = {route.path: _open(channel, route) for route in self.table.routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        exchange = _Exchange(scope, Headers(scope["headers"]), receive, send)
        conditional = False
        place: Place = unplaced
        try:
            route, values = self.table.find(scope["method"], scope["raw_path"].decode("ascii"))
            conditions = Preconditions.of(exchange.headers)
            conditional = conditions.conditional(route)
            await self._authenticate(exchange, route)
            body = await receive_body(receive, exchange.headers, self._bodies.yaml_max)
            if body is not None and len(body.data) > SMALL_BYTES:
                await self._bodies.admit(len(body.data))
            request: Message | bytes
            if body is not None and body.is_large:
                converted = self._bodies.large.assemble(route, values, scope["query_string"], body, conditions)
                request, problems, sent = await _unless_disconnected(converted, receive)
            else:
                request, problems, sent = assemble(route, values, scope["query_string"], body, conditions)
            place = left_out if sent is None else partial(placed, route=route, document=sent.document)
            with sent_metadata(sent, problems) as metadata:
                await self._call(route, request, exchange, conditions, metadata, place)
        except ClientGoneError:
            return
        except Exception as failure:  # noqa: BLE001 - the outermost handler
            error = error_response(failure, conditional=conditional, place=place)
            await send_body(send, exchange.headers, error.status, error.headers, error.body)

    async def _authenticate(self, exchange: "_Exchange", route: Route) -> None:
        """Refuses a request before its body is read.

        Raises:
            UnauthenticatedError: the token is missing or invalid.
            HttpError: 429: there were too many of these. The connection is closed, so that the body is not received.
        """
        try:
            await self._bodies.authenticate(route.path, exchange.metadata)
        except ResourceExhaustedError as throttled:
            raise HttpError(429, throttled, {"connection": "close"}) from None

    async def _call(
        self,
        route: Route,
        request: Message | bytes,
        exchange: "_Exchange",
        conditions: Preconditions,
        violations: Metadata,
        place: Place,
    ) -> None:
        call, metadata = self._calls[route.path], (*exchange.metadata, *violations)
        if route.method.server_streaming:
            if isinstance(request, Message):
                resume(request, route.request, exchange.headers)
            running = call(request, metadata=metadata, timeout=exchange.timeout)
            await Stream(running, exchange.receive, exchange.send, stream_format(exchange.headers)).serve()
            return
        running = call(request, metadata=metadata, timeout=exchange.timeout)
        response = await _unless_disconnected(running, exchange.receive)
        place_fixes(response, place)
        tag = etag(response)
        headers = {"etag": tag} if tag else {}
        if tag and route.verb == "GET" and tag in conditions.if_none_match:
            await send_body(exchange.send, exchange.headers, 304, headers, b"")
            return
        large = response.ByteSize() > INLINE_RESPONSE_BYTES
        body = await asyncio.to_thread(to_json, response) if large else to_json(response)
        await send_body(exchange.send, exchange.headers, 200, headers, body)


@dataclass(frozen=True, slots=True)
class _Exchange:
    scope: Scope
    headers: Headers
    receive: Receive
    send: Send

    @property
    def address(self) -> str:
        """The client's address."""
        return str((self.scope.get("client") or ("", 0))[0])

    @property
    def tokens(self) -> list[str]:
        """All Authorization headers; the authenticator refuses more than one."""
        return [value for value in self.headers.all(b"authorization") if len(value) <= AUTHORIZATION_MAX]

    @property
    def metadata(self) -> Metadata:
        """The client's address and name, and the Authorization headers."""
        source = source_metadata(self.address, self.headers.first(b"user-agent")[:USER_AGENT_MAX])
        return *source, *(("authorization", value) for value in self.tokens)

    @property
    def timeout(self) -> float | None:
        """The timeout in seconds from the header X-Server-Timeout; None for the default of the gateway."""
        text = self.headers.first(TIMEOUT)
        if not text:
            return None
        if not SECONDS.fullmatch(text) or not float(text):
            raise InvalidArgumentError.of(
                [Violation("X-Server-Timeout", f"must be a positive number of seconds such as 90 or 0.5 {got(text)}")]
            )
        return float(text)


async def _unless_disconnected(work: Awaitable[Any], receive: Receive) -> Any:
    """Returns the result of a call, which is cancelled if the client disconnects.

    Raises:
        ClientGoneError: the client has disconnected.
    """
    running: Any = asyncio.ensure_future(work) if asyncio.iscoroutine(work) else work
    watch = asyncio.create_task(_disconnect(receive))
    watch.add_done_callback(lambda _: running.cancel())
    try:
        return await running
    except asyncio.CancelledError:
        if watch.done():
            raise ClientGoneError from None
        raise
    finally:
        watch.cancel()


async def _disconnect(receive: Receive) -> None:
    """Returns when the client disconnects; the body is complete, so no other message arrives."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _open(channel: grpc.aio.Channel, route: Route) -> Callable[..., Any]:
    make: Any = channel.unary_stream if route.method.server_streaming else channel.unary_unary
    call: Callable[..., Any] = make(
        route.path,
        request_serializer=lambda message: message if isinstance(message, bytes) else message.SerializeToString(),
        response_deserializer=route.response_class.FromString,
    )
    return call
