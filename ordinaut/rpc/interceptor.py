"""Converts every exception of a handler to a status; the outermost interceptor of every server.

Without it grpc.aio sends the text of any exception to the client, leaves the client waiting when a handler is
cancelled, and returns UNKNOWN for a request that cannot be parsed.
"""

import asyncio
import inspect
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from ordinaut.errors import (
    DeadlineExceededError,
    InternalError,
    InvalidArgumentError,
    OrdinautError,
    UnavailableError,
)
from ordinaut.rpc.status import DETAILS_KEY, to_status
from ordinaut.telemetry import get_logger
from ordinaut.v1.error_pb2 import ErrorReason

log = get_logger()
Context = grpc.aio.ServicerContext[Any, Any]
Guard = Callable[[str, Context], Awaitable[None]]
Explain = Callable[[BaseException, Any], BaseException]
CODES = {code.value[0]: code for code in grpc.StatusCode}


class MalformedMessage:
    """Replaces a request that could not be parsed, so that the handler wrapper can reject it."""


def as_it_is(failure: BaseException, _request: Any) -> BaseException:
    """Explains no failure."""
    return failure


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Converts exceptions of handlers to statuses; `guard` runs before a handler.

    `explain` may replace the exception of a guard or a handler by one that says more about the request.
    """

    def __init__(self, guard: Guard, explain: Explain = as_it_is) -> None:
        self._guard = guard
        self._explain = explain

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], "Awaitable[grpc.RpcMethodHandler[Any, Any] | None]"],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Wraps the handler of one call."""
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None:  # grpc itself returns UNIMPLEMENTED
            return None
        return _wrapped(handler, method, self._guard, self._explain)


def _wrapped(handler: Any, method: str, guard: Guard, explain: Explain) -> "grpc.RpcMethodHandler[Any, Any]":
    deserialize = _tolerant(handler.request_deserializer)
    if handler.response_streaming:
        inner = handler.stream_stream or handler.unary_stream
        make = (
            grpc.stream_stream_rpc_method_handler if handler.request_streaming else grpc.unary_stream_rpc_method_handler
        )
        return make(_streaming(inner, method, guard, explain), deserialize, handler.response_serializer)
    inner = handler.stream_unary or handler.unary_unary
    make_unary = (
        grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
    )
    return make_unary(_unary(inner, method, guard, explain), deserialize, handler.response_serializer)


def _tolerant(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if deserialize is None:
        return None

    def attempt(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            return MalformedMessage()

    return attempt


def _unary(inner: Any, method: str, guard: Guard, explain: Explain) -> Callable[[Any, Context], Awaitable[Any]]:
    async def call(request: Any, context: Context) -> Any:
        try:
            await guard(method, context)
            _refuse_malformed(request)
            return await inner(request, context)
        except grpc.aio.AbortError:
            raise
        except (Exception, asyncio.CancelledError) as failure:  # noqa: BLE001 - the outermost handler
            await _abort(context, method, explain(failure, request))

    return call


def _streaming(inner: Any, method: str, guard: Guard, explain: Explain) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            await guard(method, context)
            _refuse_malformed(request)
            answers = inner(request, context)
            if inspect.isawaitable(answers):  # a handler that writes to the context, such as that of the health service
                await answers
                return
            async for answer in answers:
                yield answer
        except (grpc.aio.AbortError, GeneratorExit):
            raise
        except (Exception, asyncio.CancelledError) as failure:  # noqa: BLE001 - the outermost handler
            await _abort(context, method, explain(failure, request))

    return call


def _refuse_malformed(request: Any) -> None:
    if isinstance(request, MalformedMessage):
        raise InvalidArgumentError(
            ErrorReason.MALFORMED_MESSAGE, "the request bytes are not a valid message of this method"
        )


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
