"""Wraps every method: checks of the request's values, a deadline, and metrics."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from types import SimpleNamespace
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.rpc.code_pb2 import Code
from prometheus_client import Histogram

from gateway.api.message_checks import require_valid_values
from gateway.api.rehearsal import known_violations, rehearse
from ordinaut.errors import OrdinautError
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
        async def validated() -> Any:
            timeout = _timeout(context.time_remaining())
            async with asyncio.timeout(timeout), heavy() if request.ByteSize() > LARGE_BYTES else nullcontext():
                await _check(request)
                return await inner(request, context)

        with _Measured(path) as measured:
            if known := known_violations(context):
                await rehearse(validated, known)
            response = await validated()
            measured.done()
            return response

    return call


def _timeout(remaining: float | None) -> float | None:
    """The timeout of a call with `remaining` seconds until its deadline; None: grpc enforces the deadline."""
    if remaining is None:
        return DEFAULT_DEADLINE_SECONDS
    return MAX_DEADLINE_SECONDS if remaining > MAX_DEADLINE_SECONDS else None


async def _check(request: Any) -> None:
    """Checks the values of a request; those of a large one in a thread, so that other calls are not delayed."""
    if request.ByteSize() > LARGE_BYTES:
        await asyncio.to_thread(require_valid_values, request)
    else:
        require_valid_values(request)


def _streaming(inner: Any, path: str, opened: Opened) -> Any:
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        async def validated() -> None:
            await _check(request)
            async with aclosing(inner(request, context)) as responses, asyncio.timeout(DEFAULT_DEADLINE_SECONDS):
                await anext(responses, None)

        with _Measured(path) as measured:
            if known := known_violations(context):
                await rehearse(validated, known)
            await _check(request)
            async with opened(), aclosing(inner(request, context)) as responses:
                async for response in responses:
                    yield response
            measured.done()

    return call


def _code_of(failure: BaseException) -> str:
    if isinstance(failure, OrdinautError):
        return str(Code.Name(failure.code))
    if isinstance(failure, TimeoutError):
        return "DEADLINE_EXCEEDED"
    return "CANCELLED" if isinstance(failure, asyncio.CancelledError | GeneratorExit) else "INTERNAL"
