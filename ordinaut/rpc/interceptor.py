"""Converts every exception of a handler to a status; the outermost interceptor of every server.

Without it grpc.aio sends the text of any exception to the client, leaves the client waiting when a handler is
cancelled, and returns UNKNOWN for a request that cannot be parsed.
"""

import asyncio
import inspect
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc

from ordinaut.errors import DeadlineExceededError, InternalError, OrdinautError, PermissionDeniedError, UnavailableError
from ordinaut.rpc.requests import AbandonedError, Admit, Deserialize, admit_all, parsed, receive
from ordinaut.rpc.status import DETAILS_KEY, to_status
from ordinaut.telemetry import get_logger
from ordinaut.v1.error_pb2 import ErrorReason

log = get_logger()
Context = grpc.aio.ServicerContext[Any, Any]
Guard = Callable[[str, Context], Awaitable[None]]
Explain = Callable[[BaseException, Any], BaseException]
Read = Callable[[AsyncIterator[bytes]], Awaitable[Any]]
CODES = {code.value[0]: code for code in grpc.StatusCode}


def as_it_is(failure: BaseException, _request: Any) -> BaseException:
    """Explains no failure."""
    return failure


def ignore(_peer: str) -> None:
    """Counts no abandoned calls."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What an interceptor asks before it calls a handler.

    `guard` runs on the headers, before the request is read; `admit` delays or refuses large requests; `abandoned` gets
    the address and port of a client that has ended a call before its request arrived. `explain` may replace the
    exception of a guard or a handler by one that says more about the request, which is None if it was not read.
    """

    guard: Guard
    explain: Explain = as_it_is
    admit: Admit = admit_all
    abandoned: Callable[[str], None] = ignore


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Converts exceptions of handlers to statuses."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], "Awaitable[grpc.RpcMethodHandler[Any, Any] | None]"],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Returns the wrapped handler of a method."""
        method = str(handler_call_details.method)
        wrapped = self._handlers.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:  # grpc itself returns UNIMPLEMENTED
                return None
            wrapped = self._handlers[method] = _wrapped(handler, method, self._checks)
        return wrapped


def _wrapped(handler: Any, method: str, checks: Checks) -> "grpc.RpcMethodHandler[Any, Any]":
    """Every method is registered as one that takes a stream: its guard runs before a request is read."""
    read = _stream if handler.request_streaming else _single
    if handler.response_streaming:
        inner = handler.stream_stream or handler.unary_stream
        answer = _streaming(inner, read(handler.request_deserializer, checks), method, checks)
        return grpc.stream_stream_rpc_method_handler(answer, None, handler.response_serializer)
    inner = handler.stream_unary or handler.unary_unary
    call = _unary(inner, read(handler.request_deserializer, checks), method, checks)
    return grpc.stream_unary_rpc_method_handler(call, None, handler.response_serializer)


def _single(deserialize: Deserialize, checks: Checks) -> Read:
    async def read(messages: AsyncIterator[bytes]) -> Any:
        return await receive(messages, deserialize, checks.admit)

    return read


def _stream(deserialize: Deserialize, _checks: Checks) -> Read:
    async def read(messages: AsyncIterator[bytes]) -> Any:
        return parsed(messages, deserialize)

    return read


class _Arrival:
    """The request of one call; `request` is None until it was read."""

    def __init__(self, read: Read, messages: AsyncIterator[bytes], checks: Checks) -> None:
        self.request: Any = None
        self._read = read
        self._messages = messages
        self._checks = checks

    async def accept(self, method: str, context: Context) -> Any:
        """Returns the request of a call that the guard accepts."""
        try:
            await self._guard(method, context)
            self.request = await self._read(self._messages)
        except (asyncio.CancelledError, AbandonedError):
            self._checks.abandoned(context.peer())
            raise
        return self.request

    async def _guard(self, method: str, context: Context) -> None:
        try:
            await self._checks.guard(method, context)
        except PermissionDeniedError:  # the caller is known, so its request may be read
            if self._checks.explain is not as_it_is:
                with suppress(OrdinautError):  # a request that cannot be read explains nothing
                    self.request = await self._read(self._messages)
            raise
        except OrdinautError:
            await asyncio.sleep(0)  # a call that the client has ended is cancelled here
            raise

    def explained(self, failure: BaseException) -> BaseException:
        """Returns the failure that is sent to the client."""
        return self._checks.explain(failure, self.request)


def _unary(inner: Any, read: Read, method: str, checks: Checks) -> Callable[[Any, Context], Awaitable[Any]]:
    async def call(messages: AsyncIterator[bytes], context: Context) -> Any:
        arrival = _Arrival(read, messages, checks)
        try:
            return await inner(await arrival.accept(method, context), context)
        except grpc.aio.AbortError:
            raise
        except (Exception, asyncio.CancelledError) as failure:  # noqa: BLE001 - the outermost handler
            await _abort(context, method, arrival.explained(failure))

    return call


def _streaming(inner: Any, read: Read, method: str, checks: Checks) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def call(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        arrival = _Arrival(read, messages, checks)
        try:
            answers = inner(await arrival.accept(method, context), context)
            if inspect.isawaitable(answers):  # a handler that writes to the context, such as that of the health service
                await answers
                return
            async for answer in answers:
                yield answer
        except (grpc.aio.AbortError, GeneratorExit):
            raise
        except (Exception, asyncio.CancelledError) as failure:  # noqa: BLE001 - the outermost handler
            await _abort(context, method, arrival.explained(failure))

    return call


async def _abort(context: Context, method: str, failure: BaseException) -> None:
    error = _public(method, failure)
    status = to_status(error)
    await context.abort(CODES[error.code], status.message, ((DETAILS_KEY, status.SerializeToString()),))


def _public(method: str, failure: BaseException) -> OrdinautError:
    if isinstance(failure, OrdinautError):
        return failure
    if isinstance(failure, TimeoutError):
        return DeadlineExceededError(ErrorReason.DEADLINE, "the deadline of the call has expired")
    if isinstance(failure, asyncio.CancelledError):
        return UnavailableError(ErrorReason.CALL_CANCELLED, "the call was cancelled", retry_after=1.0)
    error_id = secrets.token_hex(8)
    log.error("internal_error", method=method, error_id=error_id, exc_info=failure)
    return InternalError(ErrorReason.INTERNAL_ERROR, f"internal error (id {error_id})", {"error_id": error_id})
