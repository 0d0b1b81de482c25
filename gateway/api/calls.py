"""Wraps every method: checks of the request's values, a deadline, and metrics."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from prometheus_client import Histogram

from gateway.api.fixes import right_fixes
from gateway.api.message_checks import invalid_values
from gateway.api.message_repair import without_invalid
from gateway.api.rehearsal import Assembled, Sent, assembled, independent, rehearse
from gateway.api.sent_names import with_sent_names
from ordinaut.documents.reading import fill
from ordinaut.errors import InvalidArgumentError, OrdinautError, Violation
from ordinaut.rpc.interceptor import Context, Guard
from ordinaut.rpc.requests import LARGE_BYTES
from ordinaut.rpc.server import Registration

DEFAULT_DEADLINE_SECONDS = 30.0
MAX_DEADLINE_SECONDS = 300.0  # also for callers that allow more time
WAITING = frozenset({"CallTool", "SimulateRun", "ReplayRun"})  # methods that wait for work of other processes
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
Opened = Callable[[], AbstractAsyncContextManager[None]]
CALLS = Histogram("ordinaut_gateway_call_seconds", "Calls by method and code", ("method", "code"), buckets=BUCKETS)


def registration(
    servicer: Any,
    service: ServiceDescriptor,
    add: Callable[[Any, Any], None],
    opened: Opened = nullcontext,
    heavy: Opened = nullcontext,
) -> Registration:
    """Registers a servicer with each of its methods wrapped.

    `opened` is entered for the time of a stream, `heavy` for that of a call with a large request.
    """
    methods = {
        method.name: _wrapped(getattr(servicer, method.name), method, opened, heavy) for method in service.methods
    }
    return Registration(add, SimpleNamespace(**methods), service.full_name)


def count_rejections(guard: Guard) -> Guard:
    """Wraps a guard to measure the calls that it rejects; accepted calls are measured when they end."""

    async def count(method: str, context: Context) -> None:
        with _Measured(method):
            await guard(method, context)

    return count


class _Measured:
    """Measures a block that fails, under the code of its error; `done` measures a success."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._start = time.perf_counter()

    def __enter__(self) -> "_Measured":
        return self

    def __exit__(self, _type: object, failure: BaseException | None, _trace: object) -> None:
        if failure is not None:
            self._observe(_code_of(failure))

    def done(self) -> None:
        """Records that the call succeeded."""
        self._observe("OK")

    def _observe(self, code: str) -> None:
        CALLS.labels(self._method, code).observe(time.perf_counter() - self._start)


def _wrapped(inner: Any, method: MethodDescriptor, opened: Opened, heavy: Opened) -> Any:
    path = f"/{method.containing_service.full_name}/{method.name}"
    return (
        _streaming(inner, path, opened)
        if method.server_streaming
        else _unary(inner, path, nullcontext if method.name in WAITING else heavy)
    )


def _unary(inner: Any, path: str, heavy: Opened) -> Any:
    async def call(request: Any, context: Context) -> Any:
        async def perform(message: Any) -> Any:
            async with asyncio.timeout(_timeout(context.time_remaining())):
                return await inner(message, context)

        async def answer() -> Any:
            arrived = await _arrived(request, context)
            if arrived.violations:
                raise await _refusal(arrived, request, perform)
            try:
                return await perform(request)
            except InvalidArgumentError as failure:
                raise await _with_right_fixes(failure, arrived.sent, perform) from None

        with _Measured(path) as measured:
            async with _turn(request, context, heavy):
                response = await answer()
            measured.done()
            return response

    return call


Perform = Callable[[Any], Awaitable[Any]]


@asynccontextmanager
async def _turn(request: Any, context: Context, heavy: Opened) -> AsyncIterator[None]:
    """Waits for the turn of a large request, whose deadline includes the wait."""
    if not _is_large(request):
        yield
        return
    async with asyncio.timeout(_timeout(context.time_remaining())), heavy():
        yield


def _is_large(request: Any) -> bool:
    """Whether to check the values of a request in the event loop would delay other calls."""
    return bool(request.ByteSize() > LARGE_BYTES)


async def _arrived(request: Any, context: Context) -> Assembled:
    """The request as its caller sent it, with the violations of what could not be read and of invalid values.

    The fixes for a large request would be checked by reading it many times, so it gets none.
    """
    large = _is_large(request)
    invalid = await asyncio.to_thread(invalid_values, request) if large else invalid_values(request)
    assembly = assembled(context)
    if assembly is not None:
        return Assembled(assembly.sent, [*assembly.violations, *independent(invalid, assembly.violations)])
    return Assembled(None if large else Sent(request, partial(_read, type(request))), invalid)


def _read(kind: type[Any], document: Any) -> tuple[Any, list[Violation]]:
    message = kind()
    return message, fill(document, message)


async def _refusal(arrived: Assembled, request: Any, perform: Perform) -> InvalidArgumentError:
    """The error of a request with known violations, with what its method finds in the rest."""
    valid = await asyncio.to_thread(without_invalid, request) if _is_large(request) else without_invalid(request)
    violations = await rehearse(partial(perform, valid), arrived.violations)
    return InvalidArgumentError.of(await _right(violations, arrived.sent, perform))


async def _with_right_fixes(failure: InvalidArgumentError, sent: Sent | None, perform: Perform) -> InvalidArgumentError:
    violations = await _right(failure.violations, sent, perform)
    if len(violations) == len(failure.violations):
        return replace(failure, violations=violations)
    return InvalidArgumentError.of(violations)


async def _right(violations: Sequence[Violation], sent: Sent | None, perform: Perform) -> Sequence[Violation]:
    """The violations with the fixes that are right for the document that was sent."""
    if not any(each.repair is not None for each in violations):
        return violations
    if sent is None:
        return [replace(each, repair=None) for each in violations]
    read = sent.read

    async def check(changed: Any) -> Sequence[Violation]:
        message, unread = read(changed)
        known = [*unread, *independent(invalid_values(message), unread)]
        return await rehearse(partial(perform, without_invalid(message)), known, complete=True)

    document = _document(sent.document)
    message, _ = read(document)
    return await right_fixes(with_sent_names(violations, document, message.DESCRIPTOR), document, check)


def _document(sent: Any) -> Any:
    """A message as its caller would write it in JSON, with the names of the proto; a document as it is."""
    if not isinstance(sent, Message):
        return sent
    return json_format.MessageToDict(without_invalid(sent), preserving_proto_field_name=True)


def _timeout(remaining: float | None) -> float | None:
    """The timeout of a call with `remaining` seconds until its deadline; None: grpc enforces the deadline."""
    if remaining is None:
        return DEFAULT_DEADLINE_SECONDS
    return MAX_DEADLINE_SECONDS if remaining > MAX_DEADLINE_SECONDS else None


def _streaming(inner: Any, path: str, opened: Opened) -> Any:
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        async def begin(message: Any) -> None:
            """Runs a call up to its first response; all problems of a request are found before."""
            async with asyncio.timeout(_timeout(context.time_remaining())), aclosing(inner(message, context)) as stream:
                await anext(stream, None)

        with _Measured(path) as measured:
            arrived = await _arrived(request, context)
            if arrived.violations:
                raise await _refusal(arrived, request, begin)
            try:
                async with opened(), aclosing(inner(request, context)) as responses:
                    async for response in responses:
                        yield response
            except InvalidArgumentError as failure:
                raise await _with_right_fixes(failure, arrived.sent, begin) from None
            measured.done()

    return call


def _code_of(failure: BaseException) -> str:
    if isinstance(failure, OrdinautError):
        return str(Code.Name(failure.code))
    if isinstance(failure, TimeoutError):
        return "DEADLINE_EXCEEDED"
    return "CANCELLED" if isinstance(failure, asyncio.CancelledError | GeneratorExit) else "INTERNAL"
