"""HTTP/JSON in front of the gateway's own gRPC port: one channel, so that identity, limits and errors are the same."""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from gateway.authentication.client_address import source_metadata
from gateway.rest.errors import refusal
from gateway.rest.transcoding.assembly import assemble
from gateway.rest.transcoding.body import ClientGoneError, Receive, receive_body
from gateway.rest.transcoding.headers import Headers
from gateway.rest.transcoding.preconditions import Preconditions, etag
from gateway.rest.transcoding.response import Send, send_body, to_json
from gateway.rest.transcoding.routes import Route, RouteTable
from gateway.rest.transcoding.streaming import Stream, framing, resume
from ordinaut.errors import InvalidArgumentError, Violation

AUTHORIZATION_MAX = 512
TIMEOUT = b"x-server-timeout"
SECONDS = re.compile(r"[0-9]{1,5}(\.[0-9]{1,3})?")
QUICK_ANSWER_BYTES = 64 * 1024  # what is larger is read and written beside the event loop
Scope = Any


class Transcoder:
    """An ASGI application; `channel` leads to the public gRPC server."""

    def __init__(self, services: Iterable[ServiceDescriptor], channel: grpc.aio.Channel) -> None:
        self.table = RouteTable(services)
        self._calls = {route.path: _open(channel, route) for route in self.table.routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        exchange = _Exchange(scope, Headers(scope["headers"]), receive, send)
        conditional = False
        try:
            route, values = self.table.find(scope["method"], scope["raw_path"].decode("ascii"))
            conditions = Preconditions.of(exchange.headers)
            conditional = conditions.conditional(route)
            body = await receive_body(receive, exchange.headers, expected=bool(route.body))
            parts = (route, values, scope["query_string"], body, conditions)
            large = body is not None and body.is_large
            request = await asyncio.to_thread(assemble, *parts) if large else assemble(*parts)
            await self._answer(route, request, exchange, conditions)
        except ClientGoneError:
            return
        except Exception as failure:  # noqa: BLE001 - this is the last stop
            refused = refusal(failure, conditional=conditional)
            await send_body(send, exchange.headers, refused.status, refused.headers, refused.body)

    async def _answer(self, route: Route, request: Message, exchange: "_Exchange", conditions: Preconditions) -> None:
        call = self._calls[route.path]
        if route.method.server_streaming:
            resume(request, route.request, exchange.headers)
            running = call(request, metadata=exchange.metadata, timeout=exchange.timeout)
            await Stream(running, exchange.receive, exchange.send, framing(exchange.headers)).serve()
            return
        running = call(request, metadata=exchange.metadata, timeout=exchange.timeout)
        answer = await _while_wanted(running, exchange.receive)
        tag = etag(answer)
        headers = {"etag": tag} if tag else {}
        if tag and route.verb == "GET" and tag in conditions.if_none_match:
            await send_body(exchange.send, exchange.headers, 304, headers, b"")
            return
        large = answer.ByteSize() > QUICK_ANSWER_BYTES
        told = await asyncio.to_thread(to_json, answer) if large else to_json(answer)
        await send_body(exchange.send, exchange.headers, 200, headers, told)


@dataclass(frozen=True, slots=True)
class _Exchange:
    scope: Scope
    headers: Headers
    receive: Receive
    send: Send

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Where the call comes from, and every Authorization header: the gateway judges whether there is one."""
        shown = self.headers.all(b"authorization")
        tokens = (("authorization", value) for value in shown if len(value) <= AUTHORIZATION_MAX)
        address, _ = self.scope.get("client") or ("", 0)
        return *source_metadata(address), *tokens

    @property
    def timeout(self) -> float | None:
        """How many seconds the caller allows; None leaves it to the gateway."""
        shown = self.headers.first(TIMEOUT)
        if not shown:
            return None
        if not SECONDS.fullmatch(shown) or not float(shown):
            raise InvalidArgumentError.of([Violation("X-Server-Timeout", "must be seconds, such as 90 or 0.5")])
        return float(shown)


async def _while_wanted(running: Any, receive: Receive) -> Any:
    """The answer of a call, which is cancelled when its caller hangs up.

    Raises:
        ClientGoneError: the caller did.
    """
    watch = asyncio.create_task(_until_gone(receive))
    watch.add_done_callback(lambda _: running.cancel())
    try:
        return await running
    except asyncio.CancelledError:
        if watch.done():
            raise ClientGoneError from None
        raise
    finally:
        watch.cancel()


async def _until_gone(receive: Receive) -> None:
    """Ends when the caller hangs up: the body has been read, so that nothing else can come."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _open(channel: grpc.aio.Channel, route: Route) -> Callable[..., Any]:
    make: Any = channel.unary_stream if route.method.server_streaming else channel.unary_unary
    call: Callable[..., Any] = make(
        route.path,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=route.response_class.FromString,
    )
    return call
